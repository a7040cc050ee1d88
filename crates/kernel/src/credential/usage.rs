//! When and from where a key was last used, and when an app was last seen: noted in memory, written in batches, never a write per
//! request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use loopd_store::{View, params};
use loopd_types::{Result, Timestamp, Uuid};

use crate::Kernel;

/// What was seen since the last flush.
#[derive(Default)]
pub(crate) struct Usage(Mutex<Seen>);

#[derive(Default)]
struct Seen {
    /// When last, from where, and how often since.
    keys: HashMap<Uuid, (Timestamp, IpAddr, i64)>,
    /// By app id. Only of known apps, so that strangers cannot fill it.
    apps: HashMap<Box<str>, Timestamp>,
}

impl Usage {
    pub fn saw(&self, credential: Uuid, at: Timestamp, address: IpAddr) {
        let mut seen = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (last, from, times) = seen.keys.entry(credential).or_insert((at, address, 0));
        (*last, *from, *times) = (at, address, *times + 1);
    }

    pub fn saw_app(&self, app_id: &str, at: Timestamp) {
        let mut seen = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        match seen.apps.get_mut(app_id) {
            Some(known) => *known = at,
            None => {
                seen.apps.insert(app_id.into(), at);
            }
        }
    }

    fn take(&self) -> Seen {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Kernel {
    /// Writes what was seen of keys and apps since the last time. Run every few seconds and at shutdown.
    pub async fn flush_usage(&self) -> Result<()> {
        let seen = self.usage.take();
        if seen.keys.is_empty() && seen.apps.is_empty() {
            return Ok(());
        }
        self.db
            .write(View::System, move |tx| {
                for (id, (at, address, times)) in &seen.keys {
                    // Another node may have seen it later; each counts what it saw.
                    tx.push(
                        "UPDATE credentials SET use_count = use_count + $4, \
                         last_used_ip = CASE WHEN last_used_at IS NULL OR last_used_at < $2 THEN $3 ELSE last_used_ip END, \
                         last_used_at = CASE WHEN last_used_at IS NULL OR last_used_at < $2 THEN $2 ELSE last_used_at END WHERE id = $1",
                        params![*id, *at, address.to_string(), *times],
                    )?;
                }
                for (app_id, at) in &seen.apps {
                    tx.push(
                        "UPDATE api_client_apps SET last_seen_at = $2 WHERE app_id = $1 AND (last_seen_at IS NULL OR last_seen_at < $2)",
                        params![&**app_id, *at],
                    )?;
                }
                Ok(())
            })
            .await
    }
}
