//! Caches that make the hot path free of look-ups, and keep the promise that a revocation counts at once.

use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use loopd_store::Tx;
use loopd_types::{CompanyId, Uuid};

use super::caller::KeyAccess;
use super::load::{CompanyAccess, UserAccess};
use crate::app::KnownApp;
use crate::token::Verified;

/// The caches of the hot path. Every write that changes what they hold calls a `forget_*` in its transaction.
pub(crate) struct AccessCache {
    pub users: Cache<Uuid, UserAccess>,
    pub companies: Cache<CompanyId, CompanyAccess>,
    pub keys: Cache<String, KeyAccess>,
    /// App ids; an unknown one is kept as `None`.
    pub apps: Cache<String, Option<KnownApp>>,
    /// Access tokens with a good signature. What a token says never changes, so nothing is ever forgotten here but by age.
    pub tokens: Cache<String, Verified>,
}

impl AccessCache {
    pub fn new(life: Duration) -> Self {
        Self {
            users: Cache::new(life, CAPACITY),
            companies: Cache::new(life, CAPACITY),
            keys: Cache::new(life, CAPACITY),
            apps: Cache::new(life, CAPACITY),
            tokens: Cache::new(TOKEN_LIFE, TOKENS),
        }
    }
}

impl AccessCache {
    /// Rises whenever a right may have been taken away in this process.
    pub fn epoch(&self) -> u64 {
        self.users
            .epoch()
            .wrapping_add(self.companies.epoch())
            .wrapping_add(self.keys.epoch())
            .wrapping_add(self.apps.epoch())
    }
}

/// Most entries a cache holds; past it the cache is emptied, which costs each caller one look-up.
const CAPACITY: usize = 100_000;
/// Tokens are half a kilobyte each, and are seldom used longer than this.
const TOKENS: usize = 20_000;
const TOKEN_LIFE: Duration = Duration::from_secs(600);

pub(crate) struct Cache<K, V>(Arc<Shared<K, V>>);

struct Shared<K, V> {
    map: papaya::HashMap<K, (Arc<V>, Instant)>,
    /// Rises at every `forget`: what was read before may be stale and is not kept.
    epoch: AtomicU64,
    life: Duration,
    capacity: usize,
}

/// Taken before reading the database, handed back with what was read.
pub(crate) struct Ticket {
    epoch: u64,
    at: Instant,
}

impl<K: Hash + Eq + Clone + Send + Sync + 'static, V: Send + Sync + 'static> Cache<K, V> {
    fn new(life: Duration, capacity: usize) -> Self {
        Self(Arc::new(Shared { map: papaya::HashMap::new(), epoch: AtomicU64::new(0), life, capacity }))
    }

    fn epoch(&self) -> u64 {
        self.0.epoch.load(Ordering::SeqCst)
    }

    pub fn get<Q: Hash + papaya::Equivalent<K> + ?Sized>(&self, key: &Q) -> Option<Arc<V>> {
        let map = self.0.map.pin();
        let (value, since) = map.get(key)?;
        (since.elapsed() < self.0.life).then(|| value.clone())
    }

    pub fn ticket(&self) -> Ticket {
        Ticket { epoch: self.0.epoch.load(Ordering::SeqCst), at: Instant::now() }
    }

    /// Keeps `value` unless something was forgotten since the ticket was taken. The life of an entry begins with its ticket:
    /// what another node revokes after the reading counts there within one life, however slow the reading was.
    pub fn put(&self, ticket: Ticket, key: K, value: Arc<V>) {
        let is_stale = || self.0.epoch.load(Ordering::SeqCst) != ticket.epoch;
        if is_stale() {
            return;
        }
        let map = self.0.map.pin();
        if map.len() >= self.0.capacity {
            map.clear();
        }
        map.insert(key.clone(), (value, ticket.at));
        if is_stale() {
            map.remove(&key);
        }
    }

    pub fn forget(&self, key: &K) {
        self.0.epoch.fetch_add(1, Ordering::SeqCst);
        self.0.map.pin().remove(key);
    }

    /// Forgets `key` when `tx` has committed, before its caller is answered.
    pub fn forget_on_commit(&self, tx: &mut Tx<'_>, key: K) {
        let shared = Cache(self.0.clone());
        tx.on_commit(move || shared.forget(&key));
    }

    pub fn clear_on_commit(&self, tx: &mut Tx<'_>) {
        let shared = self.0.clone();
        tx.on_commit(move || {
            shared.epoch.fetch_add(1, Ordering::SeqCst);
            shared.map.pin().clear();
        });
    }
}

impl crate::Kernel {
    pub(crate) fn forget_user(&self, tx: &mut Tx<'_>, user: Uuid) {
        self.cache.users.forget_on_commit(tx, user);
    }
    pub(crate) fn forget_company(&self, tx: &mut Tx<'_>, company: CompanyId) {
        self.cache.companies.forget_on_commit(tx, company);
    }
    /// A role may be held by many: all users are looked up again.
    pub(crate) fn forget_all_users(&self, tx: &mut Tx<'_>) {
        self.cache.users.clear_on_commit(tx);
    }
    pub(crate) fn forget_all_keys(&self, tx: &mut Tx<'_>) {
        self.cache.keys.clear_on_commit(tx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_revocation_is_not_kept() {
        let cache: Cache<u8, u8> = Cache::new(Duration::from_secs(60), CAPACITY);
        let (before, other) = (cache.ticket(), cache.ticket());
        cache.forget(&1);
        cache.put(before, 1, Arc::new(7));
        cache.put(other, 2, Arc::new(7));
        assert!(cache.get(&1).is_none() && cache.get(&2).is_none());
        cache.put(cache.ticket(), 1, Arc::new(8));
        assert_eq!(cache.get(&1).as_deref(), Some(&8));
    }

    #[test]
    fn an_entry_is_as_old_as_its_reading() {
        let cache: Cache<u8, u8> = Cache::new(Duration::from_millis(20), CAPACITY);
        let ticket = cache.ticket();
        std::thread::sleep(Duration::from_millis(25));
        cache.put(ticket, 1, Arc::new(7));
        assert!(cache.get(&1).is_none());
    }
}
