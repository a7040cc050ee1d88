//! What people hold in their hands: an app that shows codes by time.

use loopd_types::Timestamp;
use totp_rs::{Builder, Secret};

/// The code that an authenticator app shows at `now` for a secret as the server prints it (base 32).
pub fn totp(secret: &str, now: Timestamp) -> String {
    let secret = Secret::try_from_base32(secret).expect("the server prints base 32");
    let app = Builder::new().with_secret(secret).build().expect("a secret of 160 bits");
    app.generate(u64::try_from(now.seconds()).expect("after 1970")).to_string()
}
