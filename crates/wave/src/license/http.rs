//! `/api/v1/loopwave/license/…`: how the licence stands, and taking another into use.

use std::sync::Arc;

use loopd_kernel::Kernel;
use loopd_kernel::input::Input;
use loopd_types::{DAY_US, Problem, Result};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::store::{self, Activated};
use super::{Judge, Mode, Revocations, Settings, Status, Terms, fingerprint};
use crate::{PRODUCT, Wave};

const URL: &str = "/api/v1/loopwave/license/";
/// Longest licence or list that is read.
const TOKEN_MOST: usize = 64 * 1024;

pub fn operations(wave: &Arc<Wave>) -> Vec<Operation> {
    let op = |operation: Operation, verb: &str, summary: &str| {
        let permission = format!("{PRODUCT}.license.{verb}");
        operation.tag(PRODUCT).summary(summary).tenant(Some(PRODUCT), &permission).responds(
            200,
            "How the licence stands.",
            row_schema(),
        )
    };
    let (to_read, to_activate, to_refresh) = (wave.clone(), wave.clone(), wave.clone());
    let license = schema::object([("license", schema::text(1, TOKEN_MOST as u32).example("LW1.…"))]);
    let list = schema::object([(
        "revocations",
        schema::text(0, TOKEN_MOST as u32).describe("The vendor's signed list of cancelled licences."),
    )]);
    vec![
        op(
            Operation::get("loopwave_license_retrieve", URL, move |call| retrieve(call, to_read.clone())),
            "view",
            "How this company's licence stands",
        ),
        op(
            Operation::post("loopwave_license_activate", format!("{URL}activate/"), move |call| {
                activate(call, to_activate.clone())
            }),
            "action:activate",
            "Take a licence into use",
        )
        .body(license.required(["license"])),
        op(
            Operation::post("loopwave_license_refresh", format!("{URL}refresh/"), move |call| {
                refresh(call, to_refresh.clone())
            }),
            "action:activate",
            "Look at the licence again, with the vendor's newest list if there is one",
        )
        .optional_body(list),
    ]
}

/// The host that a call came by, without its scheme.
fn host_of(call: &Call) -> Option<String> {
    let url = call.base_url();
    url.split_once("://").map(|(_, host)| host.to_owned())
}

fn judge_of(call: &Call, wave: &Wave) -> Judge {
    store::judge(&wave.settings.license, &call.kernel, host_of(call))
}

async fn retrieve(call: Call, wave: Arc<Wave>) -> Result<Reply> {
    let (kernel, tenant, judge) = (call.kernel.clone(), call.tenant()?.clone(), judge_of(&call, &wave));
    let (company, now) = (tenant.company, kernel.now());
    let (known, status) = kernel
        .db
        .read(tenant.view(), move |reader| {
            Ok((store::activated(reader, company)?, store::status(reader, &judge, company, now)?))
        })
        .await?;
    Reply::json(200, &row(&wave.settings.license, &kernel, known.as_ref(), &status))
}

async fn activate(call: Call, wave: Arc<Wave>) -> Result<Reply> {
    let mut input = Input::new(call.json()?, false)?;
    let license = input.required_text("license", TOKEN_MOST);
    input.finish()?;
    let license = license.ok_or_else(|| Problem::internal("input that was checked is gone"))?;
    let (kernel, tenant, judge) = (call.kernel.clone(), call.tenant()?.clone(), judge_of(&call, &wave));
    call.commit(tenant.view(), move |tx| {
        let status = store::activate(tx, &kernel, &tenant, &judge, &license)?;
        let known = store::activated(tx, tenant.company)?;
        Reply::json(200, &row(&wave.settings.license, &kernel, known.as_ref(), &status))
    })
    .await
}

async fn refresh(call: Call, wave: Arc<Wave>) -> Result<Reply> {
    let mut input = Input::new(call.json()?, true)?;
    let text = input.text("revocations", TOKEN_MOST).filter(|text| !text.is_empty());
    input.finish()?;
    let list = match (&text, &wave.settings.license.public_key) {
        (None, _) => None,
        (Some(text), Some(verifier)) => Some(
            Revocations::read(verifier, text)
                .map_err(|invalid| Problem::field("revocations", invalid.code(), "This is no list of the vendor."))?,
        ),
        (Some(_), None) => {
            return Err(Problem::field(
                "revocations",
                "no_vendor",
                "This server knows no vendor (LICENSE_PUBLIC_KEY).",
            ));
        }
    };
    let (kernel, tenant, judge) = (call.kernel.clone(), call.tenant()?.clone(), judge_of(&call, &wave));
    call.commit(store::REVOKING, move |tx| {
        if let Some(list) = &list {
            store::revoke(tx, list, kernel.now())?;
        }
        let status = store::refresh(tx, &kernel, &tenant, &judge)?;
        let known = store::activated(tx, tenant.company)?;
        Reply::json(200, &row(&wave.settings.license, &kernel, known.as_ref(), &status))
    })
    .await
}

fn row(settings: &Settings, kernel: &Kernel, known: Option<&Activated>, status: &Status) -> Json {
    let terms = status.terms.as_ref();
    let ends = terms.map(Terms::expires_at);
    json!({
        "mode": settings.mode.as_str(),
        "state": status.state.word(),
        "reason": status.reason,
        "locked": settings.mode == Mode::Enforce && status.state.locks(),
        "license_id": terms.map(|terms| &terms.lid),
        "tenant_id": terms.map(|terms| &terms.tid),
        "plan": terms.map(|terms| &terms.plan),
        "addons": terms.map_or(&[][..], |terms| &terms.addons),
        "issued_at": terms.map(|terms| terms.issued_at().to_string()),
        "expires_at": ends.map(|at| at.to_string()),
        "grace_until": ends.map(|at| at.plus(settings.grace_days * DAY_US).to_string()),
        "bound_domain": terms.and_then(|terms| terms.dom.as_ref()),
        "fingerprint": fingerprint(kernel),
        "activated_at": known.map(|it| it.at.to_string()),
    })
}

fn row_schema() -> Json {
    let states = ["active", "grace", "expired", "revoked", "invalid", "unlicensed"];
    let fields = [
        ("mode", schema::one_of(["monitor", "enforce"])),
        ("state", schema::one_of(states)),
        ("reason", schema::string().nullable()),
        ("locked", schema::boolean().describe("Whether new writes are 402 `license_locked`.")),
        ("license_id", schema::string().nullable()),
        ("tenant_id", schema::string().nullable()),
        ("plan", schema::string().nullable()),
        ("addons", schema::array(schema::string())),
        ("issued_at", schema::date_time().nullable()),
        ("expires_at", schema::date_time().nullable()),
        ("grace_until", schema::date_time().nullable()),
        ("bound_domain", schema::string().nullable()),
        (
            "fingerprint",
            schema::string().describe("Tell it to the vendor for a licence that is bound to this installation."),
        ),
        ("activated_at", schema::date_time().nullable()),
    ];
    let names = fields.clone().map(|(name, _)| name);
    schema::object(fields).required(names)
}
