//! [`Value`]: what is bound to a marker, the same on both engines.

use loopd_types::{CompanyId, Timestamp, Uuid};

/// One bound value. On SQLite `Bool` is 0 or 1, `Uuid` and `Json` are TEXT.
#[derive(Clone, PartialEq, Debug)]
pub enum Value {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    Uuid(Uuid),
    /// JSON text, kept as it is written.
    Json(String),
    Bytes(Vec<u8>),
}

/// Makes the array of values for the markers `$1`, `$2`, … in this order: `tx.execute(sql, &params![company, id, "open"])`.
#[macro_export]
macro_rules! params {
    () => { [] as [$crate::Value; 0] };
    ($($value:expr),+ $(,)?) => { [$($crate::Value::from($value)),+] };
}

macro_rules! from {
    ($($type:ty => |$name:ident| $value:expr;)*) => {
        $(impl From<$type> for Value {
            fn from($name: $type) -> Self {
                $value
            }
        })*
    };
}

from! {
    bool => |value| Value::Bool(value);
    i64 => |value| Value::Int(value);
    i32 => |value| Value::Int(value.into());
    u32 => |value| Value::Int(value.into());
    u16 => |value| Value::Int(value.into());
    &str => |value| Value::Text(value.to_owned());
    String => |value| Value::Text(value);
    &String => |value| Value::Text(value.clone());
    std::borrow::Cow<'_, str> => |value| Value::Text(value.into_owned());
    Uuid => |value| Value::Uuid(value);
    &Uuid => |value| Value::Uuid(*value);
    Timestamp => |value| Value::Int(value.0);
    CompanyId => |value| Value::Int(value.0);
    Vec<u8> => |value| Value::Bytes(value);
    &[u8] => |value| Value::Bytes(value.to_vec());
    serde_json::Value => |value| Value::Json(value.to_string());
    &serde_json::Value => |value| Value::Json(value.to_string());
    &Value => |value| value.clone();
}

impl<const N: usize> From<[u8; N]> for Value {
    fn from(bytes: [u8; N]) -> Self {
        Value::Bytes(bytes.to_vec())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}
