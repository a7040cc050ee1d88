//! `/webhooks/whatsapp/{number}`: what Meta calls. Everything in a body is written in one transaction, before it is answered 200; what
//! cannot be written is not acknowledged, and Meta sends it again.

mod read;
mod take;

use std::sync::Arc;

use loopd_kernel::Tenant;
use loopd_kernel::webhook::sign;
use loopd_store::View;
use loopd_types::{Problem, Result, Secret};
use loopd_web::operation::{Content, RateClass};
use loopd_web::{Call, Operation, Param, Reply, Schema as _, schema};

use super::account::Secrets;
use super::{Cloud, NAME};
use crate::number::{self, Number};

const PATH: &str = "/webhooks/whatsapp/{number}";
/// Meta's own most.
const BODY_MOST: usize = 3 * 1024 * 1024;
const SIGNATURE: &str = "x-hub-signature-256";

/// What the Cloud API adds to the surface.
pub fn operations(_cloud: &Arc<Cloud>) -> Vec<Operation> {
    let op = |operation: Operation, summary: &str| {
        operation
            .tag("loopwave")
            .summary(summary)
            // Meta calls from many addresses and as often as customers write; the signature is checked before anything is done.
            .rate(RateClass::Unlimited)
            .param(Param::path("number", schema::string().example("n1a2b3c4")))
            .responds(404, "No number of the Cloud API has this name.", schema::component("Error"))
    };
    let named = |name: &str, text: &str| Param::query(name, schema::string()).describe(text);
    vec![
        op(
            Operation::get("loopwave_cloud_webhook_verify", PATH, verify),
            "Prove to Meta that this webhook is the number's own",
        )
        .param(named("hub.mode", "`subscribe`"))
        .param(named("hub.verify_token", "The number's verify token."))
        .param(named("hub.challenge", "What is answered."))
        .response(loopd_web::operation::ResponseDoc::empty(200, "The challenge.").with(Content::of("text/plain", schema::string())))
        .responds(403, "`forbidden`: the token is another.", schema::component("Error")),
        op(Operation::post("loopwave_cloud_webhook", PATH, take), "Take what Meta tells of a number")
            .describe(
                "The envelope of WhatsApp's webhooks, signed: `X-Hub-Signature-256: sha256=<hex>` over the body with the app's secret. \
                 The same body twice has one effect. Answered when everything in it is durable.",
            )
            .param(Param::header(SIGNATURE, schema::string()))
            // Of any type: the signature is over bytes, which are read only when it is right.
            .accepts(true, Content::of("*/*", schema::any()))
            .max_body(BODY_MOST)
            .without_effect()
            .response(loopd_web::operation::ResponseDoc::empty(200, "Everything is written down.").with(Content::of("text/plain", schema::string())))
            .responds(400, "`bad_request`: signed, and no webhook of WhatsApp's.", schema::component("Error"))
            .responds(403, "`invalid_signature`: it is not that of the number's app; nothing was written.", schema::component("Error")),
    ]
}

/// The number that a path names, with what opens it.
async fn line(call: &Call) -> Result<(Number, Secrets)> {
    let name = call.param("number").to_owned();
    let found =
        call.kernel.db.read(View::System, move |reader| Ok(number::store::find_anywhere(reader, &name)?)).await?;
    let number =
        found.filter(|number| number.engine == NAME && number.secret.is_some()).ok_or_else(Problem::not_found)?;
    let secrets = Secrets::open(&call.kernel, &number)?;
    Ok((number, secrets))
}

async fn verify(call: Call) -> Result<Reply> {
    let (_, secrets) = line(&call).await?;
    let named = |name: &str| call.query().get(name).unwrap_or_default();
    if named("hub.mode") != "subscribe" || !secrets.verify_token.matches(named("hub.verify_token").as_bytes()) {
        return Err(Problem::forbidden("forbidden", "The verify token is not this number's."));
    }
    Ok(Reply::text(200, named("hub.challenge")))
}

async fn take(call: Call) -> Result<Reply> {
    let (number, secrets) = line(&call).await?;
    let shown = call.header(SIGNATURE).and_then(|text| text.strip_prefix("sha256=")).unwrap_or_default();
    let expected = Secret::new(sign(&secrets.app_secret, &[&call.body]));
    if !expected.matches(shown.to_ascii_lowercase().as_bytes()) {
        return Err(Problem::forbidden("invalid_signature", "The signature is not that of this number's app."));
    }
    let told = read::read(&call.body, call.kernel.now())
        .map_err(|words| Problem::invalid("bad_request", format!("This is no webhook of WhatsApp's: {words}.")))?;
    if !told.is_empty() {
        let kernel = call.kernel.clone();
        let access = kernel.company_access(number.company).await?.ok_or_else(Problem::not_found)?;
        let tenant = Arc::new(Tenant::system(access, "loopwave"));
        let view = tenant.view();
        call.kernel.db.write(view, move |tx| take::all(tx, &kernel, &tenant, &number, &told)).await?;
    }
    Ok(Reply::text(200, "ok"))
}
