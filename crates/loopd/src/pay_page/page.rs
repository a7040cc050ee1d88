//! What a browser shows at a pay link: a slip with what is due, a code to open it on a telephone, a button for who has a wallet, words for
//! agents, and the receipts of what was paid. Whole without script.

use fast_qr::qr::QRBuilder;
use loopd_business::modules::payments::slip::{Slip, State};
use loopd_business::modules::payments::{slip, usdc};
use loopd_kernel::collection::{Ask, Offer};
use loopd_types::{Currency, Problem, Result, render_decimal};
use loopd_web::Call;
use maud::{Markup, html};
use serde_json::json;

use super::words::{Words, words};
use crate::account::words_of;
use crate::portal::Document;
use crate::portal::account::{Page, drawn, facts, sentence};

/// Modules of white that a reader of QR codes wants around one.
const QUIET: usize = 4;
/// Teeth of the edge at which the slip is torn off.
const TEETH: usize = 40;

/// The page of a slip.
///
/// # Errors
/// The database's.
pub async fn of(call: &Call, slip: &Slip) -> Result<Document> {
    let said = words(words_of(call).language);
    let status = if matches!(slip.state, State::Void | State::Expired) { 410 } else { 200 };
    let offer = match slip.payable() {
        Ok(ask) => offered(call, ask).await?.map(|offer| (ask, offer)),
        Err(_) => None,
    };
    let title = format!("{} {}", said.title, slip.number);
    let spoken = json!({
        "sign": said.sign, "declined": said.declined, "wallet": said.wallet, "sending": said.sending, "pending": said.in_progress,
        "unknown": said.unknown, "refused": said.refused,
    });
    let card = html! {
        section.card.slip #slip aria-labelledby="title" data-state=(slug(slip.state)) data-words=(spoken) {
            div.slip-head {
                div {
                    p.from { (slip.tenant.company_name()) }
                    h1 #title { (title) }
                }
                (seal(slip.state))
            }
            (sum(slip, said, offer.as_ref()))
            @if !slip.title.is_empty() { p.about { (slip.title) } }
            p.badges { (badge(slip.state, said)) }
            (tear())
            @if offer.as_ref().is_some_and(|(_, offer)| offer.is_sandbox) || is_sandbox(slip) { p.sandbox { (said.sandbox) } }
            @match (&offer, slip.state) {
                (Some((ask, offer)), _) => (ways(ask, offer, said)?),
                (None, State::Unpaid) => (sentence(said.not_in_usdc)),
                (None, State::InProgress) => (sentence(said.in_progress)),
                (None, State::Paid) => (sentence(said.paid)),
                (None, State::Void) => (sentence(said.void)),
                (None, State::Expired) => (sentence(said.expired)),
            }
            (receipts(slip, said))
        }
    };
    Ok(drawn(words_of(call), status, &title, "pay.js", card))
}

/// There is no invoice here.
pub fn gone(call: &Call) -> Document {
    let said = words(words_of(call).language);
    Page { words: words_of(call), status: 404, title: said.gone_title, complaints: &[], main: sentence(said.gone) }
        .render()
}

/// How it is paid; `None` where it cannot be.
async fn offered(call: &Call, ask: &Ask) -> Result<Option<Offer>> {
    let Ok(collector) = slip::collector(&call.kernel) else { return Ok(None) };
    match collector.offer(&call.kernel, ask, None).await {
        Ok(offer) => Ok(Some(offer)),
        Err(problem) if problem.status() >= 500 => Err(problem),
        Err(_) => Ok(None),
    }
}

const fn slug(state: State) -> &'static str {
    match state {
        State::Unpaid => "unpaid",
        State::InProgress => "in-progress",
        State::Paid => "paid",
        State::Void => "void",
        State::Expired => "expired",
    }
}

const fn tone(state: State) -> &'static str {
    match state {
        State::Unpaid => "brand",
        State::InProgress | State::Expired => "warn",
        State::Paid => "good",
        State::Void => "quiet",
    }
}

fn badge(state: State, said: &Words) -> Markup {
    let words = match state {
        State::Unpaid => said.state_unpaid,
        State::InProgress => said.state_in_progress,
        State::Paid => said.state_paid,
        State::Void => said.state_void,
        State::Expired => said.state_expired,
    };
    html! { span.badge data-tone=(tone(state)) { (words) } }
}

/// A stamp as on paper: what is in it says how it stands, again.
fn seal(state: State) -> Markup {
    let inside = match state {
        State::Unpaid => "M22 32h19M34 24l8 8-8 8",
        State::InProgress => "M32 20v12l8 6",
        State::Paid => "M21 33l8 8 15-17",
        State::Void => "M23 23l18 18M41 23L23 41",
        State::Expired => "M25 20h14M25 44h14M26 20c0 8 12 8 12 24M38 20c0 8-12 8-12 24",
    };
    html! {
        svg.seal data-tone=(tone(state)) viewBox="0 0 64 64" fill="none" stroke="currentColor" stroke-width="3" stroke-linecap="round"
            stroke-linejoin="round" aria-hidden="true" {
            circle cx="32" cy="32" r="29" stroke-dasharray="0.1 5.97" {}
            circle cx="32" cy="32" r="22.5" stroke-width="1.5" {}
            path d=(inside) {}
        }
    }
}

/// The edge at which the slip is torn off.
fn tear() -> Markup {
    let mut path = String::from("M0 3");
    for tooth in 0..TEETH {
        path.push_str(&format!("L{} 11L{} 3", tooth * 12 + 6, tooth * 12 + 12));
    }
    html! {
        svg.tear viewBox="0 0 480 14" preserveAspectRatio="none" fill="none" stroke="currentColor" aria-hidden="true" {
            path d=(path) vector-effect="non-scaling-stroke" {}
        }
    }
}

fn amount(minor: i64, currency: Currency) -> String {
    render_decimal(minor, currency.exponent())
}

/// What is due, or was; in the invoice's money, and in USDC where it can be paid so.
fn sum(slip: &Slip, said: &Words, offer: Option<&(&Ask, Offer)>) -> Markup {
    let is_owed = matches!(slip.state, State::Unpaid | State::InProgress | State::Expired);
    let main = if is_owed { slip.due } else { slip.total };
    html! {
        p.sum { (amount(main, slip.currency)) " " small { (slip.currency.code()) } }
        @if let Some((ask, offer)) = offer {
            p.equals { "= " (usdc::words(ask.micros)) " USDC · " (network(&offer.network)) }
        }
        @if is_owed && slip.due != slip.total {
            p.equals { (said.total) ": " (amount(slip.total, slip.currency)) " " (slip.currency.code()) }
        }
    }
}

/// `base-sepolia` as people write it.
fn network(name: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters.next().map(|first| first.to_uppercase().chain(letters).collect::<String>()).unwrap_or_default()
    };
    name.split('-').map(word).collect::<Vec<_>>().join(" ")
}

/// The ways to pay: by the wallet of this browser, by another device, by a program.
fn ways(ask: &Ask, offer: &Offer, said: &Words) -> Result<Markup> {
    Ok(html! {
        button.button type="button" data-pay hidden { (said.pay) }
        p.done role="status" data-progress hidden {}
        p.complaint role="alert" data-wrong hidden {}
        p data-no-wallet { (said.no_wallet) }
        div.scan {
            (qr(&ask.resource, said.scan_label)?)
            p { (said.scan) }
        }
        details {
            summary { (said.agents) }
            p { (said.how) }
            pre { code { "curl -i " (ask.resource) } }
            (facts(&[(said.recipient, &offer.recipient), (said.network, &network(&offer.network))]))
        }
    })
}

/// An address as a picture that telephones read. Always dark on white: many of them read nothing else.
fn qr(address: &str, label: &str) -> Result<Markup> {
    let code = QRBuilder::new(address).build().map_err(|error| Problem::internal(format!("{error:?}")))?;
    let mut path = String::new();
    for row in 0..code.size {
        for (column, module) in code[row].iter().enumerate() {
            if module.value() {
                path.push_str(&format!("M{} {}h1v1h-1z", column + QUIET, row + QUIET));
            }
        }
    }
    let side = code.size + 2 * QUIET;
    Ok(html! {
        svg.qr role="img" aria-label=(label) viewBox=(format!("0 0 {side} {side}")) shape-rendering="crispEdges" fill="currentColor" {
            path d=(path) {}
        }
    })
}

/// Whether what was paid here was no money.
fn is_sandbox(slip: &Slip) -> bool {
    let hash = |paid: &serde_json::Value| paid["receipt"]["body"]["txHash"].as_str().map(str::to_owned);
    slip.receipts.iter().filter_map(hash).any(|hash| hash.starts_with(SANDBOX_HASH))
}

/// What transactions of the sandbox begin with: "sandbox".
const SANDBOX_HASH: &str = "0x73616e64626f78";

/// The signed receipts of what was paid here.
fn receipts(slip: &Slip, said: &Words) -> Markup {
    html! {
        @for paid in &slip.receipts {
            @let receipt = &paid["receipt"];
            @let text = |name: &str| receipt["body"][name].as_str().unwrap_or_default();
            @let paid_usdc = text("amountUsdcRaw").parse().map(usdc::words).unwrap_or_default();
            details.receipt {
                summary { (said.receipt) " " (paid["payment"].as_str().unwrap_or_default()) }
                (facts(&[
                    (said.amount, &format!("{paid_usdc} USDC")),
                    (said.network, &network(text("network"))),
                    (said.transaction, text("txHash")),
                    (said.payer, text("payerAddress")),
                    (said.recipient, text("recipientAddress")),
                    (said.time, text("timestamp")),
                    (said.signature, receipt["signature"].as_str().unwrap_or_default()),
                    (said.key, receipt["publicKeyHex"].as_str().unwrap_or_default()),
                ]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_as_large_as_it_says_and_dark_in_its_corners() {
        let markup = qr("https://pay.example/pay/001-abc/", "QR").unwrap().into_string();
        let side: usize =
            markup.split("viewBox=\"0 0 ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap().parse().unwrap();
        let last = side - QUIET - 1;
        for corner in [(QUIET, QUIET), (last, QUIET), (QUIET, last)] {
            assert!(markup.contains(&format!("M{} {}h", corner.0, corner.1)), "{corner:?}");
        }
        assert!(!markup.contains(&format!("M{} ", side - QUIET)), "white around it");
    }

    #[test]
    fn networks_are_written_as_names() {
        assert_eq!((network("base"), network("base-sepolia")), ("Base".to_owned(), "Base Sepolia".to_owned()));
    }
}
