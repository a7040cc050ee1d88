//! One key, one effect.

use std::sync::atomic::Ordering;
use std::time::Duration;

use loopd_testkit::{each_engine, json};
use tokio::io::AsyncWriteExt as _;

use crate::world::Edge;

const PATH: &str = "/api/v1/booking/things/";

each_engine! {
    async fn a_repeat_gets_the_same_answer_and_another_request_a_conflict(edge: &Edge) {
        let (token, _) = edge.member("ada").await;
        let client = edge.client().with_token(&token).with_header("idempotency-key", "k1");
        let first = client.post(PATH).json(&json!({"a": 1})).await.expect_status(201);
        assert_eq!(first.header("idempotency-replayed"), None);
        let again = client.post(PATH).json(&json!({"a": 1})).await.expect_status(201);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!((again.body.clone(), again.header("etag")), (first.body.clone(), first.header("etag")));
        client.post(PATH).json(&json!({"a": 2})).await.expect_refusal(409, "idempotency_conflict");
        let free = client.without("idempotency-key").post(PATH).json(&json!({"a": 1})).await.expect_status(201);
        assert_eq!(free.at("/n"), 2);
        let (bob, _) = edge.member("bob").await;
        let theirs = client.with_token(&bob).post(PATH).json(&json!({"a": 2})).await.expect_status(201);
        assert_eq!(theirs.at("/n"), 1, "another company's keys are their own");
        let bad = "k".repeat(256);
        client.with_header("idempotency-key", &bad).post(PATH).await.expect_refusal(400, "invalid_idempotency_key");
    }

    async fn concurrent_repeats_have_one_effect(edge: &Edge) {
        let (token, _) = edge.member("ada").await;
        let client = edge.client().with_token(&token).with_header("idempotency-key", "same");
        let calls = (0..16).map(|_| async { client.post(PATH).json(&json!({"a": 1})).await });
        for answer in futures_util::future::join_all(calls).await {
            assert_eq!(answer.expect_status(201).at("/n"), 1);
        }
        let next = client.without("idempotency-key").post(PATH).await.expect_status(201);
        assert_eq!(next.at("/n"), 2);
    }

    async fn strangers_keys_never_meet(edge: &Edge) {
        let client = edge.client().with_header("idempotency-key", "1");
        let path = "/api/v1/open/";
        client.post(path).json(&json!({"a": 1})).await.expect_status(201);
        client.post(path).json(&json!({"a": 2})).await.expect_status(201);
        let again = client.post(path).json(&json!({"a": 1})).await.expect_status(201);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
    }

    async fn outside_work_is_done_once_but_tried_again_after_a_failure(edge: &Edge) {
        let (token, _) = edge.member("ada").await;
        let client = edge.client().with_token(&token).with_header("idempotency-key", "pay");
        client.post("/api/v1/booking/outside/").await.expect_refusal(503, "unavailable");
        for _ in 0..3 {
            assert_eq!(client.post("/api/v1/booking/outside/").await.expect_status(201).at("/n"), 2);
        }
        assert_eq!(edge.outside.load(Ordering::SeqCst), 2);
    }

    async fn whoever_forgets_to_commit_learns_it_in_tests(edge: &Edge) {
        let (token, _) = edge.member("ada").await;
        let client = edge.client().with_token(&token);
        client.post("/api/v1/booking/forgetful/").await.expect_status(204);
        client.with_header("idempotency-key", "k").post("/api/v1/booking/forgetful/").await.expect_status(500);
    }

    async fn a_client_that_leaves_does_not_stop_its_write(edge: &Edge) {
        let (token, _) = edge.member("ada").await;
        let mut stream = tokio::net::TcpStream::connect(edge.address).await.unwrap();
        let request = format!(
            "POST /api/v1/booking/slow/ HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nidempotency-key: gone\r\ncontent-length: 0\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        while edge.begun.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        drop(stream);
        // The write is in the middle of its pause now; the repeat must find its answer, not do it again.
        tokio::time::sleep(Duration::from_millis(400)).await;
        let client = edge.client().with_token(&token).with_header("idempotency-key", "gone");
        let answer = client.post("/api/v1/booking/slow/").await.expect_status(201);
        assert_eq!(answer.header("idempotency-replayed"), Some("true"));
        assert_eq!(answer.at("/n"), 1);
    }
}
