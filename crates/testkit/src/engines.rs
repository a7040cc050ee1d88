//! Every test on both engines: [`Boot`] says what a test stands in, [`each_engine!`](crate::each_engine) writes the two variants.

use std::future::Future;

use loopd_store::Engine;

use crate::Database;

/// What a test stands in: the product, booted on a database of its own.
pub trait Boot: Sized {
    /// Distinguishes these prepared databases from others in the same test program.
    const NAME: &'static str;

    /// Brings an empty database to the state that every test starts from: migrations and what a first start installs.
    ///
    /// Runs once for each engine and build of the test program; tests get copies of the rows, not of the folder. So what is
    /// encrypted here and read in a test needs a secret key that both know.
    fn prepare(database: &Database) -> impl Future<Output = ()>;

    /// Boots on a prepared database. The world keeps `database`: dropping it removes the rows.
    fn boot(database: Database) -> impl Future<Output = Self>;

    /// Looks around after a test that passed: a job still waiting or a mail nobody looked at fails it here.
    fn close(self) -> impl Future<Output = ()> {
        async {}
    }
}

/// Runs one test on one engine; [`each_engine!`](crate::each_engine) calls it.
///
/// Without `LOOPD_TEST_POSTGRES` the PostgreSQL half says that it is skipped, and fails where `CI` is `true`.
pub fn on_engine<W: Boot>(engine: Engine, test: impl AsyncFnOnce(&W)) {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let Some(database) = Database::prepared::<W>(engine).await else { return };
        let world = W::boot(database).await;
        test(&world).await;
        world.close().await;
    });
}

/// Writes each test twice, `name::sqlite` and `name::postgres`, on fresh copies of a prepared database.
///
/// ```text
/// each_engine! {
///     async fn a_stranger_sees_not_found(app: &App) {
///         app.stranger().get("/api/v1/companies/").await.expect_status(404);
///     }
/// }
/// ```
#[macro_export]
macro_rules! each_engine {
    ($($(#[$meta:meta])* async fn $name:ident($world:ident: &$World:ty) $body:block)+) => {$(
        $(#[$meta])*
        mod $name {
            #[allow(unused_imports, reason = "a test may need nothing of its file")]
            use super::*;

            async fn body($world: &$World) $body

            #[test]
            fn sqlite() {
                $crate::on_engine::<$World>($crate::Engine::Sqlite, body);
            }

            #[test]
            fn postgres() {
                $crate::on_engine::<$World>($crate::Engine::Postgres, body);
            }
        }
    )+};
}
