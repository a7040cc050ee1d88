//! Shapes that several account endpoints answer with.

use loopd_web::{Schema as _, schema};
use serde_json::Value;

/// A company's code.
pub fn code() -> Value {
    schema::pattern("^[0-9]{3,15}$")
}

/// `POST` answers of sign-in: the pair, with the aliases that the portal's placeholder spells.
pub fn tokens() -> [(&'static str, Value); 6] {
    [
        ("access", schema::string()),
        ("refresh", schema::string()),
        ("access_token", schema::string()),
        ("refresh_token", schema::string()),
        ("token_type", schema::constant("Bearer")),
        ("expires_in", schema::integer()),
    ]
}

/// A person as sign-in shows them.
pub fn person() -> Value {
    schema::object([("id", schema::uuid()), ("email", schema::email()), ("username", schema::string())])
        .required(["id", "email", "username"])
}
