//! The state that WhatsApp's devices keep alike: its keys, how far it was read, and what proves it whole.

use async_trait::async_trait;
use loopd_types::hex;
use loopd_wave::engine::web::store::state::Name;
use whatsapp_rust::store::error::Result as Stored;
use whatsapp_rust::store::traits::{AppStateSyncKey, AppSyncStore};
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;

use super::{Backend, json, kind};

/// Collections have names that tell of nobody, and entries of them are known by codes.
fn mutation(collection: &str, index_mac: &[u8]) -> Name {
    Name { kind: kind::MUTATION, family: collection.to_owned(), item: hex(index_mac) }
}

#[async_trait]
impl AppSyncStore for Backend {
    async fn get_sync_key(&self, key_id: &[u8]) -> Stored<Option<AppStateSyncKey>> {
        self.get_json(Self::plain(kind::SYNC_KEY, hex(key_id))).await
    }

    async fn set_sync_key(&self, key_id: &[u8], key: AppStateSyncKey) -> Stored<()> {
        let entries = vec![
            (Self::plain(kind::SYNC_KEY, hex(key_id)), json(&key)?, None),
            (Self::plain(kind::LATEST_SYNC_KEY, ""), key_id.to_vec(), None),
        ];
        self.put_all(entries).await
    }

    async fn get_version(&self, name: &str) -> Stored<HashState> {
        Ok(self.get_json(Self::plain(kind::SYNC_VERSION, name)).await?.unwrap_or_default())
    }

    async fn set_version(&self, name: &str, state: HashState) -> Stored<()> {
        self.put_json(Self::plain(kind::SYNC_VERSION, name), &state).await
    }

    async fn put_mutation_macs(&self, name: &str, _version: u64, mutations: &[AppStateMutationMAC]) -> Stored<()> {
        let entries = mutations.iter();
        let entries = entries.map(|it| (mutation(name, &it.index_mac), it.value_mac.clone(), None)).collect();
        self.put_all(entries).await
    }

    async fn get_mutation_mac(&self, name: &str, index_mac: &[u8]) -> Stored<Option<Vec<u8>>> {
        self.get(mutation(name, index_mac)).await
    }

    async fn delete_mutation_macs(&self, name: &str, index_macs: &[Vec<u8>]) -> Stored<()> {
        self.remove(index_macs.iter().map(|index_mac| mutation(name, index_mac)).collect()).await
    }

    async fn clear_mutation_macs(&self, name: &str) -> Stored<()> {
        self.remove_all(kind::MUTATION, Some(name.to_owned())).await
    }

    async fn get_latest_sync_key_id(&self) -> Stored<Option<Vec<u8>>> {
        self.get(Self::plain(kind::LATEST_SYNC_KEY, "")).await
    }
}
