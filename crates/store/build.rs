//! Embeds `migrations/NNNN_name.sql`: adding a file is enough. A pair `NNNN_name.sqlite.sql` and
//! `NNNN_name.postgres.sql` stands for one step that must differ.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

#[derive(Default)]
struct Files {
    both: Option<PathBuf>,
    sqlite: Option<PathBuf>,
    postgres: Option<PathBuf>,
}

fn main() {
    let folder = Path::new(&env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).join("migrations");
    println!("cargo::rerun-if-changed=migrations");
    println!("cargo::rerun-if-changed=build.rs");
    let mut steps: BTreeMap<(u32, String), Files> = BTreeMap::new();
    for entry in fs::read_dir(&folder).into_iter().flatten() {
        let path = entry.expect("a readable folder").path();
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        let Some(stem) = file.strip_suffix(".sql") else { continue };
        println!("cargo::rerun-if-changed={}", path.display());
        let (stem, engine) = match stem.rsplit_once('.') {
            Some((stem, engine)) => (stem, Some(engine)),
            None => (stem, None),
        };
        let (number, name) = stem
            .split_once('_')
            .and_then(|(number, name)| (number.len() == 4).then_some((number.parse::<u32>().ok()?, name)))
            .unwrap_or_else(|| panic!("migrations/{file}: the name must be NNNN_name.sql"));
        let files = steps.entry((number, name.to_owned())).or_default();
        match engine {
            None => files.both = Some(path),
            Some("sqlite") => files.sqlite = Some(path),
            Some("postgres") => files.postgres = Some(path),
            Some(other) => panic!("migrations/{file}: no engine is called {other}"),
        }
    }
    let mut list = String::from("&[\n");
    let mut last = 0;
    for ((number, name), files) in &steps {
        assert!(*number > last, "migrations: two steps have the number {number:04}");
        last = *number;
        let (sqlite, postgres) = match (&files.both, &files.sqlite, &files.postgres) {
            (Some(both), None, None) => (both, both),
            (None, Some(sqlite), Some(postgres)) => (sqlite, postgres),
            _ => panic!("migrations/{number:04}_{name}: one file for both engines, or a pair"),
        };
        writeln!(
            list,
            "    Migration {{ number: {number}, name: {name:?}, sqlite: include_str!({sqlite:?}), postgres: include_str!({postgres:?}) }},"
        )
        .expect("a String takes everything");
    }
    list.push(']');
    let out = Path::new(&env::var("OUT_DIR").expect("cargo sets it")).join("migrations.rs");
    fs::write(out, list).expect("the output folder is writable");
}
