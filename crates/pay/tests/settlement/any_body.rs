//! Whatever the facilitator is sent: an answer in its own words, never a panic and never a 5xx; and what a verdict calls good is settled.

use base64::Engine as _;
use loopd_pay::evm::Networks;
use loopd_pay::mpp::Credential;
use loopd_pay::x402::header;
use loopd_testkit::each_engine;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;

use crate::bodies;
use crate::door::{Door, SETTLE, VERIFY};
use crate::support::{START, World};

const BODIES: usize = 300;

each_engine! {
    async fn every_body_gets_an_answer_of_the_facilitators(world: &World) {
        assert_eq!(START.seconds().unsigned_abs(), bodies::NOW);
        let door = Door::new(world.kernel.clone());
        let mut runner = TestRunner::deterministic();
        let (mut good, mut bad, mut refused) = (0, 0, 0);
        for _ in 0..BODIES {
            let bytes = vec(any::<u8>(), 0..48).new_tree(&mut runner).expect("bytes").current();
            let body = bodies::body(&bytes);
            let (status, verdict) = door.post(VERIFY, &body).await;
            let (settled_status, settled) = door.post(SETTLE, &body).await;
            assert_eq!(status, settled_status, "{verdict} {settled}");
            if verdict["isValid"] == true {
                assert_eq!(settled["success"], true, "{verdict} {settled}");
            }
            match (status, verdict["isValid"] == true) {
                (200, true) => good += 1,
                (200, false) => bad += 1,
                _ => refused += 1,
            }
        }
        // A test that only ever hears one of them has tried nothing.
        assert!(good > 0 && bad > 20 && refused > 20, "{good} good, {bad} bad, {refused} refused");
        assert_eq!(world.surplus().await, 0, "no money came into being");
    }
}

#[test]
fn every_header_is_a_payment_or_refused_in_few_words() {
    let networks = Networks::known();
    let mut runner = TestRunner::deterministic();
    let (mut good, mut bad) = (0, 0);
    for _ in 0..2_000 {
        let bytes = vec(any::<u8>(), 0..48).new_tree(&mut runner).expect("bytes").current();
        let inner = bodies::payment(&bytes);
        let text = base64::engine::general_purpose::STANDARD.encode(&inner);
        match header::payment(&text, &networks) {
            Ok(_) => good += 1,
            Err(refusal) => {
                bad += 1;
                assert!(refusal.detail.chars().count() <= 1_000, "{refusal:?}");
            }
        }
        let trouble = Credential::read(&format!("Payment {text}")).expect_err("no challenge is in it");
        assert!(trouble.detail.chars().count() <= 1_000, "{trouble:?}");
    }
    assert!(good > 100 && bad > 100, "{good} good, {bad} bad");
}
