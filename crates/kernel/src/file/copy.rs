//! Copies of content beside a backup, and back. Content never changes, so a hard link is a copy that costs nothing.

use std::io;
use std::path::{Path, PathBuf};

use loopd_store::{Db, View};
use loopd_types::{Problem, Result};

/// What was copied.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Copied {
    /// Now in the other folder.
    pub files: u64,
    pub bytes: u64,
    /// Keys that a row points to and that are not there.
    pub missing: Vec<String>,
}

/// Copies every content that a row of `db` points to from one folder to another; what is there already stays.
///
/// # Errors
/// In the operator's words, by its cause.
pub async fn copy_contents(db: &Db, from: &Path, to: &Path) -> Result<Copied> {
    let keys: Vec<String> = db
        .read_long(View::System, |reader| {
            let sql = "SELECT blob_key FROM files UNION ALL SELECT blob_key FROM file_upload_parts \
                 UNION ALL SELECT blob_key FROM file_thumbnails WHERE blob_key IS NOT NULL";
            Ok(reader.query(sql, &[], |row| Ok(row.text(0)?.to_owned()))?)
        })
        .await?;
    let (from, to) = (from.to_path_buf(), to.to_path_buf());
    let copied = tokio::task::spawn_blocking(move || copy(&keys, &from, &to)).await.map_err(Problem::internal)?;
    copied.map_err(Problem::internal)
}

fn copy(keys: &[String], from: &Path, to: &Path) -> io::Result<Copied> {
    let mut copied = Copied::default();
    let mut folders: Vec<PathBuf> = Vec::new();
    for key in keys {
        let (source, target) = (from.join(key), to.join(key));
        let length = match source.metadata() {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                copied.missing.push(key.clone());
                continue;
            }
            Err(error) => return Err(error),
        };
        copied.files += 1;
        copied.bytes += length;
        if target.exists() {
            continue;
        }
        if let Some(folder) = target.parent().filter(|folder| !folders.iter().any(|known| known == folder)) {
            std::fs::create_dir_all(folder)?;
            folders.push(folder.to_path_buf());
        }
        if std::fs::hard_link(&source, &target).is_err() {
            // Another disk. Under another name first: half a content must not pass for one.
            let part = target.with_extension("part");
            std::fs::copy(&source, &part)?;
            std::fs::File::open(&part)?.sync_all()?;
            std::fs::rename(&part, &target)?;
        }
    }
    #[cfg(unix)]
    for folder in folders {
        std::fs::File::open(folder)?.sync_all()?;
    }
    Ok(copied)
}
