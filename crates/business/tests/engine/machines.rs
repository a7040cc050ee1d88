//! State machines: whatever is done in whatever order, no record ever reaches a state that its definition does not declare, and every
//! change of a state is one that an action allows.

use loopd_business::define::Module;
use loopd_testkit::{Client, each_engine, json};
use loopd_types::{Rng, SeededRng};

use crate::support::{Whole, World, modules, real_modules};

fn pick(rng: &SeededRng, among: usize) -> usize {
    let mut bytes = [0u8; 8];
    rng.fill(&mut bytes);
    (u64::from_le_bytes(bytes) % among as u64) as usize
}

each_engine! {
    async fn no_walk_leaves_the_declared_states(world: &World) {
        walk(&world.owner, modules()).await;
    }

    async fn no_walk_through_the_real_modules_does(world: &Whole) {
        walk(&world.0.owner, real_modules()).await;
    }
}

async fn walk(owner: &Client, modules: Vec<Module>) {
    let rng = SeededRng::new(42);
    let mut walked = 0;
    for module in modules {
        for resource in module.resources.iter().filter(|resource| resource.has_life_cycle()) {
            let base = format!("/api/v1/{}/{}/", module.slug, resource.slug);
            let mut body = json!({
                "title": "Walker", "slug": "walker", "kind": "other", "language": "en", "body": "words",
                "starts_at": "2026-07-01T08:00:00Z", "ends_at": "2026-07-01T09:00:00Z",
            });
            if base == "/api/v1/shop/payments/" {
                let order = owner.post("/api/v1/shop/orders/").json(&json!({})).await.json();
                body = json!({"order": order["id"], "amount": 1});
            }
            let made = owner.post(&base).json(&body).await;
            // what needs more than a plain body to be made, or is made by rules only, walks in its own module's tests
            if made.status != 201 {
                assert!(made.status < 500, "{base} {}", made.text());
                continue;
            }
            let made = made.json();
            walked += 1;
            let at = format!("{base}{}/", made["id"].as_str().unwrap());
            let mut status = made["status"].as_str().unwrap().to_owned();
            for _ in 0..20 {
                let action = &resource.actions[pick(&rng, resource.actions.len())];
                let input =
                    json!({"starts_at": "2026-07-03T08:00:00Z", "reason": "a walk", "at": "2026-07-03T08:00:00Z"});
                let answer = owner.post(&format!("{at}{}/", action.name)).json(&input).await;
                let now = owner.get(&at).await.expect_status(200).text_at("/status");
                assert!(resource.states.contains(&now), "{base} is {now}");
                match answer.status {
                    200 => {
                        assert!(action.may_start_in(&status), "{} ran in {status}", action.name);
                        assert!(
                            now == status || action.to.contains(&now),
                            "{} led from {status} to {now}",
                            action.name
                        );
                    }
                    refused => {
                        assert!(refused < 500, "{base} {} {}", action.name, answer.text());
                        assert_eq!(now, status, "{} was refused with {refused}", action.name);
                        let is_forbidden_move = answer.text().contains("invalid_transition");
                        assert_eq!(
                            is_forbidden_move,
                            !action.may_start_in(&status),
                            "{base} {} in {status}",
                            action.name
                        );
                    }
                }
                status = now;
            }
        }
    }
    assert!(walked >= 5, "only {walked} machines walked");
}
