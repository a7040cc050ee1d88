//! What an issuer publishes is kept for a while: how long, what happens when its keys change, when it is away, and when it is hostile.

use std::time::Duration;

use loopd_testkit::issuer::{Issuer, Signing};
use loopd_testkit::{Answer, each_engine};
use loopd_types::{MINUTE_US, SECOND_US};

use super::oidc::{OWN, provider};
use crate::support::{Actor, World};

const HOUR_US: i64 = 60 * MINUTE_US;

/// An issuer that may vouch for the owner of company 001.
struct Stage<'w> {
    world: &'w World,
    issuer: Issuer,
    owner: Actor,
    id: String,
}

impl<'w> Stage<'w> {
    async fn new(world: &'w World) -> Self {
        let (owner, root, issuer) = (world.owner().await, world.superuser().await, Issuer::start().await);
        world.verify_email(&owner).await;
        let id = root.post(OWN).json(&provider(&issuer)).await.expect_status(201).text_at("/id");
        Self { world, issuer, owner, id }
    }

    async fn come(&self) -> Answer {
        let claims = self.issuer.claims("subject-1", &self.owner.email, self.world.kernel.now());
        self.world.come(&self.issuer, &self.id, claims).await
    }
}

each_engine! {
    async fn an_issuer_is_asked_once_for_many_sign_ins_and_again_when_its_documents_are_old(world: &World) {
        let stage = Stage::new(world).await;
        for _ in 0..3 {
            stage.come().await.expect_status(200);
        }
        assert_eq!(stage.issuer.asked(), (1, 1));
        world.clock.advance(10 * MINUTE_US - SECOND_US);
        stage.come().await.expect_status(200);
        assert_eq!(stage.issuer.asked(), (1, 1));
        world.clock.advance(SECOND_US);
        stage.come().await.expect_status(200);
        assert_eq!(stage.issuer.asked(), (2, 2));
    }

    async fn an_issuer_says_how_long_within_limits(world: &World) {
        let stage = Stage::new(world).await;
        let mut asked = 0;
        for (header, life) in [("no-store", MINUTE_US), ("max-age=1200", 20 * MINUTE_US), ("max-age=86400", HOUR_US)] {
            stage.issuer.behave(|manners| manners.cache_control = Some(header));
            world.clock.advance(HOUR_US);
            for (wait, more) in [(0, 1), (life - SECOND_US, 0), (SECOND_US, 1)] {
                world.clock.advance(wait);
                stage.come().await.expect_status(200);
                asked += more;
                assert_eq!(stage.issuer.asked(), (asked, asked), "{header} after {wait}");
            }
        }
    }

    async fn many_sign_ins_at_once_ask_once(world: &World) {
        let stage = Stage::new(world).await;
        stage.issuer.behave(|manners| manners.pause = Duration::from_millis(100));
        let (a, b, c, d) = tokio::join!(stage.come(), stage.come(), stage.come(), stage.come());
        for answer in [a, b, c, d] {
            answer.expect_status(200);
        }
        assert_eq!(stage.issuer.asked(), (1, 1));
    }

    async fn a_new_key_is_believed_at_once_and_an_unknown_one_asked_for_once_a_minute(world: &World) {
        let stage = Stage::new(world).await;
        stage.come().await.expect_status(200);
        stage.issuer.rotate();
        stage.come().await.expect_status(200);
        assert_eq!(stage.issuer.asked(), (1, 2));
        // A key that the issuer does not publish makes nobody ask for ever.
        stage.issuer.behave(|manners| manners.signing = Signing::StrangersKey);
        for _ in 0..3 {
            stage.come().await.expect_refusal(401, "oidc_not_valid");
        }
        assert_eq!(stage.issuer.asked(), (1, 2));
        world.clock.advance(MINUTE_US);
        for _ in 0..3 {
            stage.come().await.expect_refusal(401, "oidc_not_valid");
        }
        assert_eq!(stage.issuer.asked(), (1, 3));
        stage.issuer.behave(|manners| manners.signing = Signing::Es256);
        stage.come().await.expect_status(200);
        assert_eq!(stage.issuer.asked(), (1, 3));
    }

    async fn an_issuer_that_is_away_for_a_while_keeps_nobody_out(world: &World) {
        let stage = Stage::new(world).await;
        stage.come().await.expect_status(200);
        stage.issuer.behave(|manners| manners.is_away = true);
        stage.come().await.expect_status(200);
        world.clock.advance(10 * MINUTE_US);
        // Old by now, and still better than nobody signing in.
        stage.come().await.expect_status(200);
        world.clock.advance(HOUR_US);
        world.begin(&stage.id).await.expect_refusal(502, "provider_unavailable");
        stage.issuer.behave(|manners| manners.is_away = false);
        stage.come().await.expect_status(200);
    }

    async fn a_document_of_endless_length_is_refused_and_not_kept(world: &World) {
        let stage = Stage::new(world).await;
        stage.issuer.behave(|manners| manners.padding = 200_000);
        world.begin(&stage.id).await.expect_refusal(502, "provider_unavailable");
        stage.issuer.behave(|manners| manners.padding = 100_000);
        stage.come().await.expect_status(200);
    }
}
