//! Pages of a list, newest first: `limit` and an opaque `pageToken` that names the last row by moment *and* id, so that rows of one
//! millisecond are neither lost nor shown twice.

use crate::{Param, Query, schema};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loopd_types::{Problem, Result, Timestamp, Uuid};

/// Which rows are asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    pub limit: i64,
    /// Rows older than this one only.
    pub after: Option<(Timestamp, Uuid)>,
}

impl Page {
    /// # Errors
    /// 400 for a limit that is no number from 1 on, and for a token that is none of ours. A limit above `most` is `most`.
    pub fn read(query: &Query, default: i64, most: i64) -> Result<Self> {
        Self::read_named(query, "pageToken", default, most)
    }

    /// As [`Page::read`], with another name for the token.
    ///
    /// # Errors
    /// As [`Page::read`].
    pub fn read_named(query: &Query, token: &str, default: i64, most: i64) -> Result<Self> {
        let after = query.get(token).filter(|text| !text.is_empty()).map(|text| decode(token, text)).transpose()?;
        Ok(Self { limit: limit(query, default, most)?, after })
    }

    /// The row after which this page begins, as two parameters for `(created_at, id) < ($1, $2)`: without one, the end of time.
    pub fn before(&self) -> (i64, Uuid) {
        self.after.map_or((i64::MAX, Uuid::max()), |(at, id)| (at.0, id))
    }
}

/// # Errors
/// 400 for what is no number from 1 on.
pub fn limit(query: &Query, default: i64, most: i64) -> Result<i64> {
    match query.get("limit") {
        None | Some("") => Ok(default),
        Some(text) => match text.parse::<i64>() {
            Ok(limit) if limit >= 1 => Ok(limit.min(most)),
            _ => Err(Problem::invalid("bad_request", format!("limit must be a number from 1 to {most}"))),
        },
    }
}

/// The token of a page that begins after this row.
pub fn token(at: Timestamp, id: Uuid) -> String {
    URL_SAFE_NO_PAD.encode([&at.0.to_be_bytes()[..], id.as_bytes()].concat())
}

/// The token of the next page, from rows of which one more was read than the page holds; that one is taken away.
pub fn next_of<T>(rows: &mut Vec<T>, limit: i64, token: impl Fn(&T) -> String) -> Option<String> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if rows.len() <= limit {
        return None;
    }
    rows.truncate(limit);
    rows.last().map(token)
}

fn decode(name: &str, token: &str) -> Result<(Timestamp, Uuid)> {
    let bytes = URL_SAFE_NO_PAD.decode(token.as_bytes()).ok();
    let parts = bytes.as_deref().and_then(|bytes| bytes.split_at_checked(8));
    let read = parts.and_then(|(at, id)| Some((i64::from_be_bytes(at.try_into().ok()?), Uuid::from_slice(id).ok()?)));
    let (at, id) =
        read.ok_or_else(|| Problem::invalid("bad_request", format!("{name} is not one that this API gave")))?;
    Ok((Timestamp(at), id))
}

/// The parameters of a list in pages.
pub fn params(default: i64, most: i64) -> [Param; 2] {
    [
        limit_param(default, most),
        Param::query("pageToken", schema::string()).describe("The `nextPageToken` of the page before."),
    ]
}

pub fn limit_param(default: i64, most: i64) -> Param {
    Param::query("limit", schema::integer_between(1, i64::MAX))
        .describe(format!("Rows of a page; {default} unless said, {most} at most."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_row_and_nothing_else_is_one() {
        let (at, id) = (Timestamp(1_781_870_400_123_456), Uuid::from_u128(7));
        assert_eq!(decode("pageToken", &token(at, id)).unwrap(), (at, id));
        for bad in ["", "x", "2026-03-28T09:00:00.000Z", &token(at, id)[1..]] {
            assert_eq!(decode("pageToken", bad).unwrap_err().status(), 400, "{bad}");
        }
    }
}
