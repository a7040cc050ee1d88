//! A server that cannot wait for its jobs gives them back, so that the next one does them at once.

use std::sync::Arc;

use loopd_kernel::job::{self, Job, NewJob, Runner};
use loopd_kernel::{Catalogue, Environment, Kernel, Settings};
use loopd_store::{Config, Db, View, migrate};
use loopd_types::{CompanyId, ManualClock, OsRng, Timestamp};
use tokio::sync::{mpsc, watch};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_is_cut_short_is_given_back_and_its_attempt_does_not_count() {
    let folder = std::env::temp_dir().join(format!("loopd-stopping-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000_000)));
    let db = Db::open(&Config::new(format!("sqlite://{}", folder.join("loop.db").display()))).await.unwrap();
    migrate::run(&db, clock.as_ref()).await.unwrap();
    let settings = Settings::new(Environment::Development, "x".repeat(40));
    let kernel = Kernel::new(db, clock.clone(), Arc::new(OsRng), settings, Catalogue::default()).unwrap();
    let shared = kernel.clone();
    let written = kernel.db.write(View::System, move |tx| {
        let payload = "{}".to_owned();
        let job = NewJob { kind: "slow", company: CompanyId(0), payload, run_at: shared.now(), unique_key: None };
        Ok(job::enqueue(tx, &shared, &job)?)
    });
    written.await.unwrap();

    let (begun, mut has_begun) = mpsc::unbounded_channel();
    let mut runner = Runner::default();
    let hangs: job::Handler = Arc::new(move |_, job: Job| {
        let begun = begun.clone();
        Box::pin(async move {
            let _ = begun.send(job.attempt);
            std::future::pending().await
        })
    });
    runner.register("slow", hangs);
    let (_stop, stopped) = watch::channel(false);
    let working = tokio::spawn(runner.clone().run(kernel.clone(), stopped));
    assert_eq!(has_begun.recv().await, Some(1));
    working.abort();
    let _ = working.await;
    assert_eq!(runner.release(&kernel).await.unwrap(), 1);
    assert_eq!(runner.release(&kernel).await.unwrap(), 0, "once");

    // No lease is waited for: the clock stands still.
    let (done, mut attempts) = mpsc::unbounded_channel();
    let mut next = Runner::default();
    let works: job::Handler = Arc::new(move |_, job: Job| {
        let done = done.clone();
        Box::pin(async move {
            let _ = done.send(job.attempt);
            Ok(())
        })
    });
    next.register("slow", works);
    assert_eq!(next.run_due(&kernel).await.unwrap(), 1);
    assert_eq!(attempts.recv().await, Some(1), "the attempt that we cut short ourselves does not count");
    kernel.db.close().await;
    std::fs::remove_dir_all(&folder).unwrap();
}
