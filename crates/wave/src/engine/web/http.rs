//! `/api/v1/loopwave/numbers/{id}/pairing-code/`: linking by a code that is typed into the telephone, where scanning one is not possible.

use std::sync::Arc;

use loopd_kernel::input::Input;
use loopd_types::{Problem, Result};
use loopd_web::rows::{handled, nothing};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::json;

use crate::address::Address;
use crate::number::http::{NUMBERS, linking, no_engine};
use crate::{Wave, number};

/// Longest telephone number, as people write it.
const PHONE_MOST: usize = 40;

pub fn operations(wave: &Arc<Wave>) -> Vec<Operation> {
    let wave = wave.clone();
    let operation = linking(
        Operation::post(NUMBERS.operation_id("pairing_code"), format!("{}pairing-code/", NUMBERS.item_url()), nothing),
        "Link a number by a code that is typed into its telephone, in place of scanning one",
    )
    .describe("On the telephone: Linked devices, Link a device, Link with phone number instead. The number is ready when it was typed in.")
    .body(schema::object([("phone", schema::text(7, PHONE_MOST as u32).example("+250788123456"))]).required(["phone"]))
    .responds(
        200,
        "The code, and until when it can be typed in.",
        schema::object([("code", schema::string().example("WZYE-8R34")), ("code_until", schema::date_time())])
            .required(["code", "code_until"]),
    )
    .responds(
        409,
        "`no_pairing_code`: numbers of its engine are not linked so, or WhatsApp gives out none now; `already_linked`; `held_elsewhere`.",
        schema::component("Error"),
    );
    vec![handled(operation, move |call| pair(call, wave.clone()))]
}

async fn pair(call: Call, wave: Arc<Wave>) -> Result<Reply> {
    let (kernel, tenant, id) = (call.kernel.clone(), call.tenant()?.clone(), call.id()?);
    let mut input = Input::new(call.json()?, false)?;
    let phone = input.required_text("phone", PHONE_MOST).and_then(|text| {
        let phone = Address::phone(&text);
        if phone.is_none() {
            input.refuse("phone", "invalid", "Write the telephone number with its country code.");
        }
        phone
    });
    input.finish()?;
    let phone = phone.ok_or_else(|| Problem::internal("input that was checked is gone"))?;
    let company = tenant.company;
    let number = kernel.db.read(tenant.view(), move |reader| number::get(reader, company, id)).await?;
    let engine = wave.engine(&number.engine).ok_or_else(|| no_engine(&number.engine))?;
    let pairing = engine.pair(&kernel, &number, &phone).await?;
    call.commit(tenant.view(), move |_| {
        Reply::json(200, &json!({"code": pairing.code, "code_until": pairing.until.to_string()}))
    })
    .await
}
