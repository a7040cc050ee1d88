//! What is taken away is gone at the very next request, under load and at every node.

use loopd_testkit::{Client, Database, Engine, each_engine, json};

use crate::support::{PASSWORD, Program, World, refused_from_then_on};

const ME: &str = "/api/v1/auth/me/";
const APPOINTMENTS: &str = "/api/v1/booking/appointments/";
const KEYS: &str = "/api/v1/internal-api-keys/";

each_engine! {
    async fn a_session_that_ends_under_load_is_refused_by_the_very_next_request(world: &World) {
        let owner = world.owner().await;
        for _ in 0..3 {
            let session = world.sign_in(&owner.email, "001").await;
            refused_from_then_on(&[(*session).clone()], ME, async || {
                session.post("/api/v1/auth/logout/").json(&json!({"refresh": session.refresh})).await.expect_status(204);
            })
            .await;
        }
    }
}

/// A session of its own, at one server: who shows it, and what ends it.
async fn session(owner: &Client) -> (Client, String) {
    let body = json!({"email": "dev@example.com", "password": PASSWORD});
    let answer = owner.anonymous().post("/api/v1/auth/login/").json(&body).await.expect_status(200);
    (owner.with_token(&answer.text_at("/access")), answer.text_at("/refresh"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_node_revokes_every_node_refuses() {
    let Some(database) = Database::empty(Engine::Postgres).await else { return };
    let program = Program::fresh().with("LOOP_DATABASE_URL", database.url());
    let (one, two) = (program.serve(), program.serve());
    let owner = one.owner().await;
    for _ in 0..2 {
        let (ending, refresh) = session(&owner).await;
        refused_from_then_on(&[ending.clone(), ending.at(&two.base)], ME, async || {
            ending.post("/api/v1/auth/logout/").json(&json!({"refresh": refresh})).await.expect_status(204);
        })
        .await;
        let made = owner.post(KEYS).json(&json!({"name": "a key", "scopes": ["*"]})).await.expect_status(201);
        let key = one.client().with_key(&made.text_at("/key")).company("001");
        refused_from_then_on(&[key.clone(), key.at(&two.base)], APPOINTMENTS, async || {
            owner.post(&format!("{KEYS}{}/revoke/", made.text_at("/id"))).await.expect_status(200);
        })
        .await;
    }
}
