//! When and from where a key was last used: noted in memory, written in batches, never a write per request.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;

use loopd_store::{View, params};
use loopd_types::{Result, Timestamp, Uuid};

use crate::Kernel;

/// What was seen since the last flush.
#[derive(Default)]
pub(crate) struct Usage(Mutex<HashMap<Uuid, (Timestamp, IpAddr)>>);

impl Usage {
    pub fn saw(&self, credential: Uuid, at: Timestamp, address: IpAddr) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(credential, (at, address));
    }

    fn take(&self) -> Vec<(Uuid, Timestamp, IpAddr)> {
        let mut seen = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        seen.drain().map(|(id, (at, address))| (id, at, address)).collect()
    }
}

impl Kernel {
    /// Writes what was seen of keys since the last time. Run every few seconds and at shutdown.
    pub async fn flush_usage(&self) -> Result<()> {
        let seen = self.usage.take();
        if seen.is_empty() {
            return Ok(());
        }
        self.db
            .write(View::System, move |tx| {
                for (id, at, address) in &seen {
                    tx.push(
                        "UPDATE credentials SET last_used_at = $2, last_used_ip = $3 WHERE id = $1 AND (last_used_at IS NULL OR last_used_at < $2)",
                        params![*id, *at, address.to_string()],
                    )?;
                }
                Ok(())
            })
            .await
    }
}
