//! People with a second factor.

use loopd_testkit::{Answer, Client, json, totp};
use loopd_types::{SECOND_US, Timestamp};

use super::World;
use super::actor::PASSWORD;

/// What somebody holds after enabling two-factor.
pub struct TwoFactor {
    pub secret: String,
    pub recovery_codes: Vec<String>,
}

impl TwoFactor {
    pub fn code(&self, now: Timestamp) -> String {
        totp(&self.secret, now)
    }
}

impl World {
    /// Enables codes by time for somebody, in the session that they have.
    pub async fn two_factor(&self, actor: &Client) -> TwoFactor {
        let setup = actor.post("/api/v1/auth/2fa/setup/").json(&json!({"password": PASSWORD})).await.expect_status(200);
        let secret = setup.text_at("/secret");
        let code = json!({"code": totp(&secret, self.kernel.now())});
        let enabled = actor.post("/api/v1/auth/2fa/enable/").json(&code).await.expect_status(200).at("/recovery_codes");
        let codes = enabled.as_array().expect("a list").iter().map(|code| code.as_str().expect("a text").to_owned());
        TwoFactor { secret, recovery_codes: codes.collect() }
    }

    /// Moves the clock to the next code.
    pub fn next_code(&self, keys: &TwoFactor) -> String {
        self.clock.advance(30 * SECOND_US);
        keys.code(self.kernel.now())
    }

    /// Gets through the password's half of a sign-in, and gives the token of the other half.
    pub async fn challenge(&self, email: &str) -> String {
        let login = json!({"email": email, "password": PASSWORD});
        let asked = self.client().post("/api/v1/auth/login/").json(&login).await.expect_refusal(401, "mfa_required");
        asked.text_at("/error/details/mfa_token")
    }

    /// Answers a challenge.
    pub async fn answer(&self, mfa_token: &str, code: &str) -> Answer {
        let body = json!({"mfa_token": mfa_token, "code": code});
        self.client().post("/api/v1/auth/mfa/verify/").json(&body).await
    }
}
