//! Access and refresh tokens: JWT, HS256, claims as simplejwt writes them (spec/loop.md 4.7, 5.2) plus `sid`, the session.

use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use loopd_types::{Problem, Result, SECOND_US, Secret, Timestamp, Uuid};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
struct Claims {
    token_type: String,
    exp: i64,
    iat: i64,
    jti: String,
    /// A string, as simplejwt has it.
    user_id: String,
    sid: String,
    /// Absent in tokens of older versions; another issuer's token is none of ours, whatever its signature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    iss: Option<String>,
}

/// Who signs.
const ISSUER: &str = "loopd";

/// What a verified token says.
#[derive(Debug)]
pub struct Verified {
    pub user_id: Uuid,
    pub session_id: Uuid,
    pub jti: String,
    expires_s: i64,
}

impl Verified {
    /// # Errors
    /// 401 `token_not_valid` once its time is over.
    pub fn require_current(&self, now: Timestamp) -> Result<()> {
        if self.expires_s <= now.seconds() { Err(not_valid("Token is expired")) } else { Ok(()) }
    }
}

/// Signs and verifies with a key derived from the installation's secret.
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    header: Header,
    validation: Validation,
}

impl Tokens {
    pub fn new(secret: &Secret<String>) -> Self {
        let key = crate::vault::derive(secret, b"loopd access token v1");
        let mut validation = Validation::new(Algorithm::HS256);
        // Time is an argument: `exp` is compared with the kernel's clock below, not with the system's here.
        validation.validate_exp = false;
        validation.set_required_spec_claims(&["exp"]);
        Self {
            encoding: EncodingKey::from_secret(&key),
            decoding: DecodingKey::from_secret(&key),
            header: Header::new(Algorithm::HS256),
            validation,
        }
    }

    /// Signs a token of `kind` (`access`, `refresh`).
    pub fn sign(
        &self,
        kind: &str,
        user: Uuid,
        session: Uuid,
        jti: &str,
        now: Timestamp,
        life_us: i64,
    ) -> Result<String> {
        let claims = Claims {
            token_type: kind.to_owned(),
            exp: now.seconds() + life_us / SECOND_US,
            iat: now.seconds(),
            jti: jti.to_owned(),
            user_id: user.to_string(),
            sid: session.to_string(),
            iss: Some(ISSUER.to_owned()),
        };
        jsonwebtoken::encode(&self.header, &claims, &self.encoding).map_err(Problem::internal)
    }

    /// # Errors
    /// 401 `token_not_valid` with simplejwt's words.
    pub fn verify_access(&self, token: &str, now: Timestamp) -> Result<Verified> {
        self.verify(token, "access", now)
    }

    /// # Errors
    /// 401 `token_not_valid`.
    pub fn verify_refresh(&self, token: &str, now: Timestamp) -> Result<Verified> {
        self.verify(token, "refresh", now)
    }

    fn verify(&self, token: &str, kind: &str, now: Timestamp) -> Result<Verified> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|error| not_valid("Token is invalid").with_cause(error))?;
        let claims = data.claims;
        if claims.iss.is_some_and(|issuer| issuer != ISSUER) {
            return Err(not_valid("Token is invalid"));
        }
        if claims.token_type != kind {
            return Err(not_valid("Token has wrong type"));
        }
        let parse = |text: &str| Uuid::parse_str(text).map_err(|_| not_valid("Token is invalid"));
        let (user_id, session_id) = (parse(&claims.user_id)?, parse(&claims.sid)?);
        let verified = Verified { user_id, session_id, jti: claims.jti, expires_s: claims.exp };
        verified.require_current(now)?;
        Ok(verified)
    }
}

/// 401 `token_not_valid` with the reason among the details.
pub fn not_valid(reason: &'static str) -> Problem {
    Problem::unauthenticated("token_not_valid", "Given token not valid for any token type.")
        .with_extra("reason", reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopd_types::MINUTE_US;

    #[test]
    fn a_token_is_good_for_its_kind_its_time_and_its_key_only() {
        let tokens = Tokens::new(&Secret::new("a secret of more than thirty-two bytes".into()));
        let (user, session, now) = (Uuid::from_u128(1), Uuid::from_u128(2), Timestamp(1_800_000_000_000_000));
        let token = tokens.sign("access", user, session, "j", now, MINUTE_US).unwrap();
        let good = tokens.verify_access(&token, now).unwrap();
        assert_eq!((good.user_id, good.session_id, good.jti.as_str()), (user, session, "j"));
        let reason = |r: Result<Verified>| r.unwrap_err().extra()["reason"].as_str().unwrap().to_owned();
        assert_eq!(reason(tokens.verify_access(&token, now.plus(MINUTE_US))), "Token is expired");
        assert_eq!(reason(tokens.verify_refresh(&token, now)), "Token has wrong type");
        let other = Tokens::new(&Secret::new("another secret of thirty-two bytes!".into()));
        assert_eq!(reason(other.verify_access(&token, now)), "Token is invalid");
        assert_eq!(reason(tokens.verify_access("x.y.z", now)), "Token is invalid");
        for (issuer, is_good) in [(None, true), (Some("loopd"), true), (Some("somebody else"), false)] {
            let mut claims = jsonwebtoken::dangerous::insecure_decode::<Claims>(&token).unwrap().claims;
            assert_eq!(claims.iss.as_deref(), Some("loopd"));
            claims.iss = issuer.map(str::to_owned);
            let signed = jsonwebtoken::encode(&tokens.header, &claims, &tokens.encoding).unwrap();
            assert_eq!(tokens.verify_access(&signed, now).is_ok(), is_good, "{issuer:?}");
        }
    }
}
