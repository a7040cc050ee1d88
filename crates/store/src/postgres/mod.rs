//! The PostgreSQL engine: a thread for each connection, each driving its own with a runtime of its own.

mod address;
mod bind;
pub mod column;
mod failure;
mod pool;
mod session;
mod tls;

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

pub use session::Session;

use crate::queue::Queue;
use crate::stats::{Counters, Stats};
use crate::{Config, StoreError};

/// Everything behind a `Db` on PostgreSQL.
pub struct Postgres {
    pub queue: Arc<Queue>,
    pub counters: Arc<Counters>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Postgres {
    /// Makes one connection, so that a wrong address is told at once, and starts the threads; the others connect when
    /// they are first needed.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        let address = address::parse(config)?;
        // The first connection belongs to the thread that makes it, so this one is only a trial.
        Session::connect(&address, config.write_timeout, config.statement_cache)?.close();
        let counters = Arc::new(Counters::default());
        let queue = Arc::new(Queue::new(config.queue_limit));
        let mut threads = Vec::new();
        for place in 0..config.pool_size.max(1) {
            let (address, config) = (address.clone(), config.clone());
            let (queue, counters) = (Arc::clone(&queue), Arc::clone(&counters));
            threads.push(crate::queue::spawn("store-postgres", move || {
                pool::Worker { address, config, queue, counters, place, session: None, is_down: false }.run();
            })?);
        }
        Ok(Self { queue, counters, threads: Mutex::new(threads) })
    }

    pub fn stats(&self) -> Stats {
        self.counters.snapshot(self.queue.len())
    }

    /// Takes no more work; the threads end after what is in line.
    pub fn close(&self) -> Vec<JoinHandle<()>> {
        self.queue.close();
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.close();
    }
}

/// Runs one command outside a transaction on a connection of its own: making and dropping test databases.
pub async fn administer(config: &Config, command: String) -> Result<(), StoreError> {
    let address = address::parse(config)?;
    let (client, connection) = address.driver.connect(address.tls).await.map_err(|error| failure::from(&error))?;
    let driving = tokio::spawn(connection);
    let done = client.batch_execute(&command).await.map_err(|error| failure::from(&error));
    drop(client);
    let _ = driving.await;
    done
}
