//! Writing down what came in, before the library tells WhatsApp that it has it.
//!
//! The library calls [`Hook::on_messages`] for every end-to-end encrypted message, after it has laid the decrypted message into our store
//! and before it acknowledges it. What we answer decides: after `Ok` the message is acknowledged; after `Err`, or when the process dies,
//! it is not, and WhatsApp sends it again on the next connection, where the library brings the laid-aside copy. So a message is written at
//! least once, and WhatsApp's id makes that once.
//!
//! What this cannot promise: channels' messages and those that a telephone re-sends because this device could not decrypt them
//! (placeholders) are acknowledged on ways of their own, and receipts are acknowledged before we hear of them. Those come as events and
//! are written as soon as they do. And if laying the decrypted message aside fails while the process lives on, the library withholds the
//! acknowledgement, but can no longer decrypt what comes again.

use std::sync::Arc;

use async_trait::async_trait;
use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::{Problem, Result};
use loopd_wave::engine::web::store::state;
use loopd_wave::message::{self, Taken};
use loopd_wave::number;
use whatsapp_rust::prelude::{Client, InboundMessage};
use whatsapp_rust::store::traits::ProtocolStore as _;
use whatsapp_rust::{InboundDurabilityHook, Jid, anyhow};

use super::read::{self, Read};
use crate::backend::{Backend, kind};
use crate::media;

/// Takes what comes in on one line.
#[derive(Clone)]
pub struct Hook {
    kernel: Arc<Kernel>,
    backend: Backend,
}

impl Hook {
    pub fn new(kernel: Arc<Kernel>, backend: Backend) -> Self {
        Self { kernel, backend }
    }

    /// Writes messages down, all or none; those that are known already change nothing.
    ///
    /// # Errors
    /// 404 for a line that is gone; the database's. Then WhatsApp sends them again.
    pub async fn take(&self, batch: &[InboundMessage]) -> Result<()> {
        let now = self.kernel.now();
        let mut all = Vec::with_capacity(batch.len());
        for item in batch {
            let other = self.other(item).await?;
            all.extend(read::inbound(item, other.as_ref(), now));
        }
        self.write(all).await
    }

    /// What the other side is also known by, where the message does not say.
    async fn other(&self, item: &InboundMessage) -> Result<Option<Jid>> {
        let source = &item.info.source;
        let (jid, told) = if source.is_from_me {
            (&source.chat, source.recipient_alt.is_some() || item.info.peer_recipient_pn.is_some())
        } else {
            (&source.sender, source.sender_alt.is_some())
        };
        if told {
            return Ok(None);
        }
        let failed = |error| Problem::unavailable(format!("what a person is known by could not be read: {error}"));
        if jid.is_lid() {
            let found = self.backend.get_lid_mapping(&jid.user).await.map_err(failed)?;
            return Ok(found.map(|it| Jid::pn(it.phone_number)));
        }
        if jid.is_pn() {
            let found = self.backend.get_pn_mapping(&jid.user).await.map_err(failed)?;
            return Ok(found.map(|it| Jid::lid(it.lid)));
        }
        Ok(None)
    }

    /// # Errors
    /// As [`Hook::take`].
    pub async fn write(&self, all: Vec<Read>) -> Result<()> {
        if all.is_empty() {
            return Ok(());
        }
        let whose = self.backend.whose();
        let access = self.kernel.company_access(whose.company).await?;
        let access = access.ok_or_else(|| Problem::internal("a line of no company"))?;
        let tenant = Arc::new(Tenant::system(access, "loopwave web"));
        let (kernel, backend) = (self.kernel.clone(), self.backend.clone());
        self.kernel
            .db
            .write(tenant.view(), move |tx| all.iter().try_for_each(|it| written(tx, &kernel, &backend, &tenant, it)))
            .await
    }
}

fn written(tx: &mut Tx<'_>, kernel: &Kernel, backend: &Backend, tenant: &Tenant, it: &Read) -> Result<()> {
    let whose = backend.whose();
    let number = number::get(tx, whose.company, whose.number)?;
    let received = message::at_home(tx, &number, &it.received)?;
    let taken = message::receive(tx, kernel, tenant, &number, &received)?;
    let Taken::New { message, .. } = taken else { return Ok(()) };
    // What came before the number was linked is not fetched: a telephone's whole past would come through one connection.
    let Some(locked) = it.locked.as_ref().filter(|_| !it.received.is_history) else { return Ok(()) };
    let plain = serde_json::to_vec(locked).map_err(Problem::internal)?;
    let name = Backend::plain(kind::MEDIA, message.id.to_string());
    state::put(tx, whose, &[backend.entry(name, &plain, None)?])?;
    media::fetch_later(tx, kernel, whose, &message)
}

#[async_trait]
impl InboundDurabilityHook for Hook {
    async fn on_messages(&self, _client: Arc<Client>, batch: &[InboundMessage]) -> anyhow::Result<()> {
        self.take(batch).await.map_err(|problem| {
            let words = problem.cause().unwrap_or(problem.message()).to_owned();
            tracing::warn!(words, "messages could not be written down; WhatsApp will send them again");
            anyhow::anyhow!(words)
        })
    }
}
