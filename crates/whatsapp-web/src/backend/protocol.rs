//! What WhatsApp adds to the Signal protocol: who is known by which id, whose devices are which, and what was sent or came in a moment ago.

use async_trait::async_trait;
use loopd_types::{Problem, Result};
use loopd_wave::engine::web::store::state::{self, Name};
use serde::{Deserialize, Serialize};
use whatsapp_rust::store::error::Result as Stored;
use whatsapp_rust::store::traits::{
    DeviceListRecord, LidPnMappingEntry, PendingInboundKey, PendingInboundRow, ProtocolStore, TcTokenEntry,
};

use super::{Backend, json, kind, parsed};

/// Whether a device has the key of a group.
#[derive(Serialize, Deserialize)]
struct Holder {
    device: String,
    has_key: bool,
}

/// A token of a contact's, and whose it is.
#[derive(Serialize, Deserialize)]
struct Token {
    jid: String,
    entry: TcTokenEntry,
}

impl Backend {
    fn pending(&self, chat: &str, sender: &str, id: &str) -> Name {
        self.hidden(kind::PENDING, chat, &format!("{sender}\n{id}"))
    }

    fn base_key(&self, address: &str, message_id: &str) -> Name {
        self.hidden(kind::BASE_KEY, address, message_id)
    }

    fn token(&self, jid: &str) -> Name {
        self.hidden(kind::PRIVACY_TOKEN, "", jid)
    }

    /// Changes a contact's token in one transaction, whatever it is by then; `None` leaves it.
    async fn change_token<F>(&self, jid: &str, change: F) -> Stored<()>
    where
        F: Fn(Option<TcTokenEntry>) -> Option<TcTokenEntry> + Send + 'static,
    {
        let (name, jid) = (self.token(jid), jid.to_owned());
        self.write(move |shared, tx| {
            shared.lock(tx)?;
            let known: Option<Token> = shared.got_json(tx, &name)?;
            let Some(entry) = change(known.map(|token| token.entry)) else { return Ok(()) };
            let plain = serde_json::to_vec(&Token { jid: jid.clone(), entry }).map_err(Problem::internal)?;
            Ok(state::put(tx, shared.whose, &[shared.entry(name.clone(), &plain, None)?])?)
        })
        .await
    }

    /// Writes what a person is known by, both ways; the telephone number that they had before leads nowhere.
    fn map(&self, tx: &mut loopd_store::Tx<'_>, entry: &LidPnMappingEntry) -> Result<()> {
        let name = self.hidden(kind::BY_LID, "", &entry.lid);
        let before: Option<LidPnMappingEntry> = self.got_json(tx, &name)?;
        if let Some(before) = before.filter(|before| before.phone_number != entry.phone_number) {
            state::remove(tx, self.whose, &[self.hidden(kind::BY_PHONE, "", &before.phone_number)])?;
        }
        let plain = serde_json::to_vec(entry).map_err(Problem::internal)?;
        let by_phone = self.hidden(kind::BY_PHONE, "", &entry.phone_number);
        let entries = [self.entry(name, &plain, None)?, self.entry(by_phone, entry.lid.as_bytes(), None)?];
        Ok(state::put(tx, self.whose, &entries)?)
    }
}

#[async_trait]
impl ProtocolStore for Backend {
    async fn get_sender_key_devices(&self, group_jid: &str) -> Stored<Vec<(String, bool)>> {
        let family = self.hidden(kind::SENDER_KEY_DEVICE, group_jid, "").family;
        let found = self.list(kind::SENDER_KEY_DEVICE, Some(family)).await?;
        let holders = found.iter().map(|(_, plain)| parsed::<Holder>(plain));
        holders.map(|holder| holder.map(|it| (it.device, it.has_key))).collect()
    }

    async fn set_sender_key_status(&self, group_jid: &str, entries: &[(&str, bool)]) -> Stored<()> {
        let mut all = Vec::with_capacity(entries.len());
        for (device, has_key) in entries {
            let holder = Holder { device: (*device).to_owned(), has_key: *has_key };
            all.push((self.hidden(kind::SENDER_KEY_DEVICE, group_jid, device), json(&holder)?, None));
        }
        self.put_all(all).await
    }

    async fn clear_sender_key_devices(&self, group_jid: &str) -> Stored<()> {
        let family = self.hidden(kind::SENDER_KEY_DEVICE, group_jid, "").family;
        self.remove_all(kind::SENDER_KEY_DEVICE, Some(family)).await
    }

    async fn delete_sender_key_device_rows(&self, device_jids: &[&str]) -> Stored<()> {
        if device_jids.is_empty() {
            return Ok(());
        }
        let items: Vec<String> =
            device_jids.iter().map(|device| self.hidden(kind::SENDER_KEY_DEVICE, "", device).item).collect();
        self.write(move |shared, tx| Ok(state::remove_items(tx, shared.whose, kind::SENDER_KEY_DEVICE, &items)?)).await
    }

    async fn clear_all_sender_key_devices(&self) -> Stored<()> {
        self.remove_all(kind::SENDER_KEY_DEVICE, None).await
    }

    async fn get_lid_mapping(&self, lid: &str) -> Stored<Option<LidPnMappingEntry>> {
        self.get_json(self.hidden(kind::BY_LID, "", lid)).await
    }

    async fn get_pn_mapping(&self, phone: &str) -> Stored<Option<LidPnMappingEntry>> {
        let by_phone = self.hidden(kind::BY_PHONE, "", phone);
        self.read(move |shared, reader| {
            let Some(lid) = shared.got(reader, &by_phone)? else { return Ok(None) };
            let lid = String::from_utf8(lid).map_err(Problem::internal)?;
            shared.got_json(reader, &shared.hidden(kind::BY_LID, "", &lid))
        })
        .await
    }

    async fn put_lid_mapping(&self, entry: &LidPnMappingEntry) -> Stored<()> {
        self.put_lid_mappings(std::slice::from_ref(entry)).await
    }

    async fn put_lid_mappings(&self, entries: &[LidPnMappingEntry]) -> Stored<()> {
        let entries = entries.to_vec();
        self.write(move |shared, tx| {
            shared.lock(tx)?;
            entries.iter().try_for_each(|entry| shared.map(tx, entry))
        })
        .await
    }

    async fn get_all_lid_mappings(&self) -> Stored<Vec<LidPnMappingEntry>> {
        self.list(kind::BY_LID, None).await?.iter().map(|(_, plain)| parsed(plain)).collect()
    }

    async fn save_base_key(&self, address: &str, message_id: &str, base_key: &[u8]) -> Stored<()> {
        self.put(self.base_key(address, message_id), base_key).await
    }

    async fn has_same_base_key(&self, address: &str, message_id: &str, current_base_key: &[u8]) -> Stored<bool> {
        let known = self.get(self.base_key(address, message_id)).await?;
        Ok(known.is_some_and(|known| known == current_base_key))
    }

    async fn delete_base_key(&self, address: &str, message_id: &str) -> Stored<()> {
        self.remove(vec![self.base_key(address, message_id)]).await
    }

    async fn update_device_list(&self, record: DeviceListRecord) -> Stored<()> {
        self.update_device_lists(vec![record]).await
    }

    async fn update_device_lists(&self, records: Vec<DeviceListRecord>) -> Stored<()> {
        let mut all = Vec::with_capacity(records.len());
        for record in &records {
            all.push((self.hidden(kind::DEVICES, "", &record.user), json(record)?, None));
        }
        self.put_all(all).await
    }

    async fn get_devices(&self, user: &str) -> Stored<Option<DeviceListRecord>> {
        self.get_json(self.hidden(kind::DEVICES, "", user)).await
    }

    async fn delete_devices(&self, user: &str) -> Stored<()> {
        self.remove(vec![self.hidden(kind::DEVICES, "", user)]).await
    }

    async fn get_group_metadata(&self, group_jid: &str) -> Stored<Option<Vec<u8>>> {
        self.get(self.hidden(kind::GROUP, "", group_jid)).await
    }

    async fn put_group_metadata(&self, group_jid: &str, blob: &[u8]) -> Stored<()> {
        self.put(self.hidden(kind::GROUP, "", group_jid), blob).await
    }

    async fn delete_group_metadata(&self, group_jid: &str) -> Stored<()> {
        self.remove(vec![self.hidden(kind::GROUP, "", group_jid)]).await
    }

    async fn get_tc_token(&self, jid: &str) -> Stored<Option<TcTokenEntry>> {
        let found: Option<Token> = self.get_json(self.token(jid)).await?;
        Ok(found.map(|token| token.entry))
    }

    async fn put_tc_token(&self, jid: &str, entry: &TcTokenEntry) -> Stored<()> {
        self.put_json(self.token(jid), &Token { jid: jid.to_owned(), entry: entry.clone() }).await
    }

    async fn delete_tc_token(&self, jid: &str) -> Stored<()> {
        self.remove(vec![self.token(jid)]).await
    }

    async fn get_all_tc_token_jids(&self) -> Stored<Vec<String>> {
        let found = self.list(kind::PRIVACY_TOKEN, None).await?;
        found.iter().map(|(_, plain)| parsed::<Token>(plain).map(|token| token.jid)).collect()
    }

    async fn delete_expired_tc_tokens(&self, token_cutoff: i64, sender_cutoff: i64) -> Stored<u32> {
        self.write(move |shared, tx| {
            shared.lock(tx)?;
            let mut over = Vec::new();
            for (name, sealed) in state::list(tx, shared.whose, kind::PRIVACY_TOKEN, None)? {
                let token: Token = serde_json::from_slice(&shared.open(&name, &sealed)?).map_err(Problem::internal)?;
                let entry = token.entry;
                let is_good = !entry.token.is_empty() && entry.token_timestamp >= token_cutoff;
                let was_given = entry.sender_timestamp.is_some_and(|at| at >= sender_cutoff);
                if !is_good && !was_given {
                    over.push(name);
                }
            }
            state::remove(tx, shared.whose, &over)?;
            Ok(u32::try_from(over.len()).unwrap_or(u32::MAX))
        })
        .await
    }

    async fn touch_tc_token_sender_timestamp(&self, jid: &str, sender_timestamp: i64) -> Stored<()> {
        self.change_token(jid, move |known| {
            let mut entry = known.unwrap_or(TcTokenEntry {
                token: Vec::new(),
                token_timestamp: sender_timestamp,
                sender_timestamp: None,
            });
            entry.sender_timestamp = entry.sender_timestamp.max(Some(sender_timestamp));
            Some(entry)
        })
        .await
    }

    async fn store_received_tc_token(&self, jid: &str, token: &[u8], token_timestamp: i64) -> Stored<()> {
        let token = token.to_vec();
        self.change_token(jid, move |known| {
            let is_older =
                known.as_ref().is_some_and(|it| !it.token.is_empty() && token_timestamp < it.token_timestamp);
            let sender_timestamp = known.and_then(|it| it.sender_timestamp);
            (!is_older).then(|| TcTokenEntry { token: token.clone(), token_timestamp, sender_timestamp })
        })
        .await
    }

    async fn store_sent_message(&self, chat_jid: &str, message_id: &str, payload: &[u8]) -> Stored<()> {
        let name = self.hidden(kind::SENT, chat_jid, message_id);
        self.put_all(vec![(name, payload.to_vec(), Some(self.now()))]).await
    }

    async fn take_sent_message(&self, chat_jid: &str, message_id: &str) -> Stored<Option<Vec<u8>>> {
        let name = self.hidden(kind::SENT, chat_jid, message_id);
        self.write(move |shared, tx| {
            shared.lock(tx)?;
            let found = shared.got(tx, &name)?;
            if found.is_some() {
                state::remove(tx, shared.whose, std::slice::from_ref(&name))?;
            }
            Ok(found)
        })
        .await
    }

    async fn delete_expired_sent_messages(&self, cutoff_timestamp: i64) -> Stored<u32> {
        self.prune(kind::SENT, cutoff_timestamp - 1).await
    }

    async fn store_pending_inbound(&self, chat: &str, sender: &str, id: &str, message: &[u8]) -> Stored<()> {
        self.store_pending_inbound_batch(&[PendingInboundRow { chat, sender, id, message }]).await
    }

    async fn store_pending_inbound_batch(&self, rows: &[PendingInboundRow<'_>]) -> Stored<()> {
        let now = self.now();
        let rows = rows.iter();
        let rows =
            rows.map(|row| (self.pending(row.chat, row.sender, row.id), row.message.to_vec(), Some(now))).collect();
        self.put_all(rows).await
    }

    async fn get_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Stored<Option<Vec<u8>>> {
        self.get(self.pending(chat, sender, id)).await
    }

    async fn delete_pending_inbound(&self, chat: &str, sender: &str, id: &str) -> Stored<()> {
        self.delete_pending_inbound_batch(&[PendingInboundKey { chat, sender, id }]).await
    }

    async fn delete_pending_inbound_batch(&self, keys: &[PendingInboundKey<'_>]) -> Stored<()> {
        self.remove(keys.iter().map(|key| self.pending(key.chat, key.sender, key.id)).collect()).await
    }

    async fn delete_expired_pending_inbound(&self, cutoff_timestamp: i64) -> Stored<u32> {
        self.prune(kind::PENDING, cutoff_timestamp - 1).await
    }
}
