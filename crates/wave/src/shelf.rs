//! Files of the company's shelf, as bodies name them.

use loopd_kernel::file::{self, File};
use loopd_store::Reader;
use loopd_types::{CompanyId, Problem, Result, Uuid};

/// The file that a body names in `member`.
///
/// # Errors
/// 400 under `member` when there is none on the shelf; the database's as they are.
pub fn file(reader: &mut Reader<'_>, company: CompanyId, id: Uuid, member: &'static str) -> Result<File> {
    file::open_library(reader, company, id).map_err(|problem| match problem.status() {
        404 => Problem::field(member, "does_not_exist", "There is no such file in the library."),
        _ => problem,
    })
}
