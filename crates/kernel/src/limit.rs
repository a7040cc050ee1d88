//! Rate limits: fixed windows, counted in this process, or in Redis when several nodes share them.
//!
//! When Redis is away each node falls back to its own counters: a limit a little too generous is better than a shop that is shut.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use loopd_types::{MINUTE_US, Problem, Result, SECOND_US, Secret, Timestamp};

/// How many calls of a class are allowed in a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Part of the bucket's name: `user`, `auth-ip`, …
    pub class: &'static str,
    pub limit: u32,
    pub window_us: i64,
}

impl Rate {
    pub const fn per_minute(class: &'static str, limit: u32) -> Self {
        Self { class, limit, window_us: MINUTE_US }
    }
}

/// What the limiter says of one call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    pub allowed: bool,
    pub limit: u32,
    pub remaining: u32,
    /// Seconds until the window ends, at least 1.
    pub reset_s: u32,
}

impl Decision {
    /// # Errors
    /// 429 `throttled` with `Retry-After` and DRF's words.
    pub fn require(self) -> Result<Self> {
        if self.allowed {
            return Ok(self);
        }
        Err(Problem::new(
            loopd_types::Kind::TooMany,
            "throttled",
            format!("Request was throttled. Expected available in {} seconds.", self.reset_s),
        )
        .with_header("Retry-After", self.reset_s.to_string())
        .with_header("RateLimit-Limit", self.limit.to_string())
        .with_header("RateLimit-Remaining", "0")
        .with_header("RateLimit-Reset", self.reset_s.to_string()))
    }
}

const SHARDS: usize = 16;
/// Past this many buckets a shard drops the ones whose window is over, at most once a second.
const SHARD_CAPACITY: usize = 8_192;
/// Past this many living ones it starts anew: a flood from that many addresses is counted a little too kindly, but costs no more memory.
const SHARD_LIMIT: usize = 65_536;

/// Counts calls by class and subject.
pub struct Limiter {
    enabled: bool,
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
    redis: Option<Redis>,
}

#[derive(Default)]
struct Shard {
    windows: HashMap<u64, Window>,
    /// Not looked through again before this moment: a look costs as much as there are buckets.
    next_sweep: i64,
}

#[derive(Clone, Copy)]
struct Window {
    ends_at: i64,
    count: u32,
}

struct Redis {
    client: redis::Client,
    connection: tokio::sync::OnceCell<redis::aio::ConnectionManager>,
    script: redis::Script,
    /// Until when Redis is left alone after a failure.
    away_until: AtomicI64,
}

/// How long a call may wait for Redis before the local counter decides.
const REDIS_WAIT: Duration = Duration::from_millis(50);
/// How long whoever asks for its health waits for Redis.
const REDIS_PING: Duration = Duration::from_secs(2);
/// How long Redis is left alone after it failed.
const REDIS_PAUSE_US: i64 = SECOND_US;

impl Limiter {
    /// # Errors
    /// `Problem` when the Redis URL cannot be read.
    pub fn new(enabled: bool, redis_url: Option<&Secret<String>>) -> Result<Self> {
        let redis = match redis_url {
            Some(url) => Some(Redis {
                client: redis::Client::open(url.expose().as_str()).map_err(Problem::internal)?,
                connection: tokio::sync::OnceCell::new(),
                script: redis::Script::new(
                    "local n = redis.call('INCR', KEYS[1]) if n == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end return n",
                ),
                away_until: AtomicI64::new(0),
            }),
            None => None,
        };
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Ok(Self { enabled, hasher: RandomState::new(), shards, redis })
    }

    /// Whether limits are on at all (`LOOP_RATE_LIMITS`).
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Asks Redis whether it is there. `None` when none is configured.
    ///
    /// # Errors
    /// Why it does not answer, in words without its address, which may hold a password.
    pub async fn ping(&self) -> Option<Result<(), String>> {
        let redis = self.redis.as_ref()?;
        let asked = tokio::time::timeout(REDIS_PING, async {
            let mut connection = redis.client.get_multiplexed_async_connection().await?;
            redis::cmd("PING").query_async::<String>(&mut connection).await
        });
        Some(match asked.await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        })
    }

    /// Counts one call of `subject` (a user id, a key id, an address) against `rate`.
    pub async fn hit(&self, rate: Rate, subject: &str, now: Timestamp) -> Decision {
        let ends_at = (now.micros().div_euclid(rate.window_us) + 1) * rate.window_us;
        if !self.enabled {
            return decide(rate, 0, ends_at, now);
        }
        let local = self.hit_here(rate, subject, ends_at, now);
        let count = match &self.redis {
            Some(redis) => redis.hit(rate, subject, ends_at, now).await.unwrap_or(local),
            None => local,
        };
        decide(rate, count, ends_at, now)
    }

    fn hit_here(&self, rate: Rate, subject: &str, ends_at: i64, now: Timestamp) -> u32 {
        let bucket = self.hasher.hash_one((rate.class, subject));
        let shard = &self.shards[bucket as usize % SHARDS];
        let mut shard = shard.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let Shard { windows, next_sweep } = &mut *shard;
        if windows.len() >= SHARD_CAPACITY && *next_sweep <= now.micros() {
            windows.retain(|_, window| window.ends_at > now.micros());
            *next_sweep = now.micros() + SECOND_US;
        }
        if windows.len() >= SHARD_LIMIT {
            windows.clear();
        }
        let window = windows.entry(bucket).or_insert(Window { ends_at, count: 0 });
        if window.ends_at != ends_at {
            *window = Window { ends_at, count: 0 };
        }
        window.count = window.count.saturating_add(1);
        window.count
    }
}

fn decide(rate: Rate, count: u32, ends_at: i64, now: Timestamp) -> Decision {
    let left_us = (ends_at - now.micros()).max(1);
    Decision {
        allowed: count <= rate.limit,
        limit: rate.limit,
        remaining: rate.limit.saturating_sub(count),
        reset_s: u32::try_from((left_us + SECOND_US - 1) / SECOND_US).unwrap_or(u32::MAX),
    }
}

impl Redis {
    async fn hit(&self, rate: Rate, subject: &str, ends_at: i64, now: Timestamp) -> Option<u32> {
        if self.away_until.load(Ordering::Relaxed) > now.micros() {
            return None;
        }
        let asked = tokio::time::timeout(REDIS_WAIT, async {
            let mut connection = self
                .connection
                .get_or_try_init(|| redis::aio::ConnectionManager::new(self.client.clone()))
                .await?
                .clone();
            let key = format!("loopd:rate:{}:{subject}:{ends_at}", rate.class);
            let life_ms = (ends_at - now.micros()) / 1_000 + 1_000;
            self.script.key(key).arg(life_ms).invoke_async::<u32>(&mut connection).await
        })
        .await;
        match asked {
            Ok(Ok(count)) => Some(count),
            failed => {
                self.away_until.store(now.micros() + REDIS_PAUSE_US, Ordering::Relaxed);
                tracing::warn!(?failed, "Redis does not answer; rate limits are counted on this node");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_window_allows_its_limit_then_refuses_then_opens_again() {
        let limiter = Limiter::new(true, None).unwrap();
        let rate = Rate::per_minute("test", 3);
        let now = Timestamp(60 * SECOND_US * 100 + 15 * SECOND_US);
        for remaining in [2, 1, 0] {
            let decision = limiter.hit(rate, "a", now).await;
            assert_eq!((decision.allowed, decision.remaining, decision.reset_s), (true, remaining, 45));
        }
        let refused = limiter.hit(rate, "a", now).await;
        assert!(!refused.allowed);
        let problem = refused.require().unwrap_err();
        assert_eq!(problem.message(), "Request was throttled. Expected available in 45 seconds.");
        assert!(limiter.hit(rate, "b", now).await.allowed, "another subject has its own window");
        assert!(limiter.hit(rate, "a", now.plus(MINUTE_US)).await.allowed);
    }
}
