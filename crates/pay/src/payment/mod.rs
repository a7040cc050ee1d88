//! Payments: what projects were paid. A challenge says what is asked, `redeem` verifies, settles, records and receipts in one call; the
//! records follow settlements, whoever concludes them.

mod http;
pub(crate) mod offer;
mod redeem;
pub(crate) mod rules;
pub mod store;
pub mod wire;

pub use http::operations;

use std::sync::Arc;

use loopd_kernel::access::Actor;
use loopd_kernel::collection::{Collected, Stage};
use loopd_kernel::{Kernel, event};
use loopd_store::Tx;
use loopd_types::{Problem, Result};
use serde_json::json;

use crate::endpoint::{store as endpoints, webhook};
use crate::payment::store::{Status, Written};
use crate::project::store as projects;
use crate::settlement::{Purpose, Sale, Settlement, State};
use crate::wire::{iso, public_id};
use crate::{keys, receipt};

/// A payment is good and is about to be written down and carried out. Whoever keeps the books of what is sold is asked, if it is another
/// product.
///
/// # Errors
/// Theirs, which undo everything: nothing is recorded, and nothing moves.
pub fn begun(tx: &mut Tx<'_>, kernel: &Arc<Kernel>, settlement: &Settlement) -> Result<()> {
    let Purpose::Sale(sale) = &settlement.purpose else { return Ok(()) };
    note(tx, kernel, settlement, sale, Stage::Begun)
}

/// Tells the books of what was sold, if it is another product's.
fn note(tx: &mut Tx<'_>, kernel: &Arc<Kernel>, settlement: &Settlement, sale: &Sale, stage: Stage) -> Result<()> {
    let Some(document) = sale.document.clone() else { return Ok(()) };
    let collection = kernel.collection().ok_or_else(|| Problem::internal("nobody keeps the books of what was sold"))?;
    let payment = Collected {
        company: sale.company,
        reference: settlement.id,
        document,
        payer: settlement.key.payer.to_string(),
        network: sale.network.clone(),
        micros: micros(settlement)?,
        is_sandbox: settlement.is_sandbox(),
        stage,
    };
    collection.books.note(tx, kernel, &payment)
}

/// A settlement was written down and is under way. Called in the transaction that does so; again for the same settlement, with another
/// purpose perhaps, when one that had failed is tried again.
///
/// # Errors
/// Any, which undo the settlement's record too.
pub fn recorded(tx: &mut Tx<'_>, kernel: &Arc<Kernel>, settlement: &Settlement) -> Result<()> {
    let Purpose::Sale(sale) = &settlement.purpose else { return Ok(()) };
    let id = store::id_for(tx, kernel, sale.company, settlement.id)?;
    Ok(store::write(tx, &written(settlement, sale, id, Status::Verified)?)?)
}

/// A settlement is settled or has failed (`settlement.state`). Called in the transaction that makes it so; without [`recorded`] before it
/// when both are one transaction, as in the sandbox.
///
/// # Errors
/// Any, which undo the conclusion too: it is then tried again.
pub fn concluded(tx: &mut Tx<'_>, kernel: &Arc<Kernel>, settlement: &Settlement) -> Result<()> {
    let Purpose::Sale(sale) = &settlement.purpose else { return Ok(()) };
    let id = store::id_for(tx, kernel, sale.company, settlement.id)?;
    if settlement.state != State::Settled {
        let reason = settlement.reason.clone().unwrap_or_default();
        note(tx, kernel, settlement, sale, Stage::Failed { reason })?;
        return Ok(store::write(tx, &written(settlement, sale, id, Status::Failed)?)?);
    }
    let mut payment = written(settlement, sale, id, Status::Settled)?;
    let signer = projects::signer(tx, sale.company, sale.project)?;
    let (public, endpoint) = (public_id(wire::PREFIX, id), sale.endpoint.map(|it| public_id(wire::ENDPOINT, it)));
    let key = keys::open_signing(kernel, sale.project, &signer.signing_key)?;
    let signed = receipt::sign(
        &key,
        &receipt::Body {
            payment_id: &public,
            endpoint_id: endpoint.as_deref(),
            identity_id: &signer.public_id,
            payer: &payment.payer,
            recipient: &payment.recipient,
            amount_micros: payment.amount_micros,
            network: &payment.network,
            tx_hash: payment.tx_hash.as_deref().unwrap_or_default(),
            at: payment.settled_at.unwrap_or(settlement.created_at),
        },
    );
    payment.receipt = Some(signed.clone());
    let transaction = payment.tx_hash.clone().unwrap_or_default();
    // Before anything is written that others wait for: the books lock what was paid.
    note(tx, kernel, settlement, sale, Stage::Settled { transaction, receipt: receipt::with_hex(&signed) })?;
    store::write(tx, &payment)?;
    if let Some(endpoint) = sale.endpoint {
        endpoints::count(tx, sale.company, endpoint, payment.amount_micros)?;
    }
    let told = json!({
        "event": webhook::EVENT,
        "id": public,
        "identityId": signer.public_id,
        "endpointId": endpoint,
        "amountUsdcRaw": payment.amount_micros.to_string(),
        "network": payment.network,
        "payerAddress": payment.payer,
        "recipientAddress": payment.recipient,
        "txHash": payment.tx_hash,
        "resourceUrl": payment.resource,
        "sandbox": payment.is_sandbox,
        "settledAt": payment.settled_at.map(iso),
        "signedReceipt": receipt::with_hex(&signed),
    });
    let actor = Actor { user: None, credential: None, origin: None, reason: Some("settlement") };
    let subject = webhook::subject(sale.endpoint, id);
    Ok(event::emit_by(tx, kernel, sale.company, &actor, webhook::RECEIVED, &subject, told.to_string())?)
}

fn written(settlement: &Settlement, sale: &Sale, id: loopd_types::Uuid, status: Status) -> Result<Written> {
    Ok(Written {
        id,
        company: sale.company,
        project: sale.project,
        endpoint: sale.endpoint,
        settlement: settlement.id,
        network: sale.network.clone(),
        payer: settlement.key.payer.to_string(),
        recipient: settlement.pay_to.to_string(),
        amount_micros: micros(settlement)?,
        nonce: settlement.key.nonce.to_string(),
        tx_hash: settlement.tx_hash.map(|hash| hash.to_string()),
        status,
        failure_reason: settlement.reason.clone(),
        resource: sale.resource.clone(),
        description: sale.description.clone(),
        is_sandbox: settlement.is_sandbox(),
        receipt: None,
        created_at: settlement.created_at,
        settled_at: (status == Status::Settled).then(|| settlement.concluded_at.unwrap_or(settlement.created_at)),
    })
}

fn micros(settlement: &Settlement) -> Result<i64> {
    i64::try_from(settlement.amount).map_err(|_| Problem::internal("a sale of more USDC than there is"))
}
