//! Identities, sessions and keys of the Signal protocol.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use loopd_wave::engine::web::store::state::{self, Name};
use whatsapp_rust::store::error::{Result as Stored, StoreError};
use whatsapp_rust::store::traits::SignalStore;

use super::{Backend, kind};

impl Backend {
    /// `user@server` or `user:device@server`, among everything of the user's.
    fn of_address(&self, kind: &'static str, address: &str) -> Name {
        let user = address.split(['@', ':']).next().unwrap_or_default();
        self.hidden(kind, user, address)
    }
}

/// So that the last by its text is the last by its number.
fn numbered(kind: &'static str, id: u32) -> Name {
    Backend::plain(kind, format!("{id:010}"))
}

fn number_of(name: &Name) -> Stored<u32> {
    name.item.parse().map_err(|_| StoreError::Validation(format!("a {} is not numbered", name.kind)))
}

#[async_trait]
impl SignalStore for Backend {
    async fn put_identity(&self, address: &str, key: [u8; 32]) -> Stored<()> {
        self.put(self.of_address(kind::IDENTITY, address), &key).await
    }

    async fn put_identities_batch(&self, identities: &[(Arc<str>, [u8; 32])]) -> Stored<()> {
        let entries = identities.iter();
        let entries =
            entries.map(|(address, key)| (self.of_address(kind::IDENTITY, address), key.to_vec(), None)).collect();
        self.put_all(entries).await
    }

    async fn load_identity(&self, address: &str) -> Stored<Option<[u8; 32]>> {
        let found = self.get(self.of_address(kind::IDENTITY, address)).await?;
        let whole = |key: Vec<u8>| {
            <[u8; 32]>::try_from(key).map_err(|_| StoreError::Validation("an identity is not 32 bytes".to_owned()))
        };
        found.map(whole).transpose()
    }

    async fn delete_identity(&self, address: &str) -> Stored<()> {
        self.remove(vec![self.of_address(kind::IDENTITY, address)]).await
    }

    async fn get_session(&self, address: &str) -> Stored<Option<Bytes>> {
        Ok(self.get(self.of_address(kind::SESSION, address)).await?.map(Bytes::from))
    }

    async fn put_session(&self, address: &str, session: &[u8]) -> Stored<()> {
        self.put(self.of_address(kind::SESSION, address), session).await
    }

    async fn put_sessions_batch(&self, sessions: &[(Arc<str>, Bytes)]) -> Stored<()> {
        let entries = sessions.iter();
        let entries =
            entries.map(|(address, record)| (self.of_address(kind::SESSION, address), record.to_vec(), None)).collect();
        self.put_all(entries).await
    }

    async fn delete_session(&self, address: &str) -> Stored<()> {
        self.remove(vec![self.of_address(kind::SESSION, address)]).await
    }

    async fn has_signal_state_for_user(&self, user: &str) -> Stored<bool> {
        let family = self.hidden(kind::SESSION, user, "").family;
        let kinds = [kind::SESSION, kind::IDENTITY];
        self.read(move |shared, reader| Ok(state::has_family(reader, shared.whose, &kinds, &family)?)).await
    }

    /// Which of them WhatsApp has is told by the device's own counters; nothing here asks for the mark.
    async fn store_prekey(&self, id: u32, record: &[u8], _uploaded: bool) -> Stored<()> {
        self.put(numbered(kind::PRE_KEY, id), record).await
    }

    async fn store_prekeys_batch(&self, keys: &[(u32, Bytes)], _uploaded: bool) -> Stored<()> {
        let entries = keys.iter().map(|(id, record)| (numbered(kind::PRE_KEY, *id), record.to_vec(), None)).collect();
        self.put_all(entries).await
    }

    async fn load_prekey(&self, id: u32) -> Stored<Option<Bytes>> {
        Ok(self.get(numbered(kind::PRE_KEY, id)).await?.map(Bytes::from))
    }

    async fn load_prekeys_batch(&self, ids: &[u32]) -> Stored<Vec<(u32, Bytes)>> {
        let ids = ids.to_vec();
        self.read(move |shared, reader| {
            let mut found = Vec::with_capacity(ids.len());
            for id in &ids {
                if let Some(record) = shared.got(reader, &numbered(kind::PRE_KEY, *id))? {
                    found.push((*id, Bytes::from(record)));
                }
            }
            Ok(found)
        })
        .await
    }

    async fn mark_prekeys_uploaded(&self, _ids: &[u32]) -> Stored<()> {
        Ok(())
    }

    async fn remove_prekey(&self, id: u32) -> Stored<()> {
        self.remove(vec![numbered(kind::PRE_KEY, id)]).await
    }

    async fn get_max_prekey_id(&self) -> Stored<u32> {
        let last = self.read(|shared, reader| Ok(state::last_item(reader, shared.whose, kind::PRE_KEY)?)).await?;
        last.map_or(Ok(0), |item| number_of(&Backend::plain(kind::PRE_KEY, item)))
    }

    async fn store_signed_prekey(&self, id: u32, record: &[u8]) -> Stored<()> {
        self.put(numbered(kind::SIGNED_PRE_KEY, id), record).await
    }

    async fn load_signed_prekey(&self, id: u32) -> Stored<Option<Vec<u8>>> {
        self.get(numbered(kind::SIGNED_PRE_KEY, id)).await
    }

    async fn load_all_signed_prekeys(&self) -> Stored<Vec<(u32, Vec<u8>)>> {
        let found = self.list(kind::SIGNED_PRE_KEY, None).await?;
        found.into_iter().map(|(name, record)| Ok((number_of(&name)?, record))).collect()
    }

    async fn remove_signed_prekey(&self, id: u32) -> Stored<()> {
        self.remove(vec![numbered(kind::SIGNED_PRE_KEY, id)]).await
    }

    async fn put_sender_key(&self, address: &str, record: &[u8]) -> Stored<()> {
        self.put(self.hidden(kind::SENDER_KEY, "", address), record).await
    }

    async fn put_sender_keys_batch(&self, sender_keys: &[(Arc<str>, Bytes)]) -> Stored<()> {
        let entries = sender_keys.iter();
        let entries = entries
            .map(|(address, record)| (self.hidden(kind::SENDER_KEY, "", address), record.to_vec(), None))
            .collect();
        self.put_all(entries).await
    }

    async fn get_sender_key(&self, address: &str) -> Stored<Option<Vec<u8>>> {
        self.get(self.hidden(kind::SENDER_KEY, "", address)).await
    }

    async fn delete_sender_key(&self, address: &str) -> Stored<()> {
        self.remove(vec![self.hidden(kind::SENDER_KEY, "", address)]).await
    }
}
