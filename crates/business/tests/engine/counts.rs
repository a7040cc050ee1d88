//! How many rows a filtered list says it has: all of them, or that there are more.

use std::sync::Arc;
use std::time::Duration;

use loopd_business::engine::{Counting, Engine, Registry};
use loopd_testkit::{Client, each_engine, json};
use loopd_web::App;
use tokio::net::TcpListener;

use crate::support::{World, modules, register};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

/// The owner at a server over the same database that counts in steps of `step` rows, for as long as `budget`.
async fn counting(world: &World, step: u32, budget: Duration) -> Client {
    let mut registry = Registry::build(modules()).expect("the definitions are sound");
    registry.counting = Counting { step, budget };
    let registry = Arc::new(registry);
    let engine = Engine::new(world.kernel.clone(), registry.clone());
    let operations = loopd_business::http::operations(&engine.registry);
    let app = App::new(world.kernel.clone(), loopd_web::Settings::default(), operations).expect("operations are sound");
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(loopd_web::serve::run(app, listener, std::future::pending()));
    world.owner.at(&base)
}

/// Makes so many appointments, of which every third is called Other.
async fn fill(client: &Client, rows: usize) {
    let title = |n: usize| if n % 3 == 2 { "Other" } else { "Wanted" };
    let operations: Vec<_> = (0..rows).map(|n| json!({"op": "create", "body": {"title": title(n)}})).collect();
    client.post(&format!("{APPOINTMENTS}bulk/")).json(&json!({"operations": operations})).await.expect_status(200);
}

each_engine! {
    async fn a_filtered_count_is_exact_however_many_steps_it_takes(world: &World) {
        fill(&world.owner, 90).await;
        register(&world.owner, "stranger").await.post(APPOINTMENTS).json(&json!({"title": "Wanted"})).await.expect_status(201);
        // 60 rows: less than a step, exactly one, several, several and a rest, one at a time.
        for step in [61, 60, 20, 7, 1] {
            let page = counting(world, step, Duration::MAX).await.get(APPOINTMENTS).query("search", "wanted").await.expect_status(200);
            assert_eq!((&page.at("/count"), page.header("x-count-exact")), (&json!(60), None), "in steps of {step}");
        }
        let last = counting(world, 7, Duration::MAX).await.get(APPOINTMENTS).query("search", "wanted").query("page", "last").await.expect_status(200);
        assert_eq!(last.at("/results").as_array().map(Vec::len), Some(10));
    }

    async fn a_filtered_count_covers_every_company_of_a_union(world: &World) {
        let owner = &world.owner;
        fill(owner, 30).await;
        let second = owner.without("x-company-id").post("/api/v1/companies/").json(&json!({"name": "Second"})).await.expect_status(201);
        fill(&owner.company(&second.text_at("/code")), 33).await;
        let all = counting(world, 4, Duration::MAX).await.without("x-company-id");
        assert_eq!(all.get(APPOINTMENTS).query("search", "wanted").await.expect_status(200).at("/count"), json!(42));
    }

    async fn a_count_that_takes_too_long_says_that_there_are_more(world: &World) {
        fill(&world.owner, 90).await;
        let hurried = counting(world, 7, Duration::ZERO).await;
        let page = hurried.get(APPOINTMENTS).query("search", "wanted").query("page_size", "5").await.expect_status(200);
        assert_eq!((page.at("/count"), page.header("x-count-exact")), (json!(7), Some("false")));
        hurried.get(APPOINTMENTS).query("search", "wanted").query("page_size", "5").query("page", "2").await.expect_status(200);
        hurried.get(APPOINTMENTS).query("search", "wanted").query("page_size", "5").query("page", "3").await.expect_refusal(404, "not_found");
        // What needs no counting, or is counted before the time is over, is exact all the same.
        let plain = hurried.get(APPOINTMENTS).await.expect_status(200);
        assert_eq!((plain.at("/count"), plain.header("x-count-exact")), (json!(90), None));
        let few = hurried.get(APPOINTMENTS).query("search", "nothing").await.expect_status(200);
        assert_eq!((few.at("/count"), few.header("x-count-exact")), (json!(0), None));
    }
}
