//! What the protocol keeps: what is written is read, by the node that holds the line alone, sealed, and until the device is unlinked.

use std::collections::BTreeMap;
use std::sync::Arc;

use loopd_store::View;
use loopd_types::{HOUR_US, SECOND_US};
use loopd_wave::engine::web::store::lease::LEASE_US;
use loopd_wave::number::State;
use loopd_whatsapp_web::backend::Backend;
use loopd_whatsapp_web::told::{self, Ended, Told};
use loopd_whatsapp_web::whatsapp_rust::bytes::Bytes;
use loopd_whatsapp_web::whatsapp_rust::store::traits::{
    AppSyncStore as _, DeviceInfo, DeviceListRecord, DeviceStore as _, LidPnMappingEntry, MsgSecretEntry,
    MsgSecretStore as _, PendingInboundKey, PendingInboundRow, ProtocolStore as _, SignalStore as _, TcTokenEntry,
};
use loopd_whatsapp_web::whatsapp_rust::wacore::appstate::hash::HashState;
use loopd_whatsapp_web::whatsapp_rust::wacore::appstate::processor::AppStateMutationMAC;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use crate::stage::{Stage, each};

/// Something that is done to a store of keyed values.
#[derive(Clone, Debug)]
enum Act {
    Put(u8, Vec<u8>),
    PutMany(Vec<(u8, Vec<u8>)>),
    Remove(u8),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let value = || proptest::collection::vec(any::<u8>(), 0..40);
    let act = prop_oneof![
        (0u8..6, value()).prop_map(|(key, value)| Act::Put(key, value)),
        proptest::collection::vec((0u8..6, value()), 0..5).prop_map(Act::PutMany),
        (0u8..6).prop_map(Act::Remove),
    ];
    proptest::collection::vec(act, 1..30)
}

/// People whose addresses begin alike, with several devices.
fn address(key: u8) -> String {
    ["1@lid", "1:2@lid", "11@lid", "1@s.whatsapp.net", "12:1@s.whatsapp.net", "2@lid"][usize::from(key)].to_owned()
}

#[tokio::test]
async fn whatever_is_done_to_sessions_and_keys_is_what_is_read() {
    each(async |stage: &Stage| {
        let backend = stage.backend("node").await;
        let mut runner = TestRunner::new(Config::default());
        for _ in 0..8 {
            let acts = acts().new_tree(&mut runner).unwrap().current();
            played(&backend, &acts).await;
        }
    })
    .await;
}

async fn played(backend: &Backend, acts: &[Act]) {
    let mut known: BTreeMap<u8, Vec<u8>> = BTreeMap::new();
    for key in 0..6 {
        backend.delete_session(&address(key)).await.unwrap();
        backend.remove_prekey(u32::from(key)).await.unwrap();
    }
    for act in acts {
        match act {
            Act::Put(key, value) => {
                backend.put_session(&address(*key), value).await.unwrap();
                backend.store_prekey(u32::from(*key), value, false).await.unwrap();
                known.insert(*key, value.clone());
            }
            Act::PutMany(all) => {
                let sessions: Vec<(Arc<str>, Bytes)> =
                    all.iter().map(|(key, value)| (address(*key).into(), Bytes::from(value.clone()))).collect();
                backend.put_sessions_batch(&sessions).await.unwrap();
                let keys: Vec<(u32, Bytes)> =
                    all.iter().map(|(key, value)| (u32::from(*key), Bytes::from(value.clone()))).collect();
                backend.store_prekeys_batch(&keys, true).await.unwrap();
                known.extend(all.iter().cloned());
            }
            Act::Remove(key) => {
                backend.delete_session(&address(*key)).await.unwrap();
                backend.remove_prekey(u32::from(*key)).await.unwrap();
                known.remove(key);
            }
        }
    }
    for key in 0..6 {
        let expected = known.get(&key).cloned().map(Bytes::from);
        assert_eq!(backend.get_session(&address(key)).await.unwrap(), expected, "{acts:?}");
        assert_eq!(backend.load_prekey(u32::from(key)).await.unwrap(), expected);
    }
    assert_eq!(backend.get_max_prekey_id().await.unwrap(), known.keys().max().copied().map_or(0, u32::from));
    let of_one = [0, 1, 3].iter().any(|key| known.contains_key(key));
    assert_eq!(backend.has_signal_state_for_user("1").await.unwrap(), of_one, "11 and 12 are others: {acts:?}");
}

fn mapping(lid: &str, phone: &str) -> LidPnMappingEntry {
    LidPnMappingEntry {
        lid: lid.to_owned(),
        phone_number: phone.to_owned(),
        created_at: 1,
        updated_at: 2,
        learning_source: "usync".to_owned(),
    }
}

#[tokio::test]
async fn everything_that_a_device_keeps_comes_back() {
    each(async |stage: &Stage| {
        let backend = stage.backend("node").await;
        // The device is made once, and is the same after it was read.
        assert!(!backend.exists().await.unwrap());
        backend.create().await.unwrap();
        let device = backend.load().await.unwrap().unwrap();
        assert!(backend.exists().await.unwrap() && device.pn.is_none());
        assert!(device.device_props.history_sync_config.is_set(), "what it says of itself is whole");
        let again = backend.load().await.unwrap().unwrap();
        assert_eq!(device.identity_key.public_key, again.identity_key.public_key);
        assert_eq!(device.signed_pre_key_signature, again.signed_pre_key_signature);
        let linked = loopd_whatsapp_web::whatsapp_rust::wacore::store::Device {
            pn: Some("250788000001:3@s.whatsapp.net".parse().unwrap()),
            ..again
        };
        backend.save(&linked).await.unwrap();
        assert_eq!(backend.load().await.unwrap().unwrap().pn, linked.pn);
        // Identities, sender keys, signed keys.
        backend.put_identities_batch(&[("1@lid".into(), [7; 32])]).await.unwrap();
        assert_eq!(backend.load_identity("1@lid").await.unwrap(), Some([7; 32]));
        backend.put_sender_key("g::1@lid", b"key").await.unwrap();
        assert_eq!(backend.get_sender_key("g::1@lid").await.unwrap().as_deref(), Some(&b"key"[..]));
        backend.store_signed_prekey(2, b"two").await.unwrap();
        backend.store_signed_prekey(10, b"ten").await.unwrap();
        assert_eq!(backend.load_all_signed_prekeys().await.unwrap(), [(2, b"two".to_vec()), (10, b"ten".to_vec())]);
        // State that devices keep alike.
        backend.set_sync_key(&[1], Default::default()).await.unwrap();
        backend.set_sync_key(&[2], Default::default()).await.unwrap();
        assert_eq!(backend.get_latest_sync_key_id().await.unwrap(), Some(vec![2]));
        backend.set_version("regular", HashState { version: 5, ..HashState::default() }).await.unwrap();
        assert_eq!(backend.get_version("regular").await.unwrap().version, 5);
        assert_eq!(backend.get_version("critical_block").await.unwrap().version, 0);
        let mac = |index: u8| AppStateMutationMAC { index_mac: vec![index; 32], value_mac: vec![index] };
        backend.put_mutation_macs("regular", 5, &[mac(1), mac(2)]).await.unwrap();
        backend.put_mutation_macs("critical_block", 1, &[mac(1)]).await.unwrap();
        backend.delete_mutation_macs("regular", &[vec![2; 32]]).await.unwrap();
        assert_eq!(backend.get_mutation_macs("regular", &[[1; 32], [2; 32]]).await.unwrap().len(), 1);
        backend.clear_mutation_macs("regular").await.unwrap();
        assert_eq!(backend.get_mutation_mac("regular", &[1; 32]).await.unwrap(), None);
        assert_eq!(backend.get_mutation_mac("critical_block", &[1; 32]).await.unwrap(), Some(vec![1]));
    })
    .await;
}

#[tokio::test]
async fn people_are_found_both_ways_and_by_their_newest_number() {
    each(async |stage: &Stage| {
        let backend = stage.backend("node").await;
        backend.put_lid_mappings(&[mapping("1", "250788000001"), mapping("2", "250788000002")]).await.unwrap();
        assert_eq!(backend.get_pn_mapping("250788000001").await.unwrap().unwrap().lid, "1");
        backend.put_lid_mapping(&mapping("1", "250788000003")).await.unwrap();
        assert!(backend.get_pn_mapping("250788000001").await.unwrap().is_none(), "nobody has that number any more");
        assert_eq!(backend.get_lid_mapping("1").await.unwrap().unwrap().phone_number, "250788000003");
        assert_eq!(backend.get_all_lid_mappings().await.unwrap().len(), 2);
        let list = DeviceListRecord {
            user: "1".to_owned(),
            devices: vec![DeviceInfo::new(3, Some(1))],
            timestamp: 1,
            phash: None,
            raw_id: Some(9),
        };
        backend.update_device_lists(vec![list]).await.unwrap();
        assert_eq!(backend.get_devices("1").await.unwrap().unwrap().devices[0].device_id, 3);
        backend.delete_devices("1").await.unwrap();
        assert!(backend.get_devices("1").await.unwrap().is_none());
        backend.set_sender_key_status("g@g.us", &[("1:3@lid", true), ("2:1@lid", false)]).await.unwrap();
        backend.set_sender_key_status("h@g.us", &[("1:3@lid", true)]).await.unwrap();
        backend.delete_sender_key_device_rows(&["1:3@lid"]).await.unwrap();
        assert_eq!(backend.get_sender_key_devices("g@g.us").await.unwrap(), [("2:1@lid".to_owned(), false)]);
        assert!(backend.get_sender_key_devices("h@g.us").await.unwrap().is_empty(), "in every group");
        backend.clear_all_sender_key_devices().await.unwrap();
        assert!(backend.get_sender_key_devices("g@g.us").await.unwrap().is_empty());
        backend.put_group_metadata("g@g.us", b"who").await.unwrap();
        assert_eq!(backend.get_group_metadata("g@g.us").await.unwrap().as_deref(), Some(&b"who"[..]));
        backend.save_base_key("1@lid", "A", b"base").await.unwrap();
        assert!(backend.has_same_base_key("1@lid", "A", b"base").await.unwrap());
        assert!(!backend.has_same_base_key("1@lid", "A", b"other").await.unwrap());
    })
    .await;
}

#[tokio::test]
async fn what_was_sent_and_what_came_in_is_kept_for_its_time() {
    each(async |stage: &Stage| {
        let backend = stage.backend("node").await;
        backend.store_sent_message("1@lid", "A", b"sent").await.unwrap();
        assert_eq!(backend.take_sent_message("1@lid", "A").await.unwrap().as_deref(), Some(&b"sent"[..]));
        assert_eq!(backend.take_sent_message("1@lid", "A").await.unwrap(), None, "it is taken once");
        backend.store_sent_message("1@lid", "B", b"sent").await.unwrap();
        let row = |id| PendingInboundRow { chat: "1@lid", sender: "1@lid", id, message: b"came" };
        backend.store_pending_inbound_batch(&[row("A"), row("B")]).await.unwrap();
        backend
            .delete_pending_inbound_batch(&[PendingInboundKey { chat: "1@lid", sender: "1@lid", id: "B" }])
            .await
            .unwrap();
        assert_eq!(backend.get_pending_inbound("1@lid", "1@lid", "A").await.unwrap().as_deref(), Some(&b"came"[..]));
        assert_eq!(backend.get_pending_inbound("2@lid", "1@lid", "A").await.unwrap(), None, "ids are a chat's own");
        let now = stage.kernel.now().seconds();
        assert_eq!(backend.delete_expired_sent_messages(now).await.unwrap(), 0);
        assert_eq!(backend.delete_expired_sent_messages(now + 1).await.unwrap(), 1);
        assert_eq!(backend.delete_expired_pending_inbound(now + 1).await.unwrap(), 1);
        let secret = |id: &str, expires_at: i64| MsgSecretEntry {
            chat: "1@lid".into(),
            sender: "1@lid".into(),
            msg_id: id.into(),
            secret: [3; 32],
            expires_at,
            message_ts: expires_at / 2,
        };
        backend.put_msg_secrets(vec![secret("A", 100), secret("B", 100), secret("C", 0)]).await.unwrap();
        backend.put_msg_secrets(vec![secret("B", 50), secret("A", 200)]).await.unwrap();
        assert_eq!(backend.delete_expired_msg_secrets(100).await.unwrap(), 1, "no secret goes sooner than it was said");
        assert_eq!(backend.get_msg_secret_with_ts("1@lid", "1@lid", "A").await.unwrap(), Some((vec![3; 32], 100)));
        assert!(backend.get_msg_secret("1@lid", "1@lid", "B").await.unwrap().is_none());
        assert!(backend.get_msg_secret("1@lid", "1@lid", "C").await.unwrap().is_some());
        let token = |at| TcTokenEntry { token: vec![1], token_timestamp: at, sender_timestamp: None };
        backend.put_tc_token("1@lid", &token(100)).await.unwrap();
        backend.store_received_tc_token("1@lid", &[2], 50).await.unwrap();
        assert_eq!(backend.get_tc_token("1@lid").await.unwrap().unwrap().token, [1], "an older one changes nothing");
        backend.touch_tc_token_sender_timestamp("1@lid", 300).await.unwrap();
        backend.touch_tc_token_sender_timestamp("1@lid", 200).await.unwrap();
        backend.touch_tc_token_sender_timestamp("2@lid", 10).await.unwrap();
        assert_eq!(backend.get_tc_token("1@lid").await.unwrap().unwrap().sender_timestamp, Some(300));
        assert_eq!(backend.delete_expired_tc_tokens(150, 250).await.unwrap(), 1, "whoever was written to lately stays");
        assert_eq!(backend.get_all_tc_token_jids().await.unwrap(), ["1@lid"]);
    })
    .await;
}

#[tokio::test]
async fn nobody_reads_a_key_or_a_person_out_of_the_table() {
    each(async |stage: &Stage| {
        let backend = stage.backend("node").await;
        backend.create().await.unwrap();
        backend.put_session("250788123456@s.whatsapp.net", b"a session that nobody may read").await.unwrap();
        backend.put_lid_mapping(&mapping("100000012345678", "250788123456")).await.unwrap();
        backend
            .put_tc_token(
                "250788123456@s.whatsapp.net",
                &TcTokenEntry { token: vec![9], token_timestamp: 1, sender_timestamp: None },
            )
            .await
            .unwrap();
        backend
            .store_pending_inbound("250788123456@s.whatsapp.net", "250788123456@s.whatsapp.net", "A", b"hello there")
            .await
            .unwrap();
        let rows = stage.kernel.db.read(View::System, |reader| {
            let sql = "SELECT kind, family, item, value FROM wave_web_states";
            Ok(reader.query(sql, &[], |row| {
                let names = [row.text(0)?, row.text(1)?, row.text(2)?].join(" ").into_bytes();
                Ok([names, row.bytes(3)?.to_vec()].concat())
            })?)
        });
        let rows: Vec<Vec<u8>> = rows.await.unwrap();
        assert!(rows.len() >= 6);
        for secret in ["250788123456", "100000012345678", "nobody may read", "hello there", "noise_key", "identity_key"]
        {
            let is_there = |row: &Vec<u8>| row.windows(secret.len()).any(|part| part == secret.as_bytes());
            assert!(!rows.iter().any(is_there), "{secret}");
        }
        // What was sealed under one name opens under no other.
        let moved = stage.kernel.db.write(View::System, |tx| {
            tx.execute("UPDATE wave_web_states SET kind = 'sender_key' WHERE kind = 'session'", &[])?;
            tx.execute("UPDATE wave_web_states SET family = '' WHERE kind = 'sender_key'", &[])?;
            Ok(())
        });
        moved.await.unwrap();
        assert!(backend.get_sender_key("250788123456@s.whatsapp.net").await.is_err());
    })
    .await;
}

#[tokio::test]
async fn a_node_that_lost_its_line_writes_nothing() {
    each(async |stage: &Stage| {
        let first = stage.backend("first").await;
        first.put_session("1@lid", b"one").await.unwrap();
        assert!(!loopd_wave::engine::web::store::lease::hold(&stage.kernel, "second", stage.whose).await.unwrap());
        stage.clock.advance(LEASE_US);
        let second = stage.backend("second").await;
        assert_eq!(
            second.get_session("1@lid").await.unwrap().as_deref(),
            Some(&b"one"[..]),
            "it goes on where the other was"
        );
        assert!(first.put_session("1@lid", b"two").await.is_err());
        assert!(first.delete_session("1@lid").await.is_err());
        second.put_session("1@lid", b"three").await.unwrap();
        assert_eq!(first.get_session("1@lid").await.unwrap().as_deref(), Some(&b"three"[..]));
    })
    .await;
}

#[tokio::test]
async fn only_being_unlinked_takes_the_keys_away() {
    each(async |stage: &Stage| {
        let backend = stage.backend("node").await;
        backend.create().await.unwrap();
        backend.put_session("1@lid", b"one").await.unwrap();
        let kept = "SELECT count(*) FROM wave_web_states";
        let until = stage.kernel.now().plus(HOUR_US + SECOND_US);
        for ended in [Ended::Lost, Ended::Banned(until), Ended::Refused, Ended::NotScanned, Ended::Stopped] {
            let change = Some(told::change(State::Disconnected, Some(format!("{ended:?}"))));
            let told = Told { change, ended: Some(ended), ..Told::default() };
            told::write(&stage.kernel, stage.whose, &told).await.unwrap();
            assert_eq!(stage.count(kept).await, 2, "{ended:?}");
        }
        let change = Some(told::change(State::LoggedOut, None));
        let told = Told { change, ended: Some(Ended::LoggedOut), ..Told::default() };
        told::write(&stage.kernel, stage.whose, &told).await.unwrap();
        assert_eq!(stage.count(kept).await, 0);
        assert_eq!(stage.number().await.state, State::LoggedOut);
    })
    .await;
}
