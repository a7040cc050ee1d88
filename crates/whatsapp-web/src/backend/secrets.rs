//! Secrets of single messages: what opens a vote, an edit or a reaction that refers to one.

use async_trait::async_trait;
use loopd_types::{Problem, Result};
use loopd_wave::engine::web::store::state::{self, Name};
use serde::{Deserialize, Serialize};
use whatsapp_rust::store::error::Result as Stored;
use whatsapp_rust::store::traits::{
    MessageSecret, MsgSecretEntry, MsgSecretStore, merge_msg_secret_expiry, merge_msg_secret_message_ts,
};

use super::{Backend, kind, moment};

/// Entries of one transaction: after a number was linked there are thousands.
const PIECE: usize = 200;

#[derive(Serialize, Deserialize)]
struct Kept {
    secret: MessageSecret,
    /// Unix seconds; 0 for ever.
    expires_at: i64,
    /// Unix seconds; 0 when nobody knows.
    message_ts: i64,
}

impl Backend {
    fn of_message(&self, chat: &str, sender: &str, id: &str) -> Name {
        self.hidden(kind::MESSAGE_SECRET, chat, &format!("{sender}\n{id}"))
    }

    /// A secret, together with what is known of it already: nothing makes it go sooner, or its message younger.
    fn merged(&self, known: Option<&Kept>, entry: &MsgSecretEntry) -> Kept {
        let (expires_at, message_ts) = (entry.expires_at, entry.message_ts);
        Kept {
            secret: entry.secret,
            expires_at: known.map_or(expires_at, |known| merge_msg_secret_expiry(known.expires_at, expires_at)),
            message_ts: known.map_or(message_ts, |known| merge_msg_secret_message_ts(known.message_ts, message_ts)),
        }
    }

    fn put_secrets(&self, tx: &mut loopd_store::Tx<'_>, entries: &[MsgSecretEntry]) -> Result<()> {
        self.lock(tx)?;
        for entry in entries {
            let name = self.of_message(&entry.chat, &entry.sender, &entry.msg_id);
            let known: Option<Kept> = self.got_json(tx, &name)?;
            let kept = self.merged(known.as_ref(), entry);
            let pruned_by = (kept.expires_at != 0).then(|| moment(kept.expires_at));
            let plain = serde_json::to_vec(&kept).map_err(Problem::internal)?;
            state::put(tx, self.whose, &[self.entry(name, &plain, pruned_by)?])?;
        }
        Ok(())
    }
}

#[async_trait]
impl MsgSecretStore for Backend {
    async fn put_msg_secrets(&self, entries: Vec<MsgSecretEntry>) -> Stored<usize> {
        for piece in entries.chunks(PIECE) {
            let piece = piece.to_vec();
            self.write(move |shared, tx| shared.put_secrets(tx, &piece)).await?;
        }
        Ok(entries.len())
    }

    async fn get_msg_secret(&self, chat: &str, sender: &str, msg_id: &str) -> Stored<Option<Vec<u8>>> {
        Ok(self.get_msg_secret_with_ts(chat, sender, msg_id).await?.map(|(secret, _)| secret))
    }

    async fn get_msg_secret_with_ts(&self, chat: &str, sender: &str, msg_id: &str) -> Stored<Option<(Vec<u8>, i64)>> {
        let kept: Option<Kept> = self.get_json(self.of_message(chat, sender, msg_id)).await?;
        Ok(kept.map(|kept| (kept.secret.to_vec(), kept.message_ts)))
    }

    async fn delete_expired_msg_secrets(&self, cutoff_timestamp: i64) -> Stored<u32> {
        self.prune(kind::MESSAGE_SECRET, cutoff_timestamp).await
    }
}
