//! [`Kernel`]: the handles that every rule may ask for, wired once by the binary.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use loopd_store::{Db, Engine};
use loopd_types::{Clock, Ids, Problem, Result, Rng, Timestamp, Uuid};

use crate::access::cache::AccessCache;
use crate::billing::Collectors;
use crate::billing::calls::Calls;
use crate::catalogue::Catalogue;
use crate::collection::Collection;
use crate::credential::usage::Usage;
use crate::egress::Egress;
use crate::erasure::records::Records;
use crate::event::signal::Signals;
use crate::event::stream::Streams;
use crate::file::Blobs;
use crate::limit::Limiter;
use crate::messenger::Messenger;
use crate::oidc::Documents;
use crate::password::Passwords;
use crate::refusal::Refusals;
use crate::settings::Settings;
use crate::token::Tokens;
use crate::trace::{Spans, Tracer};
use crate::vault::Vault;
use crate::webhook;

/// A column of a product's table that holds the id of a person's account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeopleColumn {
    pub table: String,
    pub column: String,
    /// Whether its rows have a `version` and an `updated_at` of their own.
    pub is_record: bool,
}

/// One running installation. Cheap to share (`Arc<Kernel>`); holds no state that is not in the database, but for caches.
pub struct Kernel {
    pub db: Db,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    pub settings: Settings,
    pub catalogue: Catalogue,
    pub limits: Limiter,
    pub vault: Vault,
    pub passwords: Passwords,
    pub blobs: Blobs,
    /// For requests whose address a tenant chose: webhooks, issuers.
    pub egress: Egress,
    /// Who is told that a company's log has grown.
    pub(crate) signals: Arc<Signals>,
    /// Event streams that are open.
    pub streams: Streams,
    /// Deliveries that wait to be sent by this node.
    pub(crate) lanes: Arc<webhook::Bells>,
    pub(crate) tokens: Tokens,
    pub(crate) cache: AccessCache,
    pub(crate) usage: Usage,
    pub(crate) calls: Calls,
    /// Who was refused what; see [`crate::refusal`].
    pub refusals: Refusals,
    /// What issuers of identities publish.
    pub(crate) oidc: Documents,
    pub tracer: Tracer,
    /// Until the exporter takes them.
    spans: Mutex<Option<Spans>>,
    /// Wired once, by the binary.
    collectors: OnceLock<Collectors>,
    collection: OnceLock<Collection>,
    messenger: OnceLock<Arc<dyn Messenger>>,
    people_columns: OnceLock<Vec<PeopleColumn>>,
    personal_records: OnceLock<Vec<Records>>,
    ids: Ids,
}

impl Kernel {
    /// Wires a kernel over a migrated database.
    ///
    /// # Errors
    /// `Problem` when Redis is configured and its URL cannot be read, or the place for files cannot be opened.
    pub fn new(
        db: Db,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
        settings: Settings,
        catalogue: Catalogue,
    ) -> Result<Arc<Self>> {
        let vault = Vault::new(&settings.secret_key);
        let tokens = Tokens::new(&settings.secret_key);
        let limits = Limiter::new(settings.rate_limits, settings.redis_url.as_ref())?;
        let passwords = Passwords::new(settings.password_memory_kib);
        let egress = Egress::guarded(EGRESS_TIMEOUT, settings.egress.clone()).map_err(Problem::internal)?;
        let (tracer, spans) = match &settings.trace {
            None => (Tracer::off(), None),
            Some(wanted) => {
                let (tracer, spans) = Tracer::new(wanted.sample, clock.clone(), rng.clone());
                (tracer, Some(spans))
            }
        };
        let cache = AccessCache::new(ENTRY_LIFE);
        let usage = Usage::default();
        let blobs =
            Blobs::open(&settings.files).map_err(|words| Problem::internal(format!("LOOP_FILES_URL: {words}")))?;
        Ok(Arc::new(Self {
            db,
            clock,
            rng,
            settings,
            catalogue,
            limits,
            vault,
            passwords,
            blobs,
            egress,
            signals: Arc::default(),
            streams: Streams::default(),
            lanes: Arc::default(),
            tokens,
            cache,
            usage,
            calls: Calls::default(),
            refusals: Refusals::default(),
            oidc: Documents::default(),
            tracer,
            spans: Mutex::new(spans),
            collectors: OnceLock::new(),
            collection: OnceLock::new(),
            messenger: OnceLock::new(),
            people_columns: OnceLock::new(),
            personal_records: OnceLock::new(),
            ids: Ids::default(),
        }))
    }

    /// The spans of this kernel's tracer, for whoever exports them; once.
    pub fn take_spans(&self) -> Option<Spans> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// What tells this installation from another, for one purpose: it follows from the secret key and tells nothing of it. 32 hex digits.
    pub fn fingerprint(&self, purpose: &str) -> String {
        let key = crate::vault::derive(&self.settings.secret_key, format!("fingerprint: {purpose}").as_bytes());
        loopd_types::hex(&key[..16])
    }

    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Who takes money for bills; nobody unless the binary wired them.
    pub fn collectors(&self) -> &Collectors {
        self.collectors.get_or_init(Collectors::default)
    }

    /// Wires the collectors, before anything is served.
    pub fn set_collectors(&self, collectors: Collectors) {
        let is_first = self.collectors.set(collectors).is_ok();
        debug_assert!(is_first, "collectors are wired once, before they are asked for");
    }

    /// By what documents are paid, and who keeps them; nobody unless the binary wired them.
    pub fn collection(&self) -> Option<&Collection> {
        self.collection.get()
    }

    /// Wires what documents are paid by, before anything is served.
    pub fn set_collection(&self, collection: Collection) {
        let is_first = self.collection.set(collection).is_ok();
        debug_assert!(is_first, "the collection is wired once, before it is asked for");
    }

    /// Who writes to people by telephone; nobody unless the binary wired somebody.
    pub fn messenger(&self) -> Option<&dyn Messenger> {
        self.messenger.get().map(AsRef::as_ref)
    }

    /// Wires the messenger, before anything is served.
    pub fn set_messenger(&self, messenger: Arc<dyn Messenger>) {
        let is_first = self.messenger.set(messenger).is_ok();
        debug_assert!(is_first, "the messenger is wired once, before it is asked for");
    }

    /// Where products' records name people.
    pub fn people_columns(&self) -> &[PeopleColumn] {
        self.people_columns.get().map_or(&[], Vec::as_slice)
    }

    /// Says where products' records name people, before anything is served.
    pub fn set_people_columns(&self, columns: Vec<PeopleColumn>) {
        let is_first = self.people_columns.set(columns).is_ok();
        debug_assert!(is_first, "these are wired once, before they are asked for");
    }

    /// Products' tables, and what they tell of people.
    pub fn personal_records(&self) -> &[Records] {
        self.personal_records.get().map_or(&[], Vec::as_slice)
    }

    /// Says what products' tables tell of people, before anything is served.
    pub fn set_personal_records(&self, records: Vec<Records>) {
        let is_first = self.personal_records.set(records).is_ok();
        debug_assert!(is_first, "these are wired once, before they are asked for");
    }

    /// A new UUIDv7; rises within this process.
    pub fn new_id(&self) -> Uuid {
        self.ids.next(self.clock.as_ref(), self.rng.as_ref())
    }

    /// Waits until no node can still act on what was just revoked. At once on SQLite (one process);
    /// on Postgres the life of a cache entry, so that "revoked" is true when the answer arrives.
    pub async fn settle_revocation(&self) {
        if self.db.engine() == Engine::Postgres {
            tokio::time::sleep(ENTRY_LIFE).await;
        }
    }
}

/// How long a tenant's own server may take to answer; Svix gives as much.
const EGRESS_TIMEOUT: Duration = Duration::from_secs(15);

/// How long a process may hold a membership, subscription or credential without looking again: other nodes share a Postgres, and the
/// command line writes beside a running server on SQLite.
pub const ENTRY_LIFE: Duration = Duration::from_secs(1);
