//! 12: two tenants do whatever they like, in any order, on one installation; neither ever sees a word of the other's.

use loopd_testkit::{Answer, each_engine, json};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::{Actor, World};

/// What one of the two does next. Numbers choose among the records that either of them has made so far.
#[derive(Clone, Debug)]
enum Step {
    Create(usize),
    Link(usize),
    Update(usize),
    Replace(usize),
    Cancel(usize),
    Delete(usize),
    Restore(usize),
    Upsert(u8),
    Bulk(usize, usize),
    Read(usize),
    List(usize),
    Search,
    Filter,
    Expand,
    Export(usize),
    History(usize),
    Audit,
}

fn step() -> impl Strategy<Value = (bool, Step)> {
    let number = || 0..1000usize;
    let step = prop_oneof![
        4 => number().prop_map(Step::Create),
        2 => number().prop_map(Step::Link),
        2 => number().prop_map(Step::Update),
        1 => number().prop_map(Step::Replace),
        1 => number().prop_map(Step::Cancel),
        1 => number().prop_map(Step::Delete),
        1 => number().prop_map(Step::Restore),
        2 => (0..4u8).prop_map(Step::Upsert),
        2 => (number(), number()).prop_map(|(a, b)| Step::Bulk(a, b)),
        2 => number().prop_map(Step::Read),
        2 => number().prop_map(Step::List),
        1 => Just(Step::Search),
        1 => Just(Step::Filter),
        1 => Just(Step::Expand),
        1 => number().prop_map(Step::Export),
        1 => number().prop_map(Step::History),
        1 => Just(Step::Audit),
    ];
    (any::<bool>(), step)
}

/// Resources with a title and a description that need nothing else.
const BASES: [&str; 3] = ["/api/v1/booking/appointments/", "/api/v1/booking/customers/", "/api/v1/payments/invoices/"];

struct Tenant {
    actor: Actor,
    mark: &'static str,
    other: &'static str,
    /// How many records each base has that are not deleted, as this tenant's own answers said.
    own: Vec<(usize, String)>,
}

impl Tenant {
    /// No answer to this tenant holds the other's mark, and no answer is a fault.
    fn check(&self, step: &Step, answer: &Answer) {
        assert!(answer.status < 500, "{step:?}: {}: {}", answer.what, answer.text());
        assert!(!answer.text().contains(self.other), "{step:?}: {} showed the other's: {}", answer.what, answer.text());
    }

    /// A body that carries this tenant's mark in every text.
    fn body(&self) -> serde_json::Value {
        json!({"title": format!("{} title", self.mark), "description": format!("{} words", self.mark), "tags": [self.mark], "data": {"note": self.mark}})
    }

    async fn take(&mut self, step: &Step, foreign: &[(usize, String)]) {
        // Half of the time at the other's record: that is where a wall would be missing.
        let pick = |number: usize| {
            let all: Vec<&(usize, String)> = self.own.iter().chain(foreign).collect();
            (!all.is_empty()).then(|| all[number % all.len()].clone())
        };
        let is_own = |id: &str| self.own.iter().any(|(_, own)| own == id);
        let actor = &self.actor;
        let base = |number: usize| BASES[number % BASES.len()];
        let answer = match step {
            Step::Create(n) => actor.post(base(*n)).json(&self.body()).await,
            Step::Link(n) => {
                let Some((_, id)) = pick(*n) else { return };
                let mut body = self.body();
                body["customer"] = json!(id);
                let answer = actor.post(BASES[0]).json(&body).await;
                assert!(
                    answer.status != 201 || is_own(&id),
                    "a link to the other's record was stored: {}",
                    answer.text()
                );
                answer
            }
            Step::Update(n)
            | Step::Replace(n)
            | Step::Cancel(n)
            | Step::Delete(n)
            | Step::Restore(n)
            | Step::Read(n)
            | Step::History(n) => {
                let Some((of, id)) = pick(*n) else { return };
                let item = format!("{}{id}/", BASES[of]);
                let answer = match step {
                    Step::Update(_) => actor.patch(&item).json(&self.body()).await,
                    Step::Replace(_) => actor.put(&item).json(&self.body()).await,
                    Step::Cancel(_) => actor.post(&format!("{item}cancel/")).json(&json!({"reason": self.mark})).await,
                    Step::Delete(_) => actor.delete(&item).await,
                    Step::Restore(_) => actor.post(&format!("{item}restore/")).json(&json!({})).await,
                    Step::History(_) => actor.get(&format!("{item}history/")).await,
                    _ => actor.get(&item).await,
                };
                assert!(is_own(&id) || answer.status == 404, "{step:?} at the other's record: {}", answer.text());
                answer
            }
            Step::Upsert(n) => actor.put(&format!("{}by-external-id/SHARED-{n}/", BASES[1])).json(&self.body()).await,
            Step::Bulk(a, b) => {
                let mut operations = vec![json!({"op": "create", "body": self.body()})];
                for number in [a, b] {
                    if let Some((0, id)) = pick(*number) {
                        operations.push(json!({"op": "update", "id": id, "body": self.body()}));
                    }
                }
                actor
                    .post(&format!("{}bulk/", BASES[0]))
                    .json(&json!({"operations": operations, "atomic": false}))
                    .await
            }
            Step::List(n) => actor.get(base(*n)).query("page_size", "100").query("deleted", "true").await,
            Step::Search => actor.get(BASES[0]).query("search", "title").await,
            Step::Filter => actor.get(BASES[0]).query("data__note", self.other).await,
            Step::Expand => actor.get(BASES[0]).query("expand", "customer").await,
            Step::Export(n) => actor.get(&format!("{}export/", base(*n))).await,
            Step::Audit => actor.get("/api/v1/audit-logs/").query("page_size", "100").await,
        };
        // A filter for the other's mark may be echoed in links; what it finds may not be there.
        if matches!(step, Step::Filter) {
            assert_eq!(answer.at("/count"), json!(0), "{}", answer.text());
        } else {
            self.check(step, &answer);
        }
        let made = match step {
            Step::Create(n) if answer.status == 201 => Some((n % BASES.len(), answer.text_at("/id"))),
            Step::Link(_) if answer.status == 201 => Some((0, answer.text_at("/id"))),
            Step::Upsert(_) if answer.status == 201 => Some((1, answer.text_at("/id"))),
            _ => None,
        };
        self.own.extend(made);
    }
}

each_engine! {
    async fn no_interleaving_of_two_tenants_shows_either_the_others_data(world: &World) {
        let config = Config { cases: 24, ..Config::default() };
        let cases = config.cases;
        // The same cases at every run; a failure names its steps.
        let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
        for case in 0..cases {
            let steps = proptest::collection::vec(step(), 30).new_tree(&mut runner).expect("steps").current();
            let mut one = Tenant { actor: world.register(&format!("one{case}")).await, mark: "ONEMARK", other: "TWOMARK", own: Vec::new() };
            let mut two = Tenant { actor: world.register(&format!("two{case}")).await, mark: "TWOMARK", other: "ONEMARK", own: Vec::new() };
            for (is_first, step) in &steps {
                let (who, whom) = if *is_first { (&mut one, &two) } else { (&mut two, &one) };
                who.take(step, &whom.own).await;
            }
            for (who, whom) in [(&one, &two), (&two, &one)] {
                for (of, id) in &whom.own {
                    who.actor.get(&format!("{}{id}/", BASES[*of])).await.expect_refusal(404, "not_found");
                }
                for base in BASES {
                    let rows = who.actor.get(base).query("deleted", "true").query("page_size", "100").await.expect_status(200).text();
                    assert!(!rows.contains(who.other), "{rows}");
                }
            }
        }
    }

    async fn numbers_and_external_ids_are_counted_by_company(world: &World) {
        let (owner, stranger) = world.strangers().await;
        for who in [&owner, &stranger] {
            for number in 1..=3 {
                let made = who.post(BASES[0]).json(&json!({"title": "x", "external_id": format!("EXT-{number}")})).await.expect_status(201);
                assert_eq!(made.text_at("/number"), format!("APT-{number:06}"));
            }
        }
    }
}
