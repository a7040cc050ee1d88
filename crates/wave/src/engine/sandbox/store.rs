//! What the simulated WhatsApp knows.

use std::sync::Arc;

use loopd_kernel::Kernel;
use loopd_store::{Value, View, dialect, params};
use loopd_types::{CompanyId, Problem, Result, SECOND_US, Timestamp, Uuid};

use crate::engine::{Outgoing, Stage};
use crate::number::Number;

/// How long a message is on its way to the telephone, and how long until somebody looks at it.
const DELIVERED_AFTER_US: i64 = SECOND_US / 2;
const READ_AFTER_US: i64 = 2 * SECOND_US;

/// What it calls a message of ours.
pub fn wa_id(message: Uuid) -> String {
    format!("sandbox.{}", message.simple())
}

/// Takes a message, once.
pub async fn take(kernel: &Arc<Kernel>, number: &Number, outgoing: &Outgoing) -> Result<()> {
    let (id, now, company, number) = (kernel.new_id(), kernel.now(), number.company, number.id);
    let content = serde_json::to_string(&outgoing.content).map_err(Problem::internal)?;
    let (message, jid) = (outgoing.message, outgoing.to.to_string());
    kernel
        .db
        .write(View::Company(company), move |tx| {
            tx.execute(
                "INSERT INTO wave_sandbox_messages (company_id, id, number_id, message_id, jid, content, stage, next_at, created_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, 'sent', $7, $8) ON CONFLICT (company_id, message_id) DO NOTHING",
                &params![
                    company,
                    id,
                    number,
                    message,
                    jid.as_str(),
                    Value::Json(content.clone()),
                    now.plus(DELIVERED_AFTER_US),
                    now
                ],
            )?;
            Ok(())
        })
        .await
}

/// Whether it took a message.
pub async fn has(kernel: &Arc<Kernel>, company: CompanyId, message: Uuid) -> Result<bool> {
    kernel
        .db
        .read(View::Company(company), move |reader| {
            let sql = "SELECT 1 FROM wave_sandbox_messages WHERE company_id = $1 AND message_id = $2";
            Ok(reader.first(sql, &params![company, message], |row| row.i64(0))?.is_some())
        })
        .await
}

/// A message that comes one step further.
pub struct Step {
    pub company: CompanyId,
    pub number: Uuid,
    pub message: Uuid,
    pub stage: Stage,
}

/// Walks the messages along whose time has come.
pub async fn walk(kernel: &Arc<Kernel>, most: usize) -> Result<Vec<Step>> {
    let now = kernel.now();
    let some = "SELECT 1 FROM wave_sandbox_messages WHERE next_at <= $1 LIMIT 1";
    let is_due =
        kernel.db.read(View::System, move |reader| Ok(reader.first(some, &params![now], |row| row.i64(0))?.is_some()));
    if !is_due.await? {
        return Ok(Vec::new());
    }
    kernel
        .db
        .write(View::System, move |tx| {
            let sql = format!(
                "SELECT company_id, id, number_id, message_id, stage FROM wave_sandbox_messages WHERE next_at <= $1 \
                 ORDER BY next_at LIMIT {most}{}",
                dialect::for_update_skip_locked(tx.engine())
            );
            let due = tx.query(&sql, &params![now], |row| {
                let stage = if row.text(4)? == "sent" { Stage::Delivered } else { Stage::Read };
                let step = Step { company: CompanyId(row.i64(0)?), number: row.uuid(2)?, message: row.uuid(3)?, stage };
                Ok((row.uuid(1)?, step))
            })?;
            for (id, step) in &due {
                let next: Option<Timestamp> = (step.stage == Stage::Delivered).then(|| now.plus(READ_AFTER_US));
                tx.push(
                    "UPDATE wave_sandbox_messages SET stage = $3, next_at = $4 WHERE company_id = $1 AND id = $2",
                    params![step.company, *id, step.stage.as_str(), next],
                )?;
            }
            Ok(due.into_iter().map(|(_, step)| step).collect())
        })
        .await
}
