//! Writing our values as the type that the statement asks for; the driver itself is strict about exact Rust types.

use bytes::{BufMut, BytesMut};
use loopd_types::Uuid;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::Value;

type Written = Result<IsNull, Box<dyn std::error::Error + Sync + Send>>;

/// A value on its way to a marker.
#[derive(Debug)]
pub struct Bound<'v>(pub &'v Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self, kind: &Type, out: &mut BytesMut) -> Written {
        match (self.0, kind) {
            (Value::Null, _) => return Ok(IsNull::Yes),
            (Value::Bool(value), &Type::BOOL) => out.put_u8(u8::from(*value)),
            (Value::Int(value), &Type::INT8) => out.put_i64(*value),
            (Value::Int(value), &Type::INT4 | &Type::OID) => out.put_i32(i32::try_from(*value)?),
            (Value::Int(value), &Type::INT2) => out.put_i16(i16::try_from(*value)?),
            (Value::Int(value), &Type::FLOAT8) => out.put_f64(*value as f64),
            (Value::Uuid(value), &Type::UUID) => out.put_slice(value.as_bytes()),
            (Value::Text(value), &Type::UUID) => out.put_slice(Uuid::try_parse(value)?.as_bytes()),
            (Value::Uuid(value), &Type::TEXT | &Type::VARCHAR) => {
                out.put_slice(value.hyphenated().encode_lower(&mut [0; 36]).as_bytes());
            }
            (
                Value::Text(value) | Value::Json(value),
                &Type::TEXT | &Type::VARCHAR | &Type::BPCHAR | &Type::NAME | &Type::UNKNOWN | &Type::JSON,
            ) => {
                // PostgreSQL keeps no NUL in text and says so only in words of its own
                if value.contains('\0') {
                    return Err("text must not contain a NUL character".into());
                }
                out.put_slice(value.as_bytes());
            }
            (Value::Text(value) | Value::Json(value), &Type::JSONB) => {
                // the format's version
                out.put_u8(1);
                out.put_slice(value.as_bytes());
            }
            (Value::Bytes(value), &Type::BYTEA) => out.put_slice(value),
            (value, kind) => {
                let found = match value {
                    Value::Null => "NULL",
                    Value::Bool(_) => "a boolean",
                    Value::Int(_) => "a whole number",
                    Value::Text(_) => "text",
                    Value::Uuid(_) => "a UUID",
                    Value::Json(_) => "JSON",
                    Value::Bytes(_) => "bytes",
                };
                return Err(format!(
                    "the marker is of type {}, the value is {found}; CAST($n AS …) says which",
                    kind.name()
                )
                .into());
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
