//! JSON out: columns to bytes, straight from the database's row or from a record in hand.

use loopd_store::{Row, StoreError, Value};
use loopd_types::{Currency, Timestamp, Uuid, render_decimal};

use super::kind::{Kind, PERCENT_SCALE, Stored};

/// Columns by place, wherever they come from.
pub trait Cells {
    fn int(&self, place: usize) -> Result<Option<i64>, StoreError>;
    fn boolean(&self, place: usize) -> Result<Option<bool>, StoreError>;
    fn text(&self, place: usize) -> Result<Option<&str>, StoreError>;
    fn json(&self, place: usize) -> Result<Option<&str>, StoreError>;
    fn uuid(&self, place: usize) -> Result<Option<Uuid>, StoreError>;
}

impl Cells for Row<'_> {
    fn int(&self, place: usize) -> Result<Option<i64>, StoreError> {
        self.opt_i64(place)
    }
    fn boolean(&self, place: usize) -> Result<Option<bool>, StoreError> {
        self.opt_bool(place)
    }
    fn text(&self, place: usize) -> Result<Option<&str>, StoreError> {
        self.opt_text(place)
    }
    fn json(&self, place: usize) -> Result<Option<&str>, StoreError> {
        self.opt_json(place)
    }
    fn uuid(&self, place: usize) -> Result<Option<Uuid>, StoreError> {
        self.opt_uuid(place)
    }
}

impl Cells for [Value] {
    fn int(&self, place: usize) -> Result<Option<i64>, StoreError> {
        match &self[place] {
            Value::Int(number) => Ok(Some(*number)),
            Value::Null => Ok(None),
            other => Err(unexpected(other)),
        }
    }
    fn boolean(&self, place: usize) -> Result<Option<bool>, StoreError> {
        match &self[place] {
            Value::Bool(value) => Ok(Some(*value)),
            Value::Null => Ok(None),
            other => Err(unexpected(other)),
        }
    }
    fn text(&self, place: usize) -> Result<Option<&str>, StoreError> {
        match &self[place] {
            Value::Text(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            other => Err(unexpected(other)),
        }
    }
    fn json(&self, place: usize) -> Result<Option<&str>, StoreError> {
        match &self[place] {
            Value::Json(text) => Ok(Some(text)),
            Value::Null => Ok(None),
            other => Err(unexpected(other)),
        }
    }
    fn uuid(&self, place: usize) -> Result<Option<Uuid>, StoreError> {
        match &self[place] {
            Value::Uuid(id) => Ok(Some(*id)),
            Value::Null => Ok(None),
            other => Err(unexpected(other)),
        }
    }
}

fn unexpected(value: &Value) -> StoreError {
    StoreError::Other(format!("a rule put a value of another kind into a field: {value:?}"))
}

/// How one column is written. Made once per resource from the field's [`Kind`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Style {
    /// A company number as its code.
    Company,
    Text,
    Uuid,
    Integer,
    Boolean,
    Time,
    /// JSON text as it stands.
    Json,
    Decimal(u32),
    /// Trailing zeros are left out: `18`, `7.25`.
    Percent,
    /// Minor units; the currency's code stands in the column `currency` (a place in the owner's row when `of_owner`).
    Money {
        currency: usize,
        of_owner: bool,
    },
}

impl Style {
    /// The style of a kind. `currency` gives the place of a money field's currency.
    pub fn of(kind: &Kind, currency: impl Fn(&str) -> Option<(usize, bool)>) -> Self {
        match kind {
            Kind::Decimal { scale } => Style::Decimal(*scale),
            Kind::Percent => Style::Percent,
            Kind::Money { currency: field } => match currency(field) {
                Some((currency, of_owner)) => Style::Money { currency, of_owner },
                None => Style::Decimal(2),
            },
            Kind::DateTime => Style::Time,
            _ => match kind.stored() {
                Stored::Text => Style::Text,
                Stored::Integer => Style::Integer,
                Stored::Boolean => Style::Boolean,
                Stored::Uuid => Style::Uuid,
                Stored::Json => Style::Json,
            },
        }
    }

    /// Writes the column at `place` of `cells` at the end of `out`. `owner_currency` serves lines, whose currency is their owner's.
    ///
    /// # Errors
    /// When the column is of another type than the definition says: our mistake.
    pub fn write(
        self,
        cells: &(impl Cells + ?Sized),
        place: usize,
        owner_currency: Option<&str>,
        out: &mut Vec<u8>,
    ) -> Result<(), StoreError> {
        match self {
            Style::Text => or_null(out, cells.text(place)?, string),
            Style::Uuid => or_null(out, cells.uuid(place)?, uuid),
            Style::Integer => or_null(out, cells.int(place)?, integer),
            Style::Boolean => or_null(out, cells.boolean(place)?, |out, value| {
                out.extend_from_slice(if value { b"true" } else { b"false" });
            }),
            Style::Time => or_null(out, cells.int(place)?, |out, micros| {
                out.push(b'"');
                Timestamp(micros).write_to(out);
                out.push(b'"');
            }),
            Style::Json => or_null(out, cells.json(place)?, |out, text| out.extend_from_slice(text.as_bytes())),
            Style::Company => or_null(out, cells.int(place)?, |out, number| {
                out.push(b'"');
                if number < 100 {
                    out.extend_from_slice(if number < 10 { b"00" } else { b"0" });
                }
                integer(out, number);
                out.push(b'"');
            }),
            Style::Decimal(scale) => or_null(out, cells.int(place)?, |out, value| decimal(out, value, scale)),
            Style::Percent => or_null(out, cells.int(place)?, |out, value| {
                let text = render_decimal(value, PERCENT_SCALE);
                out.push(b'"');
                out.extend_from_slice(text.trim_end_matches('0').trim_end_matches('.').as_bytes());
                out.push(b'"');
            }),
            Style::Money { currency, of_owner } => {
                let Some(value) = cells.int(place)? else {
                    out.extend_from_slice(b"null");
                    return Ok(());
                };
                let code = if of_owner { owner_currency } else { cells.text(currency)? };
                decimal(out, value, code.and_then(Currency::parse).map_or(2, Currency::exponent));
            }
        }
        Ok(())
    }
}

fn or_null<T>(out: &mut Vec<u8>, value: Option<T>, write: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        Some(value) => write(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// Writes a JSON string. Text without anything to escape, which is nearly all text, is copied in one piece.
pub fn string(out: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|b| b >= 0x20 && b != b'"' && b != b'\\') {
        out.reserve(text.len() + 2);
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(&mut *out, text).expect("a string is always JSON, and a Vec takes every byte");
    }
}

pub fn uuid(out: &mut Vec<u8>, id: Uuid) {
    let mut buffer = [0u8; 36];
    out.push(b'"');
    out.extend_from_slice(id.hyphenated().encode_lower(&mut buffer).as_bytes());
    out.push(b'"');
}

pub fn integer(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn decimal(out: &mut Vec<u8>, value: i64, scale: u32) {
    out.push(b'"');
    if scale == 0 {
        integer(out, value);
    } else {
        out.extend_from_slice(render_decimal(value, scale).as_bytes());
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(style: Style, values: &[Value], place: usize) -> String {
        let mut out = Vec::new();
        style.write(values, place, None, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_written_as_the_wire_wants_them() {
        let money = Style::Money { currency: 0, of_owner: false };
        assert_eq!(written(money, &["RWF".into(), Value::Int(25_000)], 1), "\"25000\"");
        assert_eq!(written(money, &["USD".into(), Value::Int(1_250)], 1), "\"12.50\"");
        assert_eq!(written(Style::Percent, &[Value::Int(180_000)], 0), "\"18\"");
        assert_eq!(written(Style::Percent, &[Value::Int(72_500)], 0), "\"7.25\"");
        assert_eq!(written(Style::Percent, &[Value::Int(0)], 0), "\"0\"");
        assert_eq!(written(Style::Company, &[Value::Int(7)], 0), "\"007\"");
        assert_eq!(written(Style::Company, &[Value::Int(1_000)], 0), "\"1000\"");
        assert_eq!(written(Style::Text, &["a\"b\n\u{1}é".into()], 0), "\"a\\\"b\\n\\u0001é\"");
        assert_eq!(written(Style::Text, &[Value::Null], 0), "null");
    }
}
