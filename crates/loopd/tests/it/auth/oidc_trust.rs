//! How far and how long the word of a provider of identity goes: for a second factor, and until it is switched off.

use std::net::Ipv4Addr;

use loopd_kernel::Origin;
use loopd_kernel::oidc::{self, Return};
use loopd_store::View;
use loopd_testkit::issuer::Issuer;
use loopd_testkit::{Answer, each_engine, json};
use serde_json::Value;

use super::oidc::{OF_COMPANIES, OWN, provider, with};
use crate::support::{Actor, PASSWORD, World};

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

fn origin() -> Origin {
    Origin {
        address: Ipv4Addr::LOCALHOST.into(),
        request_id: "".into(),
        app_id: None,
        user_agent: None,
        impersonator: None,
    }
}

each_engine! {
    async fn a_trusted_providers_word_is_enough_for_whoever_has_no_factor_here(world: &World) {
        let (owner, root, issuer) = (world.owner().await, world.superuser().await, Issuer::start().await);
        let grace = world.member(&owner, "grace", "staff").await;
        world.verify_email(&grace).await;
        world.two_factor(&owner).await;
        owner.patch("/api/v1/companies/001/").json(&json!({"settings": {"require_two_factor": true}})).await.expect_status(200);
        let trusted = with(provider(&issuer), "trusts_mfa", json!(true));
        let installations = root.post(OWN).json(&trusted).await.expect_status(201).text_at("/id");
        let companies = owner.post(OF_COMPANIES).json(&trusted).await.expect_status(201).text_at("/id");
        for (list, boss, id) in [(OWN, &root, installations), (OF_COMPANIES, &owner, companies)] {
            let come = async |amr: Value| {
                let claims = with(issuer.claims("s", &grace.email, world.kernel.now()), "amr", amr);
                let answer = world.come(&issuer, &id, claims).await.expect_status(200);
                world.client().with_token(&answer.text_at("/access")).company("001")
            };
            let one_factor = come(json!(["pwd"])).await;
            one_factor.get(APPOINTMENTS).await.expect_refusal(403, "two_factor_required");
            let trusted = come(json!(["pwd", "mfa"])).await;
            trusted.get(APPOINTMENTS).await.expect_status(200);
            // A factor of their own that comes and goes takes nothing from it.
            let grace = world.sign_in(&grace.email, "001").await;
            grace.get(APPOINTMENTS).await.expect_refusal(403, "two_factor_required");
            world.two_factor(&grace).await;
            grace.post("/api/v1/auth/2fa/disable/").json(&json!({"password": PASSWORD})).await.expect_status(204);
            grace.get(APPOINTMENTS).await.expect_refusal(403, "two_factor_required");
            trusted.get(APPOINTMENTS).await.expect_status(200);
            // The word counts for as long as it is trusted.
            boss.patch(&format!("{list}{id}/")).json(&json!({"trusts_mfa": false})).await.expect_status(200);
            trusted.get(APPOINTMENTS).await.expect_refusal(403, "two_factor_required");
        }
    }

    async fn what_a_provider_opened_ends_with_it(world: &World) {
        let (owner, root, issuer) = (world.owner().await, world.superuser().await, Issuer::start().await);
        let (grace, ada) = (world.member(&owner, "grace", "staff").await, world.member(&owner, "ada", "staff").await);
        world.verify_email(&grace).await;
        world.verify_email(&ada).await;
        let keys = world.two_factor(&ada).await;
        for (list, boss) in [(OWN, &root), (OF_COMPANIES, &owner)] {
            for is_deleted in [false, true] {
                let id = boss.post(list).json(&provider(&issuer)).await.expect_status(201).text_at("/id");
                let other = boss.post(list).json(&provider(&issuer)).await.expect_status(201).text_at("/id");
                let item = format!("{list}{id}/");
                let claims = |person: &Actor| issuer.claims(&person.user, &person.email, world.kernel.now());
                let opened = world.come(&issuer, &id, claims(&grace)).await.expect_status(200);
                let beside = world.come(&issuer, &other, claims(&grace)).await.expect_status(200);
                let waiting = world.come(&issuer, &id, claims(&ada)).await.expect_refusal(401, "mfa_required");
                let calls = |answer: &Answer| world.client().with_token(&answer.text_at("/access")).company("001");
                calls(&opened).get(APPOINTMENTS).await.expect_status(200);
                if is_deleted {
                    boss.delete(&item).await.expect_status(204);
                } else {
                    boss.patch(&item).json(&json!({"is_enabled": false})).await.expect_status(200);
                }
                calls(&opened).get(APPOINTMENTS).await.expect_refusal(401, "token_not_valid");
                let renewal = json!({"refresh": opened.text_at("/refresh")});
                world.client().post("/api/v1/auth/refresh/").json(&renewal).await.expect_refusal(401, "token_not_valid");
                let code = world.next_code(&keys);
                world.answer(&waiting.text_at("/error/details/mfa_token"), &code).await.expect_refusal(401, "mfa_token_not_valid");
                // What came in another way stays.
                calls(&beside).get(APPOINTMENTS).await.expect_status(200);
                grace.get(APPOINTMENTS).await.expect_status(200);
                let noted = root.get("/api/v1/audit-logs/").query("target", &id).query("resource", "oidc-providers").await.expect_status(200);
                let noted = noted.at("/results");
                let ended = noted.as_array().expect("rows").iter().filter(|row| row["changes"]["sessions_ended"] == json!([null, 1]));
                assert_eq!(ended.count(), 1, "{noted}");
                if !is_deleted {
                    boss.patch(&item).json(&json!({"is_enabled": true})).await.expect_status(200);
                    calls(&opened).get(APPOINTMENTS).await.expect_refusal(401, "token_not_valid");
                    let again = world.come(&issuer, &id, claims(&grace)).await.expect_status(200);
                    calls(&again).get(APPOINTMENTS).await.expect_status(200);
                }
            }
        }
    }

    /// The provider has answered, and is switched off before the session is opened.
    async fn a_sign_in_under_way_opens_nothing_when_its_provider_is_switched_off(world: &World) {
        let (owner, root, issuer) = (world.owner().await, world.superuser().await, Issuer::start().await);
        world.verify_email(&owner).await;
        let id = root.post(OWN).json(&provider(&issuer)).await.expect_status(201).text_at("/id");
        let begun = world.begin(&id).await.expect_status(200);
        let claims = issuer.claims("s", &owner.email, world.kernel.now());
        let code = issuer.authorize(&begun.text_at("/authorization_url"), claims);
        let back = Return::parse(json!({"state": begun.at("/state"), "binding": begun.at("/binding"), "code": code}));
        let completed = oidc::complete(&world.kernel, &back.expect("a return")).await.expect("the provider vouches");
        let kernel = world.kernel.clone();
        let admitted = world.kernel.db.write(View::System, move |tx| completed.admit(tx, &kernel, &origin()));
        let person = admitted.await.expect("somebody who is known");
        root.patch(&format!("{OWN}{id}/")).json(&json!({"is_enabled": false})).await.expect_status(200);
        let kernel = world.kernel.clone();
        let opened = world.kernel.db.write(View::System, move |tx| person.open(tx, &kernel, &origin()).map(drop)).await;
        assert_eq!(opened.expect_err("no session").code(), "oidc_not_valid");
    }

    /// Made by a company's provider, which vouches for no address: a reset by letter ends that too.
    async fn the_first_reset_by_letter_ends_what_a_companys_provider_opened(world: &World) {
        let (owner, issuer) = (world.owner().await, Issuer::start().await);
        let rules = json!([{"group": "till", "role": "staff"}]);
        let body = with(with(provider(&issuer), "role_mapping", rules), "creates_users", json!(true));
        let id = owner.post(OF_COMPANIES).json(&body).await.expect_status(201).text_at("/id");
        let claims = with(issuer.claims("s", "aline@example.com", world.kernel.now()), "groups", json!(["till"]));
        let opened = world.come(&issuer, &id, claims.clone()).await.expect_status(200);
        let client = world.client().with_token(&opened.text_at("/access")).company("001");
        client.get(APPOINTMENTS).await.expect_status(200);
        world.reset_password("aline@example.com", "another pass 456").await;
        client.get(APPOINTMENTS).await.expect_refusal(401, "token_not_valid");
        assert_eq!(world.rows("oidc_identities").await, 0);
        // Now that the address is shown, its provider may name it.
        world.come(&issuer, &id, claims).await.expect_status(200);
    }
}
