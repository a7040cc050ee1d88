//! The SQLite engine: one writer thread with group commit, a thread that folds its log in beside it, a reader connection for every thread that reads.

pub mod backup;
pub mod column;
mod connection;
pub mod failure;
mod folder;
mod function;
mod readers;
pub mod session;
pub mod statement;
pub mod tally;
mod writer;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use loopd_types::Problem;

use crate::queue::{Queue, spawn};
use crate::reader::Reader;
use crate::stats::{Counters, Stats};
use crate::{Config, StoreError};

/// Everything behind a `Db` on SQLite.
pub struct Sqlite {
    pub writes: Arc<Queue>,
    pub long_reads: Arc<Queue>,
    pub unlimited_reads: Arc<Queue>,
    pub counters: Arc<Counters>,
    source: Arc<readers::Source>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Sqlite {
    /// Opens (or makes) the file and starts the threads.
    pub fn open(config: &Config) -> Result<Self, StoreError> {
        let path = config.sqlite_path().ok_or_else(|| StoreError::Other("the address names no file".into()))?;
        let counters = Arc::new(Counters::default());
        let writes = Arc::new(Queue::new(config.queue_limit));
        let long_reads = Arc::new(Queue::new(config.queue_limit));
        let unlimited_reads = Arc::new(Queue::new(config.queue_limit));
        let (folder, fold) = folder::Folder::new(path.clone());
        let writer =
            writer::Writer::open(path.clone(), config.clone(), Arc::clone(&writes), Arc::clone(&counters), folder)?;
        let source = Arc::new(readers::Source { path, config: config.clone(), counters: Arc::clone(&counters) });
        let mut threads = vec![spawn("store-writer", move || writer.run())?, spawn("store-folder", fold)?];
        counters.connections.add(1);
        // An export may take minutes: a thread of its own keeps it out of the other readers' way.
        let lines = std::iter::repeat_n(&long_reads, config.long_readers.max(1)).chain([&unlimited_reads]);
        for queue in lines {
            let (source, queue) = (Arc::clone(&source), Arc::clone(queue));
            threads.push(spawn("store-reader", move || readers::run_long(&source, &queue))?);
        }
        Ok(Self { writes, long_reads, unlimited_reads, counters, source, threads: Mutex::new(threads) })
    }

    /// A short read on the calling thread.
    pub fn read<T>(&self, work: impl Fn(&mut Reader<'_>) -> Result<T, Problem>) -> Result<T, Problem> {
        readers::inline(&self.source, work)
    }

    /// Copies the file while it is in use.
    pub async fn backup(&self, to: &Path) -> Result<(), StoreError> {
        let (source, to) = (Arc::clone(&self.source), to.to_owned());
        let copied = tokio::task::spawn_blocking(move || backup::copy(&source.path, &to, &source.config)).await;
        copied.map_err(|error| StoreError::Other(error.to_string()))?
    }

    pub fn stats(&self) -> Stats {
        self.counters.snapshot(self.writes.len() + self.long_reads.len() + self.unlimited_reads.len())
    }

    /// Takes no more work; the threads end after what is in line.
    pub fn close(&self) -> Vec<JoinHandle<()>> {
        self.writes.close();
        self.long_reads.close();
        self.unlimited_reads.close();
        std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Sqlite {
    fn drop(&mut self) {
        self.close();
    }
}
