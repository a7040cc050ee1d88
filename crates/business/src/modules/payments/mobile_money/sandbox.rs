//! The built-in sandbox: answers as a provider would, moves no money, needs no account and no network.
//!
//! The last two digits of the payer's telephone number decide what happens: `01` fails, `02` expires, `03` stays pending, `04` is taken but
//! the answer is lost (then it succeeds), `05` is refused at once, `06` is lost on its way. Every other number pays.

use loopd_types::{CompanyCode, Result, Uuid};
use serde_json::Value as Json;

use super::{Asked, Charge, MobileMoney, Outcome, Trouble, parse_external_id};

pub struct Sandbox;

impl MobileMoney for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }
    fn is_sandbox(&self) -> bool {
        true
    }
    fn serves(&self, method: &str) -> bool {
        matches!(method, "mtn_momo" | "airtel_money")
    }
    fn request_to_pay<'a>(&'a self, charge: &'a Charge) -> Asked<'a, ()> {
        let answer = match suffix(charge) {
            "04" | "06" => Err(Trouble::Unclear("the sandbox loses this answer".to_owned())),
            "05" => Err(Trouble::Refused {
                code: "payer_not_found".to_owned(),
                reason: "The sandbox knows no such payer.".to_owned(),
            }),
            _ => Ok(()),
        };
        Box::pin(async move { answer })
    }
    fn status<'a>(&'a self, charge: &'a Charge) -> Asked<'a, Outcome> {
        let outcome = match suffix(charge) {
            "01" => Outcome::Failed {
                code: "not_enough_funds".to_owned(),
                reason: "The payer has not enough money.".to_owned(),
            },
            "02" => Outcome::Expired,
            "03" => Outcome::Pending,
            "05" | "06" => Outcome::Unknown,
            _ => Outcome::Succeeded { transaction: format!("SBX-{}", charge.reference.simple()) },
        };
        Box::pin(async move { Ok(outcome) })
    }
    /// `{"externalId": "001-<reference>"}`, as MTN's.
    fn read_callback(&self, body: &Json) -> Result<(CompanyCode, Uuid)> {
        parse_external_id(body["externalId"].as_str().unwrap_or_default())
    }
}

fn suffix(charge: &Charge) -> &str {
    let phone = charge.payer_phone.as_str();
    phone.get(phone.len().saturating_sub(2)..).unwrap_or_default()
}
