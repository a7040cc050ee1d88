//! 12, second part: whatever is done to a record, its status stays one that its definition declares.

use loopd_testkit::{each_engine, json};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::coverage::sample::Samples;
use crate::support::World;

each_engine! {
    async fn no_order_of_actions_leads_to_an_undeclared_state(world: &World) {
        let registry = world.engine.registry.clone();
        let mut runner = TestRunner::deterministic();
        for runtime in registry.resources().iter().filter(|runtime| !runtime.resource.actions.is_empty() && !runtime.resource.read_only) {
            let resource = &runtime.resource;
            let owner = world.register(&runtime.path.replace('/', "-")).await;
            let mut samples = Samples::new(&owner, &registry);
            for _ in 0..3 {
                let Ok(id) = samples.make(&runtime.path).await else { continue };
                let item = format!("/api/v1/{}/{id}/", runtime.path);
                let walk = proptest::collection::vec(0..resource.actions.len(), 8).new_tree(&mut runner).expect("a walk").current();
                for step in walk {
                    let action = &resource.actions[step];
                    let before = owner.get(&item).await;
                    if before.status == 404 {
                        break;
                    }
                    let before = before.text_at("/status");
                    let body = samples.input(&runtime.path, action).await;
                    let answer = owner.post(&format!("{item}{}/", action.name)).json(&body).await;
                    assert!(answer.status < 500, "{}: {}", answer.what, answer.text());
                    let after = owner.get(&item).await.expect_status(200).text_at("/status");
                    assert!(resource.states.contains(&after), "{} led {} to {after}", action.name, runtime.path);
                    if answer.status >= 400 {
                        assert_eq!(before, after, "{} was refused and moved {} all the same", action.name, runtime.path);
                    }
                    if !action.may_start_in(&before) {
                        let refused = answer.expect_refusal(409, "invalid_transition");
                        assert_eq!(refused.at("/error/details/from"), json!(before));
                        assert!(refused.at("/error/details/allowed").is_array());
                    }
                }
            }
        }
    }
}
