//! Recurring work runs once for each slot, whatever happens to nodes and clocks.

use std::sync::Arc;
use std::sync::Mutex;

use loopd_kernel::job::{Handler, Runner};
use loopd_kernel::schedule::Schedule;
use loopd_kernel::{Catalogue, Environment, Kernel, Settings};
use loopd_store::testing::TestDb;
use loopd_store::{View, migrate, params};
use loopd_types::{CompanyId, DAY_US, HOUR_US, ManualClock, OsRng, Timestamp, Uuid};

struct World {
    kernel: Arc<Kernel>,
    clock: Arc<ManualClock>,
    seen: Arc<Mutex<Vec<(i64, String)>>>,
    _db: TestDb,
}

const START: Timestamp = Timestamp(1_800_000_000_000_000);

async fn worlds() -> Vec<World> {
    let mut worlds = Vec::new();
    for test in TestDb::both().await {
        let clock = Arc::new(ManualClock::at(START));
        migrate::run(&test.db, clock.as_ref()).await.unwrap();
        let settings = Settings::new(Environment::Development, "x".repeat(40));
        let kernel =
            Kernel::new(test.db.clone(), clock.clone(), Arc::new(OsRng), settings, Catalogue::default()).unwrap();
        worlds.push(World { kernel, clock, seen: Arc::default(), _db: test });
    }
    worlds
}

impl World {
    /// A node with this schedule.
    fn node(&self, schedule: Schedule) -> Runner {
        let seen = self.seen.clone();
        let work: Handler = Arc::new(move |_, job| {
            seen.lock().unwrap().push((job.company.0, job.payload["slot"].as_str().unwrap_or_default().to_owned()));
            Box::pin(async { Ok(()) })
        });
        let mut runner = Runner::default();
        runner.schedule(schedule, work);
        runner
    }

    async fn work(&self, node: &Runner) {
        while node.run_due(&self.kernel).await.unwrap() > 0 {}
    }

    fn took(&self) -> Vec<(i64, String)> {
        std::mem::take(&mut *self.seen.lock().unwrap())
    }

    async fn company(&self, number: i64, status: &'static str) {
        let work = move |tx: &mut loopd_store::Tx<'_>| {
            let sql = "INSERT INTO companies (company_id, id, code, name, slug, status, settings, created_at, updated_at) \
                       VALUES ($1, $2, $3, $3, $3, $4, $5, 0, 0)";
            let name = format!("{number:03}");
            let settings = loopd_store::Value::Json("{}".to_owned());
            tx.execute(sql, &params![CompanyId(number), Uuid::from_u128(number as u128), name, status, settings])?;
            Ok(())
        };
        self.kernel.db.write(View::System, work).await.unwrap();
    }
}

#[tokio::test]
async fn a_slot_is_done_once_by_all_nodes_together() {
    for world in worlds().await {
        let schedule = Schedule::daily("test.daily", HOUR_US);
        let nodes = [world.node(schedule), world.node(schedule), world.node(schedule)];
        for node in &nodes {
            world.work(node).await;
        }
        assert_eq!(world.took(), [], "nothing is due before its time");
        for day in 1..=3 {
            world.clock.set(START.plus(day * DAY_US));
            let (one, two, three) = tokio::join!(
                nodes[0].run_due(&world.kernel),
                nodes[1].run_due(&world.kernel),
                nodes[2].run_due(&world.kernel)
            );
            for outcome in [one, two, three] {
                outcome.unwrap();
            }
            world.work(&nodes[0]).await;
            assert_eq!(world.took().len(), 1, "day {day}");
        }
    }
}

#[tokio::test]
async fn a_server_that_was_down_catches_up_once_and_a_clock_that_went_back_does_nothing() {
    for world in worlds().await {
        let schedule = Schedule::daily("test.daily", HOUR_US);
        world.work(&world.node(schedule)).await;
        world.clock.advance(9 * DAY_US);
        // A new process: nothing is remembered but what is in the rows.
        let node = world.node(schedule);
        world.work(&node).await;
        world.work(&node).await;
        assert_eq!(world.took().len(), 1);
        world.clock.advance(-5 * DAY_US);
        world.work(&node).await;
        assert_eq!(world.took(), []);
        // It does not stand still until the wrong day comes again: the next slot of the right time is kept.
        world.clock.advance(DAY_US);
        world.work(&node).await;
        assert_eq!(world.took().len(), 1);
    }
}

#[tokio::test]
async fn every_company_that_works_has_a_job_of_its_own() {
    for world in worlds().await {
        for number in 1..=3 {
            world.company(number, "active").await;
        }
        world.company(4, "closed").await;
        let node = world.node(Schedule::daily("test.companies", 0).each_company());
        world.work(&node).await;
        world.clock.advance(DAY_US);
        world.work(&node).await;
        let mut took = world.took();
        took.sort();
        let companies: Vec<i64> = took.iter().map(|(company, _)| *company).collect();
        assert_eq!(companies, [1, 2, 3]);
        assert!(took.iter().all(|(_, slot)| slot.ends_with("T00:00:00.000000Z")), "{took:?}");
    }
}
