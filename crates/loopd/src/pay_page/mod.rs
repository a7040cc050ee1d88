//! `/pay/<company>-<token>/`: an invoice at its pay link. Browsers get a page, programs the x402 challenge; what is paid is settled by
//! `business` (`modules/payments/slip.rs`) and the product that is wired behind it.

mod page;
mod words;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use http::header::{ACCEPT, CACHE_CONTROL, VARY};
use loopd_business::engine::Registry;
use loopd_business::modules::payments::{Slip, slip};
use loopd_types::Result;
use loopd_web::operation::RateClass;
use loopd_web::{Call, Content, Operation, Param, Reply, ResponseDoc, Schema as _, schema};

use crate::service::reply;

const URL: &str = "/pay/{link}/";
/// Longer than a payer waits for the chain.
const TIMEOUT: Duration = Duration::from_secs(29);

/// The one address of an invoice, for people and for programs.
pub fn operations(registry: &Arc<Registry>) -> Vec<Operation> {
    let registry = registry.clone();
    let refusal = || schema::component("Error");
    let asked =
        schema::object([("x402Version", schema::constant(1)), ("accepts", schema::array(schema::free_object()))])
            .required(["x402Version", "accepts"]);
    let link = Param::path("link", schema::string().example("001-3f6c0a"))
        .describe("What the pay link ends with: `<company>-<token>`.");
    vec![
        Operation::get("pay_link", URL, move |call| show(call, registry.clone()))
            .tag("payments")
            .summary("Pay an invoice in USDC")
            .describe(
                "The address that `POST /api/v1/payments/invoices/{id}/pay-link/` gives. A browser (`Accept: text/html`) gets a page. A program \
                 gets 402 with what is due by x402, version 1 in the body and version 2 in `PAYMENT-REQUIRED`; with the payment in `X-PAYMENT` or \
                 `PAYMENT-SIGNATURE` it is settled for exactly that, once, and the invoice is marked as paid. The same payment again answers \
                 the same. Of two payers at once one is refused before any money moves.",
            )
            .rate(RateClass::Anonymous)
            .timeout(TIMEOUT)
            .any_origin()
            .param(link)
            .param(Param::header("X-PAYMENT", schema::string()).describe("What pays, in version 1 of x402."))
            .param(Param::header("PAYMENT-SIGNATURE", schema::string()).describe("The same in version 2."))
            .response(
                ResponseDoc::json(200, "Paid; or the page.", slip::schema())
                    .with(Content::of("text/html", schema::string()))
                    .header("PAYMENT-RESPONSE", "What became of the payment; `X-PAYMENT-RESPONSE` in version 1."),
            )
            .response(ResponseDoc::json(402, "What is due.", asked).header("PAYMENT-REQUIRED", "The same in version 2."))
            .responds(404, "There is no such link, or it was taken back.", refusal())
            .responds(409, "Nothing is due, a payment is under way, or it cannot be paid in USDC.", refusal())
            .responds(410, "The link is over, or the invoice is owed no more.", refusal())
            .responds(503, "The payment was sent and its outcome is not known yet: send the same again.", refusal()),
    ]
}

async fn show(call: Call, registry: Arc<Registry>) -> Result<Reply> {
    let wants_page = slip::shown(&call).is_none() && accepts_page(call.header("accept").unwrap_or_default());
    let found = Slip::find(&registry, &call, call.param("link")).await;
    let answered = match (found, wants_page) {
        (Ok(slip), true) => reply(page::of(&call, &slip).await?)?,
        (Err(problem), true) if problem.status() == 404 => reply(page::gone(&call))?,
        (found, _) => slip::answer(&call, &found?).await?,
    };
    // Two answers at one address, both of this moment. The address is a secret: no other site is told of it.
    Ok(answered
        .with_header(VARY, ACCEPT.as_str())
        .with_header(CACHE_CONTROL, "no-store")
        .with_header(HeaderName::from_static("referrer-policy"), "no-referrer"))
}

/// Whether pages are named among what a caller takes; `*/*` is a program's.
fn accepts_page(accept: &str) -> bool {
    accept.split(',').any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let is_page = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/html"));
        is_page && !parts.any(|part| matches!(part, "q=0" | "q=0.0"))
    })
}

#[cfg(test)]
mod tests {
    use super::accepts_page;

    #[test]
    fn browsers_name_pages_and_programs_do_not() {
        for accept in ["text/html", "text/html,application/xhtml+xml,*/*;q=0.8", "*/*;q=0.1, TEXT/HTML;q=0.5"] {
            assert!(accepts_page(accept), "{accept}");
        }
        for accept in ["", "*/*", "application/json", "text/*", "text/html;q=0, */*"] {
            assert!(!accepts_page(accept), "{accept}");
        }
    }
}
