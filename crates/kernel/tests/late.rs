//! What comes late or too often: a worker after its lease, a hundred and first session.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loopd_kernel::account::{self, Registration};
use loopd_kernel::job::{self, NewJob, Runner};
use loopd_kernel::{Catalogue, Environment, Kernel, Origin, Presented, Settings};
use loopd_store::testing::TestDb;
use loopd_store::{View, migrate};
use loopd_types::{CompanyId, HOUR_US, ManualClock, OsRng, Problem, Timestamp};
use serde_json::json;

fn kernel(test: &TestDb, clock: &Arc<ManualClock>) -> Arc<Kernel> {
    let mut settings = Settings::new(Environment::Development, "x".repeat(40));
    settings.password_memory_kib = 64;
    settings.rate_limits = false;
    Kernel::new(test.db.clone(), clock.clone(), Arc::new(OsRng), settings, Catalogue::default()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_late_leaves_its_successor_s_job_alone() {
    for test in TestDb::both().await {
        let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000_000)));
        migrate::run(&test.db, clock.as_ref()).await.unwrap();
        let kernel = kernel(&test, &clock);
        let (go_on, begun) = (Arc::new(tokio::sync::Notify::new()), Arc::new(tokio::sync::Notify::new()));
        let mut runner = Runner::default();
        let (wait, tell) = (go_on.clone(), begun.clone());
        runner.register(
            "slow",
            Arc::new(move |_, job| {
                let (wait, tell) = (wait.clone(), tell.clone());
                Box::pin(async move {
                    if job.attempt > 1 {
                        return Ok(());
                    }
                    tell.notify_one();
                    wait.notified().await;
                    Err(Problem::internal("late"))
                })
            }),
        );
        enqueue(&kernel, "slow", 1).await;
        let first = tokio::spawn({
            let (runner, kernel) = (runner.clone(), kernel.clone());
            async move { runner.run_due(&kernel).await }
        });
        begun.notified().await;
        assert_eq!(runner.run_due(&kernel).await.unwrap(), 0, "it is somebody's");
        clock.advance(HOUR_US);
        assert_eq!(runner.run_due(&kernel).await.unwrap(), 1);
        go_on.notify_one();
        first.await.unwrap().unwrap();
        let state = kernel.db.read(View::System, |reader| {
            Ok(reader.one("SELECT state FROM jobs", &[], |row| Ok(row.text(0)?.to_owned()))?)
        });
        assert_eq!(state.await.unwrap(), "done");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_done_side_by_side_a_few_at_a_time() {
    let test = TestDb::sqlite().await;
    let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000_000)));
    migrate::run(&test.db, clock.as_ref()).await.unwrap();
    let kernel = kernel(&test, &clock);
    let (now, most, done) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut runner = Runner::default();
    let (running, peak, ended) = (now.clone(), most.clone(), done.clone());
    runner.register(
        "count",
        Arc::new(move |_, _| {
            let (running, peak, ended) = (running.clone(), peak.clone(), ended.clone());
            Box::pin(async move {
                peak.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                running.fetch_sub(1, Ordering::SeqCst);
                ended.fetch_add(1, Ordering::SeqCst);
                Ok(())
            })
        }),
    );
    enqueue(&kernel, "count", 9).await;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let runs = tokio::spawn(runner.run(kernel.clone(), stopped));
    while done.load(Ordering::SeqCst) < 9 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    stop.send_replace(true);
    runs.await.unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 4);
}

async fn enqueue(kernel: &Arc<Kernel>, kind: &'static str, count: usize) {
    let shared = kernel.clone();
    let work = move |tx: &mut loopd_store::Tx<'_>| {
        for _ in 0..count {
            let job =
                NewJob { kind, company: CompanyId(0), payload: "{}".into(), run_at: shared.now(), unique_key: None };
            job::enqueue(tx, &shared, &job)?;
        }
        Ok(())
    };
    kernel.db.write(View::System, work).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_oldest_session_ends_past_a_hundred() {
    for test in TestDb::both().await {
        let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000_000)));
        migrate::run(&test.db, clock.as_ref()).await.unwrap();
        let kernel = kernel(&test, &clock);
        let origin = || Origin {
            address: IpAddr::V4(Ipv4Addr::LOCALHOST),
            request_id: "test".into(),
            app_id: None,
            user_agent: None,
            impersonator: None,
        };
        let body = json!({"email": "a@example.com", "username": "a", "password": "strongpass123", "company_name": "a"});
        let registration = Registration::parse(&kernel, body).await.unwrap();
        let shared = kernel.clone();
        let made = kernel.db.write(View::System, move |tx| account::register(tx, &shared, &registration, &origin()));
        let first = made.await.unwrap().tokens.access;
        let lives = |access: &str| {
            let (kernel, header) = (kernel.clone(), format!("Bearer {access}"));
            async move {
                let presented = Presented { api_key: None, authorization: Some(&header) };
                kernel.authenticate(presented, origin()).await.is_ok()
            }
        };
        let login = json!({"email": "a@example.com", "password": "strongpass123"});
        let checked = account::sign_in(&kernel, login, &origin()).await.unwrap();
        let mut opened = Vec::new();
        for round in 0..100 {
            clock.advance(1_000);
            if round == 99 {
                assert!(lives(&first).await, "a hundred may live");
            }
            let (shared, checked) = (kernel.clone(), checked.clone());
            let signed = kernel.db.write(View::System, move |tx| checked.open(tx, &shared, &origin())).await.unwrap();
            opened.push(signed.tokens.access);
        }
        assert!(!lives(&first).await);
        for access in &opened {
            assert!(lives(access).await);
        }
    }
}
