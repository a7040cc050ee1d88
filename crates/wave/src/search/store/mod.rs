//! Finding messages in the database's index.

mod postgres;
pub mod sqlite;

use loopd_store::{Engine, Reader, StoreError};
use loopd_types::{CompanyId, Uuid};

use super::Wanted;

/// A message that the index names, and its place in the order of what is found, newest first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hit {
    pub place: (i64, Uuid),
    pub message: Uuid,
}

/// So many messages after a place that may have what is wanted. Moments are met to the second: the caller looks closer.
pub fn hits(
    reader: &mut Reader<'_>,
    company: CompanyId,
    wanted: &Wanted,
    after: (i64, Uuid),
    most: i64,
) -> Result<Vec<Hit>, StoreError> {
    match reader.engine() {
        Engine::Sqlite => sqlite::hits(reader, company, wanted, after, most),
        Engine::Postgres => postgres::hits(reader, company, wanted, after, most),
    }
}
