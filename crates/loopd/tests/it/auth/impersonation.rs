//! The operator under a person's name: explicit, limited, visible, and kept from what is the person's own.

use loopd_testkit::{Answer, Client, assert_json, each_engine, json};
use loopd_types::{MINUTE_US, SECOND_US};
use serde_json::Value;

use crate::support::{Actor, PASSWORD, World};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";
const ME: &str = "/api/v1/auth/me/";

async fn ask(root: &Actor, person: &Actor, body: Value) -> Answer {
    root.post(&format!("/api/v1/users/{}/impersonate/", person.user)).json(&body).await
}

/// A client that acts in somebody's name.
async fn act(world: &World, root: &Actor, person: &Actor, body: Value) -> Client {
    let begun = ask(root, person, body).await.expect_status(201);
    world.client().with_token(&begun.text_at("/access")).company(&person.code)
}

fn reason() -> Value {
    json!({"reason": "Ticket 4711: the report does not open"})
}

each_engine! {
    async fn an_operator_acts_in_a_persons_name_and_everybody_sees_it(world: &World) {
        let (owner, root) = (world.owner().await, world.superuser().await);
        ask(&root, &owner, json!({})).await.expect_field("reason", "required");
        ask(&root, &owner, json!({"reason": "help"})).await.expect_field("reason", "min_length");
        ask(&root, &owner, json!({"reason": "Ticket 4711", "minutes": 61})).await.expect_field("minutes", "max_value");
        let helper = act(world, &root, &owner, reason()).await;
        let me = helper.get(ME).await.expect_status(200);
        assert_json!(me.json(), {
            "user": {"id": owner.user}, "company": {"code": "001"}, "auth": "jwt",
            "impersonation": {"by": root.user, "reason": "Ticket 4711: the report does not open", "withheld": []},
        });
        assert_eq!(me.header("x-loop-impersonated-by"), Some(root.user.as_str()));
        assert_json!(owner.get(ME).await.json(), {"impersonation": null});
        assert_eq!(owner.get(ME).await.header("x-loop-impersonated-by"), None);
        let made = helper.post(APPOINTMENTS).json(&json!({"title": "Repaired"})).await.expect_status(201).text_at("/id");
        let logged = owner.get("/api/v1/audit-logs/").query("target", &made).await.expect_status(200);
        assert_json!(logged.json(), {"count": 1, "results": [{"action": "create", "user": owner.user, "impersonator": root.user}]});
        let begun = owner.get("/api/v1/audit-logs/").query("action", "impersonation-start").await.expect_status(200);
        assert_json!(begun.json(), {"count": 1, "results": [{"user": root.user, "target": owner.user, "impersonator": null}]});
        // The person's own acts name nobody else.
        let own = owner.make(APPOINTMENTS, json!({"title": "Own"})).await;
        let logged = owner.get("/api/v1/audit-logs/").query("target", &own).await.expect_status(200);
        assert_json!(logged.json(), {"count": 1, "results": [{"impersonator": null}]});
    }

    async fn nobody_acts_in_the_name_of_a_superuser_or_without_being_one(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let (root, other) = (world.superuser().await, world.superuser_named("keeper").await);
        ask(&root, &other, reason()).await.expect_refusal(403, "impersonation_forbidden");
        ask(&root, &root, reason()).await.expect_refusal(403, "impersonation_forbidden");
        ask(&owner, &stranger, reason()).await.expect_refusal(403, "permission_denied");
        // Nor from within: the person is no superuser, and the operator is not one meanwhile.
        let helper = act(world, &root, &owner, reason()).await;
        let path = format!("/api/v1/users/{}/impersonate/", stranger.user);
        helper.post(&path).json(&reason()).await.expect_refusal(403, "permission_denied");
        helper.get("/api/v1/users/").await.expect_refusal(403, "permission_denied");
        helper.company("002").get(APPOINTMENTS).await.expect_refusal(403, "company_access_denied");
        world.set_active(&stranger, false).await;
        ask(&root, &stranger, reason()).await.expect_refusal(409, "user_inactive");
    }

    async fn what_is_the_persons_own_stays_closed(world: &World) {
        let (owner, root) = (world.owner().await, world.superuser().await);
        let (key, _) = world.key(&owner, &["*"]).await;
        let helper = act(world, &root, &owner, reason()).await;
        let proof = json!({"password": PASSWORD});
        for (path, body) in [
            ("/api/v1/auth/password/change/", json!({"old_password": PASSWORD, "new_password": "anotherpass456"})),
            ("/api/v1/auth/2fa/setup/", proof.clone()),
            ("/api/v1/auth/2fa/enable/", json!({"code": "123456"})),
            ("/api/v1/auth/2fa/disable/", proof.clone()),
            ("/api/v1/auth/2fa/recovery-codes/", proof.clone()),
            ("/api/v1/auth/passkeys/register/begin/", proof.clone()),
            ("/api/v1/internal-api-keys/", json!({"name": "x"})),
            ("/api/v1/auth/email/change/", json!({"new_email": "eve@example.com", "password": PASSWORD})),
            ("/api/v1/auth/email/verify/resend/", json!({})),
            ("/api/v1/auth/merge/", json!({"email": "eve@example.com", "password": PASSWORD})),
            ("/api/v1/auth/sessions/revoke-others/", json!({})),
        ] {
            helper.post(path).json(&body).await.expect_refusal(403, "impersonation_forbidden");
        }
        helper.get("/api/v1/auth/sessions/").await.expect_refusal(403, "impersonation_forbidden");
        helper.patch(ME).json(&json!({"first_name": "Eve"})).await.expect_refusal(403, "impersonation_forbidden");
        let item = format!("/api/v1/internal-api-keys/{key}/");
        helper.patch(&item).json(&json!({"scopes": ["*"]})).await.expect_refusal(403, "impersonation_forbidden");
        helper.post(&format!("{item}rotate/")).json(&json!({})).await.expect_refusal(403, "impersonation_forbidden");
        // A leaked key may be stopped.
        helper.post(&format!("{item}revoke/")).await.expect_status(200);
    }

    async fn what_the_operator_withholds_is_not_theirs(world: &World) {
        let (owner, root) = (world.owner().await, world.superuser().await);
        let customer = owner.make("/api/v1/booking/customers/", json!({"name": "Aline", "title": "Aline"})).await;
        let helper = act(world, &root, &owner, json!({"reason": "Ticket 4711", "withhold": ["booking.customers.*", "*.*.delete"]})).await;
        helper.get("/api/v1/booking/customers/").await.expect_refusal(403, "permission_denied");
        helper.get(&format!("/api/v1/booking/customers/{customer}/")).await.expect_refusal(403, "permission_denied");
        let made = helper.post(APPOINTMENTS).json(&json!({"title": "x"})).await.expect_status(201).text_at("/id");
        helper.delete(&format!("{APPOINTMENTS}{made}/")).await.expect_refusal(403, "permission_denied");
        owner.delete(&format!("{APPOINTMENTS}{made}/")).await.expect_status(204);
        ask(&root, &owner, json!({"reason": "Ticket 4711", "withhold": ["!core.*"]})).await.expect_field("withhold", "invalid");
    }

    async fn it_ends_by_itself_and_on_demand(world: &World) {
        let (owner, root) = (world.owner().await, world.superuser().await);
        let helper = act(world, &root, &owner, json!({"reason": "Ticket 4711", "minutes": 5})).await;
        world.clock.advance(5 * MINUTE_US - SECOND_US);
        helper.get(ME).await.expect_status(200);
        world.clock.advance(SECOND_US);
        helper.get(ME).await.expect_refusal(401, "token_not_valid");
        let helper = act(world, &root, &owner, reason()).await;
        owner.post("/api/v1/auth/impersonation/end/").await.expect_refusal(409, "not_impersonating");
        helper.post("/api/v1/auth/impersonation/end/").await.expect_status(204);
        helper.get(ME).await.expect_refusal(401, "token_not_valid");
        let helper = act(world, &root, &owner, reason()).await;
        for _ in 0..2 {
            root.post(&format!("/api/v1/users/{}/end-impersonation/", owner.user)).await.expect_status(204);
        }
        helper.get(ME).await.expect_refusal(401, "token_not_valid");
        owner.get(ME).await.expect_status(200);
        let ended = owner.get("/api/v1/audit-logs/").query("action", "impersonation-end").await.expect_status(200);
        assert_json!(ended.json(), {"count": 2});
    }

    async fn a_company_that_requires_two_factor_asks_it_of_the_operator_too(world: &World) {
        let (owner, root) = (world.owner().await, world.superuser().await);
        world.two_factor(&owner).await;
        owner.patch("/api/v1/companies/001/").json(&json!({"settings": {"require_two_factor": true}})).await.expect_status(200);
        let helper = act(world, &root, &owner, reason()).await;
        helper.get(APPOINTMENTS).await.expect_refusal(403, "two_factor_required");
        world.two_factor(&root).await;
        let helper = act(world, &root, &owner, reason()).await;
        helper.get(APPOINTMENTS).await.expect_status(200);
    }
}
