//! Signed links: for a while, for one file, and gone in one step.

use loopd_testkit::{each_engine, json};
use loopd_types::SECOND_US;

use super::{picture, shelve};
use crate::support::World;

each_engine! {
    async fn whoever_has_a_link_may_read_for_a_while(world: &World) {
        let owner = world.owner().await;
        let id = shelve(&owner, "a.png", &picture(300, 200)).await["id"].as_str().unwrap().to_owned();
        let path = format!("/api/v1/files/{id}/link/");
        let link = owner.post(&path).json(&json!({"expires_in": 60, "disposition": "inline", "thumbnail": 128})).await.expect_status(200).text_at("/url");
        let nobody = world.client();
        let shown = nobody.get(&link).header("origin", "https://elsewhere.example").await.expect_status(200);
        assert_eq!(image::load_from_memory(&shown.body).expect("a picture").width(), 128);
        assert_eq!(shown.header("access-control-allow-origin"), Some("*"));
        let whole = owner.post(&path).await.expect_status(200).text_at("/url");
        nobody.get(&whole).header("range", "bytes=0-3").await.expect_status(206);
        // Nothing that is signed can be changed.
        let other = shelve(&owner, "b.txt", b"secret").await["id"].as_str().unwrap().to_owned();
        for changed in [
            whole.replace(&id, &other),
            whole.replace("/001/", "/002/"),
            whole.replace("expires=", "expires=1"),
            format!("{whole}&disposition=inline"),
            format!("{whole}&thumbnail=320"),
            whole.replace("signature=", "signature=0"),
            whole.split("&signature").next().unwrap().to_owned(),
        ] {
            nobody.get(&changed).await.expect_refusal(404, "not_found");
        }
        world.clock.advance(61 * SECOND_US);
        nobody.get(&link).await.expect_refusal(410, "link_expired");
        nobody.get(&whole).await.expect_status(200);
        for body in [json!({"expires_in": 0}), json!({"expires_in": 604_801}), json!({"expires_in": "1"})] {
            owner.post(&path).json(&body).await.expect_field("expires_in", "invalid");
        }
    }

    async fn one_step_makes_every_link_worthless(world: &World) {
        let (owner, stranger) = world.strangers().await;
        let link = async |actor: &crate::support::Actor| {
            let id = shelve(actor, "a.txt", b"hello").await["id"].as_str().unwrap().to_owned();
            actor.post(&format!("/api/v1/files/{id}/link/")).await.expect_status(200).text_at("/url")
        };
        let (mine, theirs) = (link(&owner).await, link(&stranger).await);
        let nobody = world.client();
        let viewer = world.member(&owner, "vera", "viewer").await;
        viewer.post("/api/v1/files/revoke-links/").await.expect_refusal(403, "permission_denied");
        owner.post("/api/v1/files/revoke-links/").await.expect_status(204);
        nobody.get(&mine).await.expect_refusal(404, "not_found");
        nobody.get(&theirs).await.expect_status(200);
        nobody.get(&link(&owner).await).await.expect_status(200);
    }

    async fn a_link_ends_with_its_file(world: &World) {
        let owner = world.owner().await;
        let id = shelve(&owner, "a.txt", b"hello").await["id"].as_str().unwrap().to_owned();
        let link = owner.post(&format!("/api/v1/files/{id}/link/")).await.expect_status(200).text_at("/url");
        owner.delete(&format!("/api/v1/files/{id}/")).await.expect_status(204);
        world.client().get(&link).await.expect_refusal(404, "not_found");
    }
}
