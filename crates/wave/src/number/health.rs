//! `/api/v1/loopwave/numbers/{id}/health/`: how one line stands, at a glance.

use std::sync::Arc;

use loopd_store::Reader;
use loopd_types::{Result, Timestamp};
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use super::http::NUMBERS;
use super::{State, watch};
use crate::{Wave, limit, number, outgoing};

pub fn operation(wave: &Arc<Wave>) -> Operation {
    let wave = wave.clone();
    let operation =
        Operation::get(NUMBERS.operation_id("health"), format!("{}health/", NUMBERS.item_url()), move |call| {
            health(call, wave.clone())
        });
    NUMBERS
        .document(operation, "Read how a number stands: whether it lives, what waits, what was sent and failed")
        .tenant(NUMBERS.product, &NUMBERS.permission("view"))
        .responds(200, "Now.", schema_of())
}

fn schema_of() -> Json {
    let moment = || schema::date_time().nullable();
    let fields = [
        ("state", schema::one_of(State::ALL.map(State::as_str))),
        ("state_reason", schema::string().nullable()),
        ("state_at", schema::date_time()),
        ("is_alive", schema::boolean().describe("Ready, and the last question about it was answered.")),
        ("probed_at", moment().describe("When WhatsApp was last asked whether it lives.")),
        ("probe_failures", schema::integer().describe("Questions in a row without an answer.")),
        ("queue_depth", schema::integer().describe("Messages that wait or are being handed over.")),
        ("sent_count", schema::integer()),
        ("failed_count", schema::integer()),
        ("received_count", schema::integer()),
        ("last_inbound_at", moment()),
        ("last_outbound_at", moment()),
        ("paused_until", moment().describe("Nothing goes out by itself before.")),
        ("pause_reason", schema::string().nullable()),
        ("quality", schema::string().nullable().describe("Cloud API: GREEN, YELLOW or RED, as Meta rates it.")),
        ("tier", schema::string().nullable().describe("Cloud API: to how many it may write first in 24 hours.")),
        (
            "people_limit",
            schema::integer().nullable().describe("The same as a number; null without an end, or before Meta said."),
        ),
        (
            "people_today",
            schema::integer()
                .nullable()
                .describe("Who were written to first in the last 24 hours, by all numbers of the account."),
        ),
    ];
    let names = fields.clone().map(|(name, _)| name);
    schema::object(fields).required(names)
}

async fn health(call: Call, wave: Arc<Wave>) -> Result<Reply> {
    let (tenant, id, now) = (call.tenant()?.clone(), call.id()?, call.kernel.now());
    let work = move |reader: &mut Reader<'_>| {
        let company = tenant.company;
        let number = number::get(reader, company, id)?;
        let figures = watch::store::figures(reader, company, id)?;
        let limits = wave.engine(&number.engine).and_then(|engine| engine.limits(&number));
        let people = match &limits {
            Some(limits) => Some(limit::store::people(reader, company, &limits.account, now)?),
            None => None,
        };
        let written = |at: Option<Timestamp>| at.map(|at| at.to_string());
        let body = json!({
            "state": number.state.as_str(),
            "state_reason": number.state_reason,
            "state_at": number.state_at.to_string(),
            "is_alive": number.is_ready() && figures.probe_failures == 0,
            "probed_at": written(figures.probed_at),
            "probe_failures": figures.probe_failures,
            "queue_depth": outgoing::store::queue_depth(reader, company, id)?,
            "sent_count": figures.sent,
            "failed_count": figures.failed,
            "received_count": figures.received,
            "last_inbound_at": written(figures.inbound_at),
            "last_outbound_at": written(figures.outbound_at),
            "paused_until": written(number.paused_until.filter(|until| *until > now)),
            "pause_reason": number.pause_reason,
            "quality": number.config["quality"].as_str(),
            "tier": number.config["tier"].as_str(),
            "people_limit": limits.as_ref().and_then(|limits| limits.people),
            "people_today": people,
        });
        Reply::json(200, &body)
    };
    call.kernel.db.read(call.tenant()?.view(), work).await
}
