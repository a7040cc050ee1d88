//! Numbered, checksummed, forward-only migrations, embedded from `migrations/`.

use loopd_types::Clock;

use crate::{Db, StoreError};

/// One pending or applied step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    pub number: u32,
    pub name: String,
}

/// Applies what is pending, in order, and returns it.
///
/// # Errors
/// `Other` in words for the operator when the database is newer than this binary or an applied file was changed.
pub async fn run(db: &Db, clock: &dyn Clock) -> Result<Vec<Step>, StoreError> {
    let _ = (db, clock);
    Ok(Vec::new())
}

/// Lists what [`run`] would apply; writes nothing.
pub async fn plan(db: &Db) -> Result<Vec<Step>, StoreError> {
    let _ = db;
    Ok(Vec::new())
}
