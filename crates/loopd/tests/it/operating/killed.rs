//! `kill -9` under write load loses nothing that was answered; `kill -TERM` finishes what runs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use loopd_testkit::{Client, json};

use crate::support::{Program, eventually};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

/// Writes from several tasks until the server is gone; gives the titles that were answered with 201.
struct Load {
    stop: Arc<AtomicBool>,
    tasks: tokio::task::JoinSet<Vec<String>>,
    answered: Arc<std::sync::atomic::AtomicUsize>,
}

impl Load {
    fn on(owner: &Client, round: usize) -> Self {
        let (stop, answered) = (Arc::<AtomicBool>::default(), Arc::<std::sync::atomic::AtomicUsize>::default());
        let mut tasks = tokio::task::JoinSet::new();
        for writer in 0..8 {
            let (owner, stop, answered) = (owner.clone(), stop.clone(), answered.clone());
            tasks.spawn(async move {
                let mut titles = Vec::new();
                for number in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let title = format!("{round}-{writer}-{number}");
                    let body = json!({"title": title});
                    // The killed server ends the connection; the testkit's client panics at that, in a task of its own.
                    let owner = owner.clone();
                    match tokio::spawn(async move { owner.post(APPOINTMENTS).json(&body).await }).await {
                        Ok(answer) if answer.status == 201 => {
                            titles.push(title);
                            answered.fetch_add(1, Ordering::SeqCst);
                        }
                        Ok(answer) => assert!(answer.status == 503, "{}", answer.text()),
                        Err(_) => break,
                    }
                }
                titles
            });
        }
        Self { stop, tasks, answered }
    }

    async fn until(&self, count: usize) {
        eventually("enough was written", async || self.answered.load(Ordering::SeqCst) >= count).await;
    }

    async fn titles(self) -> Vec<String> {
        self.stop.store(true, Ordering::SeqCst);
        self.tasks.join_all().await.into_iter().flatten().collect()
    }
}

/// Every title of the company, page by page.
async fn all_titles(owner: &Client) -> Vec<String> {
    let (mut titles, mut next, mut count) = (Vec::new(), format!("{APPOINTMENTS}?page_size=100&ordering=title"), 0);
    loop {
        let page = owner.get(&next).await.expect_status(200).json();
        count = count.max(page["count"].as_u64().expect("a count"));
        for row in page["results"].as_array().expect("rows") {
            titles.push(row["title"].as_str().expect("a title").to_owned());
        }
        match page["next"].as_str() {
            Some(link) => next = link.to_owned(),
            None => break,
        }
    }
    assert_eq!(count, titles.len() as u64, "the count equals the list");
    titles
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_was_answered_is_there_after_kill_9() {
    let program = Program::fresh();
    let mut known: Vec<String> = Vec::new();
    for round in 0..3 {
        let server = program.serve();
        let owner = if round == 0 { server.owner().await } else { server.owner_again().await };
        let stored = all_titles(&owner).await;
        let missing: Vec<_> = known.iter().filter(|title| !stored.contains(title)).collect();
        assert!(missing.is_empty(), "answered with 201 and lost: {missing:?}");
        let load = Load::on(&owner, round);
        load.until(150).await;
        server.kill();
        known.extend(load.titles().await);
    }
    let server = program.serve();
    let owner = server.owner_again().await;
    let stored = all_titles(&owner).await;
    let missing: Vec<_> = known.iter().filter(|title| !stored.contains(title)).collect();
    assert!(missing.is_empty(), "answered with 201 and lost: {missing:?}");
    // Numbers are given once, also across the crashes.
    let numbers = owner.get(&format!("{APPOINTMENTS}?ordering=-number&page_size=1")).await.expect_status(200);
    let last: usize = numbers.text_at("/results/0/number")["APT-".len()..].parse().expect("a number");
    assert_eq!(last, stored.len(), "no number is lost with a transaction that was not answered");
    assert!(known.len() >= 450);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_told_to_stop_finishes_what_it_was_asked() {
    let program = Program::fresh();
    let server = program.serve();
    let owner = server.owner().await;
    let load = Load::on(&owner, 0);
    load.until(50).await;
    server.terminate();
    let status = server.ended();
    assert!(status.success(), "{status}");
    let known = load.titles().await;
    let server = program.serve();
    let stored = all_titles(&server.owner_again().await).await;
    let missing: Vec<_> = known.iter().filter(|title| !stored.contains(title)).collect();
    assert!(missing.is_empty(), "answered with 201 and lost: {missing:?}");
    server.terminate();
    assert!(server.ended().success());
}
