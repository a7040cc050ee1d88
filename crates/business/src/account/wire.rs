//! Shapes that several account endpoints answer with.

use loopd_kernel::listing::{ColumnKind, Listing};
use loopd_web::{Schema as _, schema};
use serde_json::Value;

/// The schema of a row of a listing: every column is always there.
pub fn row(listing: &Listing) -> Value {
    let fields = listing.columns.iter().map(|column| {
        let plain = match column.kind {
            ColumnKind::Text => schema::string(),
            ColumnKind::Uuid => schema::uuid(),
            ColumnKind::Time => schema::date_time(),
            ColumnKind::Bool => schema::boolean(),
            ColumnKind::Int => schema::integer(),
            ColumnKind::Json => json_schema(column.name),
            ColumnKind::Company => code(),
        };
        (column.name, if column.nullable { plain.nullable() } else { plain })
    });
    schema::object(fields).required(listing.columns.iter().map(|column| column.name))
}

fn json_schema(name: &str) -> Value {
    match name {
        "settings" | "changes" | "request_headers" | "response_headers" | "limits" | "seller" | "customer"
        | "next_terms" => schema::any(),
        "prices" | "metered" => schema::array(schema::free_object()),
        "role_mapping" => schema::array(schema::any()),
        _ => schema::array(schema::string()),
    }
}

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
