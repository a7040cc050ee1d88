//! Reading PostgreSQL's binary values as our kinds.

use loopd_types::Uuid;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, Type};

use crate::{StoreError, Value};

type Decoded<T> = Result<T, Box<dyn std::error::Error + Sync + Send>>;

/// A value as it came, with its type; decoding is ours because the driver insists on exact Rust types.
struct Raw<'r> {
    kind: Type,
    bytes: Option<&'r [u8]>,
}

impl<'r> FromSql<'r> for Raw<'r> {
    fn from_sql(kind: &Type, bytes: &'r [u8]) -> Decoded<Self> {
        Ok(Raw { kind: kind.clone(), bytes: Some(bytes) })
    }
    fn from_sql_null(kind: &Type) -> Decoded<Self> {
        Ok(Raw { kind: kind.clone(), bytes: None })
    }
    fn accepts(_: &Type) -> bool {
        true
    }
}

fn get(row: &Row, i: usize) -> Result<Raw<'_>, StoreError> {
    row.try_get::<_, Raw<'_>>(i).map_err(|_| StoreError::Other(format!("the row has no column {i}")))
}

fn wrong(row: &Row, i: usize, wanted: &str) -> StoreError {
    let (name, kind) = row.columns().get(i).map_or(("?", "?"), |column| (column.name(), column.type_().name()));
    StoreError::Other(format!("column {i} ({name}) is {kind}, not {wanted}"))
}

/// A big-endian signed whole number of 2, 4 or 8 bytes.
fn whole(bytes: &[u8]) -> Option<i64> {
    Some(match bytes.len() {
        2 => i16::from_be_bytes(bytes.try_into().ok()?).into(),
        4 => i32::from_be_bytes(bytes.try_into().ok()?).into(),
        8 => i64::from_be_bytes(bytes.try_into().ok()?),
        _ => return None,
    })
}

pub fn int(row: &Row, i: usize) -> Result<Option<i64>, StoreError> {
    let raw = get(row, i)?;
    let Some(bytes) = raw.bytes else { return Ok(None) };
    let value = match raw.kind {
        Type::INT2 | Type::INT4 | Type::INT8 => whole(bytes),
        // SUM over BIGINT is NUMERIC
        Type::NUMERIC => Numeric::read(bytes).and_then(|number| number.whole()),
        _ => None,
    };
    value.map(Some).ok_or_else(|| wrong(row, i, "a whole number that fits 64 bits"))
}

pub fn float(row: &Row, i: usize) -> Result<Option<f64>, StoreError> {
    let raw = get(row, i)?;
    let Some(bytes) = raw.bytes else { return Ok(None) };
    let value = match raw.kind {
        Type::INT2 | Type::INT4 | Type::INT8 => whole(bytes).map(|value| value as f64),
        Type::FLOAT4 => bytes.try_into().ok().map(|bytes| f64::from(f32::from_be_bytes(bytes))),
        Type::FLOAT8 => bytes.try_into().ok().map(f64::from_be_bytes),
        Type::NUMERIC => Numeric::read(bytes).map(|number| number.fraction()),
        _ => None,
    };
    value.map(Some).ok_or_else(|| wrong(row, i, "a number"))
}

pub fn bool(row: &Row, i: usize) -> Result<Option<bool>, StoreError> {
    let raw = get(row, i)?;
    let Some(bytes) = raw.bytes else { return Ok(None) };
    match raw.kind {
        Type::BOOL => Ok(Some(bytes.first() == Some(&1))),
        // CASE … THEN 1 ELSE 0 END and the like, which are booleans on SQLite
        Type::INT2 | Type::INT4 | Type::INT8 => Ok(whole(bytes).map(|value| value != 0)),
        _ => Err(wrong(row, i, "a boolean")),
    }
}

pub fn text(row: &Row, i: usize) -> Result<Option<&str>, StoreError> {
    let raw = get(row, i)?;
    let Some(bytes) = raw.bytes else { return Ok(None) };
    let bytes = match raw.kind {
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::JSON | Type::UNKNOWN | Type::CHAR => bytes,
        // one byte of format version stands before the text
        Type::JSONB => bytes.get(1..).unwrap_or_default(),
        _ => return Err(wrong(row, i, "text")),
    };
    std::str::from_utf8(bytes).map(Some).map_err(|_| wrong(row, i, "UTF-8"))
}

pub fn uuid(row: &Row, i: usize) -> Result<Option<Uuid>, StoreError> {
    let raw = get(row, i)?;
    let Some(bytes) = raw.bytes else { return Ok(None) };
    match raw.kind {
        Type::UUID => Uuid::from_slice(bytes).ok(),
        Type::TEXT | Type::VARCHAR | Type::UNKNOWN => Uuid::try_parse_ascii(bytes).ok(),
        _ => None,
    }
    .map(Some)
    .ok_or_else(|| wrong(row, i, "a UUID"))
}

pub fn bytes(row: &Row, i: usize) -> Result<Option<&[u8]>, StoreError> {
    let raw = get(row, i)?;
    match raw.kind {
        Type::BYTEA => Ok(raw.bytes),
        _ if raw.bytes.is_none() => Ok(None),
        _ => Err(wrong(row, i, "bytes")),
    }
}

pub fn value(row: &Row, i: usize) -> Result<Value, StoreError> {
    let raw = get(row, i)?;
    if raw.bytes.is_none() {
        return Ok(Value::Null);
    }
    Ok(match raw.kind {
        Type::INT2 | Type::INT4 | Type::INT8 | Type::NUMERIC => int(row, i)?.map_or(Value::Null, Value::Int),
        Type::BOOL => bool(row, i)?.map_or(Value::Null, Value::Bool),
        Type::UUID => uuid(row, i)?.map_or(Value::Null, Value::Uuid),
        Type::BYTEA => Value::Bytes(bytes(row, i)?.unwrap_or_default().to_vec()),
        Type::JSON | Type::JSONB => Value::Json(text(row, i)?.unwrap_or_default().to_owned()),
        _ => Value::Text(text(row, i)?.unwrap_or_default().to_owned()),
    })
}

/// PostgreSQL's NUMERIC: base-10000 digits, the first worth 10000 to the power `weight`.
/// Source: `numeric_send` in PostgreSQL's src/backend/utils/adt/numeric.c.
struct Numeric {
    weight: i32,
    negative: bool,
    digits: Vec<u16>,
}

impl Numeric {
    fn read(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
        let count = usize::from(word(0)?);
        let weight = i32::from(word(2)? as i16);
        let negative = match word(4)? {
            0x0000 => false,
            0x4000 => true,
            // not a number, or infinite
            _ => return None,
        };
        let digits = (0..count).map(|digit| word(8 + digit * 2)).collect::<Option<Vec<u16>>>()?;
        Some(Self { weight, negative, digits })
    }

    /// `None` when there is a fraction or it does not fit.
    fn whole(&self) -> Option<i64> {
        let mut value: i128 = 0;
        for (position, digit) in self.digits.iter().enumerate() {
            let power = self.weight - i32::try_from(position).ok()?;
            match power {
                0..=5 => value += i128::from(*digit) * 10_000_i128.pow(power.unsigned_abs()),
                _ if *digit == 0 => {}
                _ => return None,
            }
        }
        i64::try_from(if self.negative { -value } else { value }).ok()
    }

    fn fraction(&self) -> f64 {
        let mut value = 0.0;
        for (position, digit) in self.digits.iter().enumerate() {
            value += f64::from(*digit) * 10_000_f64.powi(self.weight - position as i32);
        }
        if self.negative { -value } else { value }
    }
}

#[cfg(test)]
mod tests {
    use super::Numeric;

    fn numeric(weight: i16, sign: u16, digits: &[u16]) -> Numeric {
        let mut bytes = Vec::new();
        for word in [digits.len() as u16, weight as u16, sign, 0].iter().chain(digits) {
            bytes.extend(word.to_be_bytes());
        }
        Numeric::read(&bytes).unwrap()
    }

    #[test]
    fn sums_are_read_as_whole_numbers_and_averages_as_fractions() {
        assert_eq!(numeric(0, 0, &[]).whole(), Some(0));
        assert_eq!(numeric(1, 0, &[12, 3456]).whole(), Some(123_456));
        assert_eq!(numeric(2, 0x4000, &[1]).whole(), Some(-100_000_000));
        assert_eq!(numeric(0, 0, &[1, 5000]).whole(), None);
        assert_eq!(numeric(0, 0, &[1, 5000]).fraction(), 1.5);
        assert_eq!(numeric(9, 0, &[1]).whole(), None);
    }
}
