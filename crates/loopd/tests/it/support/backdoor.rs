//! The database, behind the back of the server that works with it.

use std::sync::{Mutex, mpsc};

use loopd_store::{Db, Row, StoreError, Tx, View};

/// A connection of the test's own.
pub struct Backdoor(pub Db);

impl Backdoor {
    pub async fn to(database: &loopd_testkit::Database) -> Self {
        Self(Db::open(database.config()).await.expect("the database can be opened"))
    }

    pub async fn run(&self, sql: &'static str) {
        let done = self.0.write(View::System, move |tx| Ok(tx.execute(sql, &[])?)).await;
        done.unwrap_or_else(|problem| panic!("{sql}: {problem:?}"));
    }

    /// The rows of a query, each as a number.
    pub async fn numbers(&self, sql: &'static str) -> Vec<i64> {
        self.rows(sql, |row| row.i64(0)).await
    }

    pub async fn rows<T: Send + 'static>(
        &self,
        sql: &'static str,
        read: impl Fn(&Row<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Vec<T> {
        let read = self.0.read(View::System, move |reader| Ok(reader.query(sql, &[], &read)?));
        read.await.unwrap_or_else(|problem| panic!("{sql}: {problem:?}"))
    }

    /// Runs a statement and keeps what it locks until the answer is dropped; on SQLite that is everything.
    pub async fn hold(&self, sql: &'static str) -> mpsc::Sender<()> {
        let (hold, held) = mpsc::channel::<()>();
        let (begun, mut begins) = tokio::sync::mpsc::unbounded_channel();
        let (db, held) = (self.0.clone(), Mutex::new(held));
        tokio::spawn(async move {
            let work = move |tx: &mut Tx<'_>| {
                tx.execute(sql, &[])?;
                let _ = begun.send(());
                let _ = held.lock().expect("one holder").recv();
                Ok(())
            };
            db.write_unlimited(work).await.expect("a lock can be held");
        });
        begins.recv().await.expect("it is locked");
        hold
    }
}
