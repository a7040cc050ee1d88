//! What these tests stand in: a company with a number of the engine, on each database that is there.

use std::sync::Arc;

use loopd_kernel::{Catalogue, Environment, Kernel, Settings, Tenant};
use loopd_store::testing::TestDb;
use loopd_store::{Value, View, migrate, params};
use loopd_types::{CompanyId, ManualClock, OsRng, Timestamp, Uuid};
use loopd_wave::engine::web::NAME;
use loopd_wave::engine::web::store::lease;
use loopd_wave::engine::web::store::state::Whose;
use loopd_wave::number::{self, Number, store::New};
use loopd_whatsapp_web::backend::Backend;
use serde_json::json;

pub const NOW: Timestamp = Timestamp(1_800_000_000_000_000);
const COMPANY: CompanyId = CompanyId(1);

pub struct Stage {
    pub kernel: Arc<Kernel>,
    pub clock: Arc<ManualClock>,
    pub tenant: Arc<Tenant>,
    pub whose: Whose,
    /// Removed with the stage.
    _test: TestDb,
}

/// Runs a test on each engine that is there.
pub async fn each(test: impl AsyncFn(&Stage)) {
    for database in TestDb::both().await {
        test(&Stage::new(database).await).await;
    }
}

impl Stage {
    async fn new(test: TestDb) -> Self {
        let clock = Arc::new(ManualClock::at(NOW));
        migrate::run(&test.db, clock.as_ref()).await.unwrap();
        let settings = Settings::new(Environment::Development, "x".repeat(40));
        let kernel =
            Kernel::new(test.db.clone(), clock.clone(), Arc::new(OsRng), settings, Catalogue::default()).unwrap();
        let made = kernel.db.write(View::System, |tx| {
            let sql = "INSERT INTO companies (company_id, id, code, name, slug, status, settings, created_at, updated_at) \
                       VALUES ($1, $2, '001', 'One', 'one', 'active', $3, 0, 0)";
            tx.execute(sql, &params![COMPANY, Uuid::nil(), Value::Json("{}".to_owned())])?;
            Ok(())
        });
        made.await.unwrap();
        let tenant = Arc::new(Tenant::system(kernel.company_access(COMPANY).await.unwrap().unwrap(), "a test"));
        let whose = Whose { company: COMPANY, number: kernel.new_id() };
        let (shared, acting) = (kernel.clone(), tenant.clone());
        let made = kernel.db.write(tenant.view(), move |tx| {
            let new = New { label: "Sales", engine: NAME, address: None, config: json!({}), secret: None };
            number::store::create(tx, &shared, &acting, whose.number, &new)
        });
        made.await.unwrap();
        Self { kernel, clock, tenant, whose, _test: test }
    }

    /// The number's store, for a node that holds its line.
    pub async fn backend(&self, owner: &str) -> Backend {
        assert!(lease::hold(&self.kernel, owner, self.whose).await.unwrap());
        Backend::new(self.kernel.clone(), self.whose, owner.into())
    }

    pub async fn number(&self) -> Number {
        let whose = self.whose;
        let read =
            self.kernel.db.read(self.tenant.view(), move |reader| number::get(reader, whose.company, whose.number));
        read.await.unwrap()
    }

    /// How many rows a statement counts.
    pub async fn count(&self, sql: &'static str) -> i64 {
        let read = self.kernel.db.read(View::System, move |reader| Ok(reader.one(sql, &[], |row| row.i64(0))?));
        read.await.unwrap()
    }

    /// The texts of a statement's first column, in its order.
    pub async fn texts(&self, sql: &'static str) -> Vec<String> {
        let read = self.kernel.db.read(View::System, move |reader| {
            Ok(reader.query(sql, &[], |row| Ok(row.opt_text(0)?.unwrap_or_default().to_owned()))?)
        });
        read.await.unwrap()
    }
}
