//! `loopd migrate`, `loopd backup`, `loopd restore`

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use loopd_business::modules::Ports;
use loopd_kernel::file::{self, Copied, Place};
use loopd_store::{Db, migrate as steps};
use loopd_types::SystemClock;
use serde_json::json;

use super::{Output, open_db};
use crate::app;
use crate::settings::Settings;

pub async fn migrate(settings: Settings, plan: bool, output: &Output) -> anyhow::Result<()> {
    let registry = app::registry(&settings, &Ports::default())?;
    let db = open_db(&settings).await?;
    let pending: Vec<String> =
        steps::plan(&db).await?.iter().map(|step| format!("{:04} {}", step.number, step.name)).collect();
    if !plan {
        app::migrate(&db, &registry, &SystemClock).await?;
        let words =
            if pending.is_empty() { "Up to date.".to_owned() } else { format!("Applied: {}.", pending.join(", ")) };
        output.say(&words, &json!({"applied": pending}));
        return Ok(());
    }
    let tables = app::plan_tables(&db, registry.tables()).await?;
    let mut words: Vec<String> = pending.iter().map(|step| format!("migration {step}")).collect();
    words.extend(tables.statements.iter().map(|statement| format!("{statement};")));
    words.extend(tables.refusals.iter().map(|refusal| format!("REFUSED: {refusal}")));
    if words.is_empty() {
        words.push("Nothing to do.".to_owned());
    }
    output.say(
        &words.join("\n"),
        &json!({"migrations": pending, "statements": tables.statements, "refusals": tables.refusals}),
    );
    if tables.refusals.is_empty() { Ok(()) } else { bail!("some definitions would destroy data") }
}

pub async fn backup(settings: Settings, to: &Path, output: &Output) -> anyhow::Result<()> {
    if to.exists() {
        bail!("{} exists; a backup never overwrites", to.display());
    }
    if let Some(file) = settings.store().sqlite_path().filter(|file| !file.exists()) {
        bail!("there is no database at {} yet", file.display());
    }
    if let Some(folder) = to.parent().filter(|folder| !folder.as_os_str().is_empty() && !folder.is_dir()) {
        bail!("there is no folder {}", folder.display());
    }
    let db = open_db(&settings).await?;
    // Before the snapshot and after it: whatever is in the snapshot was there at one of the two.
    copy_files(&settings, &db, to).await?;
    db.backup(to).await?;
    let files = copy_files(&settings, &db, to).await?;
    let bytes = std::fs::metadata(to)?.len();
    let words = match &files {
        Some(copied) if copied.files == 0 => String::new(),
        Some(copied) => format!(" {} files ({} bytes) are in {}.", copied.files, copied.bytes, beside(to).display()),
        None => " Files lie in a bucket and are NOT in this backup: back the bucket up by its own means.".to_owned(),
    };
    output.say(
        &format!("Wrote {} ({bytes} bytes).{words}", to.display()),
        &json!({"file": to, "bytes": bytes, "files": files.as_ref().map(|copied| copied.files), "missing": files.map(|copied| copied.missing)}),
    );
    Ok(())
}

/// Where files go that belong to a backup.
fn beside(backup: &Path) -> PathBuf {
    with_ending(backup, ".files")
}

/// Copies what rows point to beside the backup; `None` where files lie in a bucket.
async fn copy_files(settings: &Settings, db: &Db, to: &Path) -> anyhow::Result<Option<Copied>> {
    let Place::Folder(folder) = &settings.files else { return Ok(None) };
    let is_older = steps::plan(db).await?.iter().any(|step| step.name == "files");
    if is_older {
        return Ok(Some(Copied::default()));
    }
    let copied = file::copy_contents(db, folder, &beside(to)).await;
    copied.map(Some).map_err(|problem| anyhow!("files: {}", problem.cause().unwrap_or(problem.message())))
}

pub async fn restore(settings: &Settings, from: &Path, force: bool, output: &Output) -> anyhow::Result<()> {
    let to =
        settings.store().sqlite_path().ok_or_else(|| anyhow!("restore is for SQLite; on PostgreSQL use pg_restore"))?;
    loopd_store::check_backup(from).with_context(|| format!("{} is no good backup", from.display()))?;
    let _lock = crate::app::lock_database(settings)?;
    if to.exists() && !force {
        bail!("{} exists; --force replaces it and keeps the old one beside it", to.display());
    }
    // A log without its database (a restore that was cut short, a file removed by hand) would be read into the new one.
    let aside = free_ending(&to);
    for ending in FILES {
        let old = with_ending(&to, ending);
        if old.exists() {
            std::fs::rename(&old, with_ending(&to, &format!("{ending}{aside}")))?;
        }
    }
    if let Some(folder) = to.parent() {
        std::fs::create_dir_all(folder)?;
    }
    // Copied under another name and renamed: a crash leaves no half database in the place of one.
    let part = with_ending(&to, ".part");
    std::fs::copy(from, &part)?;
    std::fs::File::open(&part)?.sync_all()?;
    std::fs::rename(&part, &to)?;
    sync_folder(&to)?;
    let (mut words, mut missing) = (String::new(), Vec::new());
    if let (Place::Folder(folder), true) = (&settings.files, beside(from).is_dir()) {
        let db = open_db(settings).await?;
        let copied = file::copy_contents(&db, &beside(from), folder).await;
        let copied = copied.map_err(|problem| anyhow!("files: {}", problem.cause().unwrap_or(problem.message())))?;
        db.close().await;
        words = format!(" {} files are back in {}.", copied.files, folder.display());
        // Content that is in its place already needs no copy.
        missing = copied.missing.into_iter().filter(|key| !folder.join(key).exists()).collect();
        if !missing.is_empty() {
            words.push_str(&format!(" {} are missing from the backup.", missing.len()));
        }
    }
    output.say(
        &format!("Restored {} from {}.{words}", to.display(), from.display()),
        &json!({"database": to, "from": from, "missing": missing}),
    );
    Ok(())
}

/// Makes the new name survive a power cut.
#[cfg(unix)]
fn sync_folder(of: &Path) -> std::io::Result<()> {
    let folder = of.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(folder)?.sync_all()
}

/// Elsewhere a folder cannot be opened as a file; the file system journals its names.
#[cfg(not(unix))]
fn sync_folder(_of: &Path) -> std::io::Result<()> {
    Ok(())
}

/// The files of one SQLite database.
const FILES: [&str; 3] = ["", "-wal", "-shm"];

/// `.before-restore`, or with a number where earlier restores left theirs: none is ever written over.
fn free_ending(database: &Path) -> String {
    let endings = (1..).map(|number| match number {
        1 => ".before-restore".to_owned(),
        more => format!(".before-restore-{more}"),
    });
    let is_free =
        |ending: &String| FILES.iter().all(|file| !with_ending(database, &format!("{file}{ending}")).exists());
    endings.into_iter().find(is_free).unwrap_or_default()
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    PathBuf::from(name)
}
