//! What the protocol keeps, in our database: the store traits of `whatsapp-rust` over [`loopd_wave::engine::web::store::state`].
//!
//! Values are sealed with the kernel's vault, each under its own name, so that none can be moved. Names that hold telephone numbers or ids
//! of people are keyed digests. Every write asks first whether this node still holds the line: one that does not writes nothing, the
//! library's flush before a send fails, and so no message key is used twice by two nodes.

mod app_sync;
mod device;
mod protocol;
mod secrets;
mod signal;

use std::sync::Arc;

use loopd_kernel::{Kernel, vault};
use loopd_store::{Reader, Tx, View};
use loopd_types::{Problem, Result, Timestamp, hex};
use loopd_wave::engine::web::store::state::{self, Entry, Name, Whose};
use serde::Serialize;
use serde::de::DeserializeOwned;
use whatsapp_rust::store::error::{Result as Stored, StoreError};

use crate::inbound::read::Locked;

/// Kinds of entries.
pub(crate) mod kind {
    pub const DEVICE: &str = "device";
    pub const IDENTITY: &str = "identity";
    pub const SESSION: &str = "session";
    pub const PRE_KEY: &str = "pre_key";
    pub const SIGNED_PRE_KEY: &str = "signed_pre_key";
    pub const SENDER_KEY: &str = "sender_key";
    pub const SYNC_KEY: &str = "sync_key";
    pub const LATEST_SYNC_KEY: &str = "latest_sync_key";
    pub const SYNC_VERSION: &str = "sync_version";
    pub const MUTATION: &str = "mutation";
    pub const SENDER_KEY_DEVICE: &str = "sender_key_device";
    pub const BY_LID: &str = "by_lid";
    pub const BY_PHONE: &str = "by_phone";
    pub const BASE_KEY: &str = "base_key";
    pub const DEVICES: &str = "devices";
    pub const GROUP: &str = "group";
    pub const PRIVACY_TOKEN: &str = "privacy_token";
    pub const SENT: &str = "sent";
    pub const PENDING: &str = "pending";
    pub const MESSAGE_SECRET: &str = "message_secret";
    /// What opens a file that was sent to us, until it is fetched; ours, not the library's.
    pub const MEDIA: &str = "media";
}

/// One number's store, for the node that holds its line.
#[derive(Clone)]
pub struct Backend {
    kernel: Arc<Kernel>,
    whose: Whose,
    owner: Arc<str>,
}

/// What a value was asked for under a name.
type Plain = Vec<u8>;

impl Backend {
    pub fn new(kernel: Arc<Kernel>, whose: Whose, owner: Arc<str>) -> Self {
        Self { kernel, whose, owner }
    }

    pub(crate) fn whose(&self) -> Whose {
        self.whose
    }

    /// What opens the file of a message, while it was not fetched.
    ///
    /// # Errors
    /// The database's; 500 for what cannot be opened.
    pub(crate) async fn locked(&self, name: Name) -> Result<Option<Locked>> {
        let shared = self.clone();
        self.kernel.db.read(View::Company(self.whose.company), move |reader| shared.got_json(reader, &name)).await
    }

    /// A name as it is.
    pub(crate) fn plain(kind: &'static str, item: impl Into<String>) -> Name {
        Name { kind, family: String::new(), item: item.into() }
    }

    /// A name that would tell of people: nobody reads it out of the table.
    pub(crate) fn hidden(&self, kind: &'static str, family: &str, item: &str) -> Name {
        Name { kind, family: self.digest(family), item: self.digest(item) }
    }

    /// 128 bits of HMAC-SHA256 under a key of this installation's; nothing for nothing.
    fn digest(&self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let purpose = format!("loopd whatsapp web v1:{}:{}:{text}", self.whose.company.0, self.whose.number);
        hex(&vault::derive(&self.kernel.settings.secret_key, purpose.as_bytes())[..16])
    }

    fn context(&self, name: &Name) -> String {
        let Whose { company, number } = self.whose;
        format!("wave_web_states:{}:{number}:{}:{}:{}", company.0, name.kind, name.family, name.item)
    }

    /// # Errors
    /// 500 when sealing fails.
    pub(crate) fn entry(&self, name: Name, plain: &[u8], pruned_by: Option<Timestamp>) -> Result<Entry> {
        let value = self.kernel.vault.seal(self.kernel.rng.as_ref(), &self.context(&name), plain)?;
        Ok(Entry { name, value, pruned_by })
    }

    /// # Errors
    /// 500 for what another key sealed, or somebody moved.
    fn open(&self, name: &Name, sealed: &[u8]) -> Result<Plain> {
        self.kernel.vault.open(&self.context(name), sealed)
    }

    /// One transaction of the node that holds the line.
    async fn write<T, F>(&self, work: F) -> Stored<T>
    where
        T: Send + 'static,
        F: Fn(&Self, &mut Tx<'_>) -> Result<T> + Send + 'static,
    {
        let shared = self.clone();
        let written = self.kernel.db.write(View::Company(self.whose.company), move |tx| {
            state::require_held(tx, shared.whose, &shared.owner)?;
            work(&shared, tx)
        });
        written.await.map_err(failed)
    }

    async fn read<T, F>(&self, work: F) -> Stored<T>
    where
        T: Send + 'static,
        F: Fn(&Self, &mut Reader<'_>) -> Result<T> + Send + 'static,
    {
        let shared = self.clone();
        let read = self.kernel.db.read(View::Company(self.whose.company), move |reader| work(&shared, reader));
        read.await.map_err(failed)
    }

    /// Writes entries, all or none.
    async fn put_all(&self, entries: Vec<(Name, Plain, Option<Timestamp>)>) -> Stored<()> {
        // Sealed here: the one writer of SQLite has better things to do.
        let sealed: Result<Vec<Entry>> =
            entries.into_iter().map(|(name, plain, pruned_by)| self.entry(name, &plain, pruned_by)).collect();
        let sealed = sealed.map_err(failed)?;
        if sealed.is_empty() {
            return Ok(());
        }
        self.write(move |shared, tx| Ok(state::put(tx, shared.whose, &sealed)?)).await
    }

    async fn put(&self, name: Name, plain: &[u8]) -> Stored<()> {
        self.put_all(vec![(name, plain.to_vec(), None)]).await
    }

    async fn put_json(&self, name: Name, value: &impl Serialize) -> Stored<()> {
        self.put_all(vec![(name, json(value)?, None)]).await
    }

    async fn get(&self, name: Name) -> Stored<Option<Plain>> {
        self.read(move |shared, reader| shared.got(reader, &name)).await
    }

    fn got(&self, reader: &mut Reader<'_>, name: &Name) -> Result<Option<Plain>> {
        state::get(reader, self.whose, name)?.map(|sealed| self.open(name, &sealed)).transpose()
    }

    async fn get_json<T: DeserializeOwned>(&self, name: Name) -> Stored<Option<T>> {
        self.get(name).await?.map(|plain| parsed(&plain)).transpose()
    }

    fn got_json<T: DeserializeOwned>(&self, reader: &mut Reader<'_>, name: &Name) -> Result<Option<T>> {
        let plain = self.got(reader, name)?;
        plain.map(|plain| serde_json::from_slice(&plain).map_err(Problem::internal)).transpose()
    }

    /// The entries of a kind, or of one family of it.
    async fn list(&self, kind: &'static str, family: Option<String>) -> Stored<Vec<(Name, Plain)>> {
        self.read(move |shared, reader| {
            let found = state::list(reader, shared.whose, kind, family.as_deref())?;
            let opened = found.into_iter().map(|(name, sealed)| shared.open(&name, &sealed).map(|plain| (name, plain)));
            opened.collect()
        })
        .await
    }

    async fn remove(&self, names: Vec<Name>) -> Stored<()> {
        self.write(move |shared, tx| Ok(state::remove(tx, shared.whose, &names)?)).await
    }

    async fn remove_all(&self, kind: &'static str, family: Option<String>) -> Stored<()> {
        self.write(move |shared, tx| Ok(state::remove_all(tx, shared.whose, kind, family.as_deref())?)).await
    }

    /// Removes entries of a kind whose moment is up to `seconds` of Unix time.
    async fn prune(&self, kind: &'static str, seconds: i64) -> Stored<u32> {
        let until = moment(seconds);
        let pruned = self.write(move |shared, tx| Ok(state::prune(tx, shared.whose, kind, until)?)).await?;
        Ok(u32::try_from(pruned).unwrap_or(u32::MAX))
    }

    /// Holds what is read to be written until the transaction ends: one number's store has one such change at a time.
    fn lock(&self, tx: &mut Tx<'_>) -> Result<()> {
        Ok(tx.lock(&format!("wave_web_states:{}:{}", self.whose.company.0, self.whose.number))?)
    }

    fn now(&self) -> Timestamp {
        self.kernel.now()
    }
}

/// Of Unix seconds, as far as there are such moments.
fn moment(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(loopd_types::SECOND_US))
}

fn json(value: &impl Serialize) -> Stored<Plain> {
    serde_json::to_vec(value).map_err(|error| StoreError::Serialization(Box::new(error)))
}

fn parsed<T: DeserializeOwned>(plain: &[u8]) -> Stored<T> {
    serde_json::from_slice(plain).map_err(|error| StoreError::Serialization(Box::new(error)))
}

/// A refusal of ours, for the library.
fn failed(problem: Problem) -> StoreError {
    let words = problem.cause().unwrap_or(problem.message()).to_owned();
    StoreError::Database(words.into())
}
