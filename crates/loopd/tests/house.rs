//! The walls of the house (ARCHITECTURE.md), held by reading `Cargo.toml`s and sources. Not a linter: each rule guards a
//! promise made to readers, and each message says what to do instead. When a rule stands in the way of a better design,
//! change the rule, the picture in ARCHITECTURE.md and the code together.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Who may use what of ours, in the order of the picture: an arrow only ever points down.
const ARROWS: [(&str, &[&str]); 11] = [
    ("types", &[]),
    ("store", &["types"]),
    ("kernel", &["types", "store"]),
    ("web", &["types", "store", "kernel"]),
    ("business", &["types", "store", "kernel", "web"]),
    ("wave", &["types", "store", "kernel", "web"]),
    ("pay", &["types", "store", "kernel", "web"]),
    ("whatsapp-web", &["types", "store", "kernel", "web", "wave"]),
    ("console", &["types", "store", "kernel", "web", "business", "wave", "pay"]),
    ("loopd", &["types", "store", "kernel", "web", "business", "wave", "pay", "whatsapp-web", "console"]),
    ("testkit", &["types", "store", "kernel", "web"]),
];

/// Crates of others that have one home here, and what everybody else uses instead.
const HOMES: [(&str, &str, &str); 5] = [
    ("rusqlite", "store", "go through loopd_store::{Db, Reader, Tx}: one SQL text for both engines"),
    ("tokio-postgres", "store", "go through loopd_store::{Db, Reader, Tx}: one SQL text for both engines"),
    ("axum", "web", "declare a loopd_web Operation; routing, credentials, limits and OpenAPI come from it"),
    (
        "reqwest",
        "kernel",
        "call out through the kernel's egress client, which guards against calls into the own network",
    ),
    ("jsonwebtoken", "kernel", "ask the kernel who is calling; credentials are read in one place"),
];

/// What a source file may not say, where it may be said all the same, and what to do instead.
struct Word {
    says: fn(&str) -> bool,
    what: &'static str,
    allowed: fn(&str) -> bool,
    instead: &'static str,
}

const WORDS: [Word; 3] = [
    Word {
        says: holds_sql,
        what: "SQL text",
        allowed: |path| {
            path.ends_with("/store.rs")
                || path.contains("/store/")
                || path.starts_with("crates/store/")
                // one file a noun, its table and the rules of who may touch it together
                || path.starts_with("crates/kernel/")
                || path.starts_with("crates/business/src/engine/")
                || path.starts_with("crates/testkit/")
        },
        instead: "move it into the store.rs beside this noun, as a function that takes &mut Tx or &mut Reader; \
                  a statement that must differ between the engines goes into crates/store/src/dialect.rs",
    },
    Word {
        says: |line| line.contains("SystemTime::now") || line.contains("Timestamp::now") || line.contains("Zoned::now"),
        what: "the system's time",
        allowed: |path| path.ends_with("/clock.rs"),
        instead: "take a loopd_types::Clock, so that tests can move it",
    },
    Word {
        says: |line| line.contains("axum::"),
        what: "axum",
        allowed: |path| path.starts_with("crates/web/"),
        instead: "declare a loopd_web Operation and answer with a loopd_web Reply",
    },
];

/// A literal that begins as a statement does, or a line of a longer literal that does. Statements are upper case here.
fn holds_sql(line: &str) -> bool {
    const OPENINGS: [&str; 6] = ["SELECT ", "INSERT INTO ", "UPDATE ", "DELETE FROM ", "CREATE TABLE ", "ALTER TABLE "];
    OPENINGS.iter().any(|opening| line.contains(&format!("\"{opening}")) || line.starts_with(opening))
}

#[test]
fn an_arrow_only_ever_points_down() {
    let mut broken = Vec::new();
    for package in packages() {
        let name = short(text(&package, "name")).to_owned();
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            broken.push(format!("{name}: a new crate. Say in ARROWS (crates/loopd/tests/house.rs) what it may use, and draw it in ARCHITECTURE.md."));
            continue;
        };
        for dependency in ordinary_dependencies(&package) {
            let used = short(&dependency);
            let is_ours = ARROWS.iter().any(|(known, _)| *known == used) && dependency.starts_with("loopd");
            if is_ours && used == "testkit" {
                broken.push(format!("{name} uses testkit in the product: make it a [dev-dependencies] entry."));
            } else if is_ours && !allowed.contains(&used) {
                broken.push(format!("{name} must not use {used}. {}", advice(&name, used)));
            }
            if let Some((_, home, instead)) =
                HOMES.iter().find(|(other, home, _)| *other == dependency && *home != name)
                && name != "testkit"
            {
                broken.push(format!("{name} uses {dependency}, which lives in {home}: {instead}."));
            }
        }
    }
    assert!(broken.is_empty(), "\n\n{}\n", broken.join("\n"));
}

fn advice(name: &str, used: &str) -> &'static str {
    const PRODUCTS: [&str; 3] = ["business", "wave", "pay"];
    if PRODUCTS.contains(&name) && PRODUCTS.contains(&used) {
        "Products meet only through the kernel: emit an event, or have the kernel declare a small port (as Messenger or Collector) that loopd wires."
    } else {
        "It stands above: move what both need down, or pass it in as a trait that the lower crate declares."
    }
}

#[test]
fn words_stay_where_they_belong() {
    let root = root();
    let mut broken = Vec::new();
    for file in sources(&root.join("crates")) {
        let path = file.strip_prefix(&root).unwrap_or(&file).to_string_lossy().into_owned();
        let code = fs::read_to_string(&file).expect("a source file is text");
        broken.extend(complaints(&path, &code));
    }
    assert!(broken.is_empty(), "\n\n{}\n", broken.join("\n"));
}

/// What is wrong in a file, a sentence for each line. Comments do not count, and neither do tests.
fn complaints(path: &str, code: &str) -> Vec<String> {
    let is_test = path.contains("/tests/") || path.ends_with("/tests.rs");
    let lines = code.lines().take_while(|line| !is_test && !line.trim().starts_with("#[cfg(test)]"));
    let mut broken = Vec::new();
    for (number, line) in lines.enumerate().map(|(index, line)| (index + 1, line.trim())) {
        for word in WORDS.iter().filter(|word| !line.starts_with("//") && (word.says)(line) && !(word.allowed)(path)) {
            broken.push(format!("{path}:{number} holds {}: {}.", word.what, word.instead));
        }
    }
    broken
}

#[test]
fn the_test_for_words_sees_them() {
    let sql = "fn list() {\n    tx.query(\"SELECT id FROM tickets\", &[], map)\n}\n";
    assert_eq!(complaints("crates/wave/src/ticket/http.rs", sql).len(), 1);
    assert!(
        complaints("crates/wave/src/ticket/http.rs", sql)[0]
            .starts_with("crates/wave/src/ticket/http.rs:2 holds SQL text")
    );
    assert_eq!(complaints("crates/wave/src/ticket/store.rs", sql), Vec::<String>::new());
    assert_eq!(complaints("crates/pay/src/a.rs", "let sql = \"\n    UPDATE mandates SET a = 1\";").len(), 1);
    assert_eq!(complaints("crates/pay/src/a.rs", "let now = SystemTime::now();\nuse axum::Router;").len(), 2);
    assert_eq!(
        complaints("crates/pay/src/a.rs", "// SystemTime::now() is banned\nlet s = \"Select a plan\";"),
        Vec::<String>::new()
    );
    assert_eq!(
        complaints("crates/pay/src/a.rs", "#[cfg(test)]\nmod tests { fn f() { SystemTime::now() } }"),
        Vec::<String>::new()
    );
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .canonicalize()
        .expect("this crate stands two folders below the workspace")
}

/// The workspace's own packages, as cargo describes them.
fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let run = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let metadata: Value = serde_json::from_slice(&run.stdout).expect("cargo metadata writes JSON");
    metadata["packages"].as_array().expect("a list of packages").clone()
}

/// Names of what a package uses in the product: not in its tests, not in its build script.
fn ordinary_dependencies(package: &Value) -> Vec<String> {
    let all = package["dependencies"].as_array().expect("a list of dependencies");
    all.iter()
        .filter(|dependency| dependency["kind"].is_null())
        .map(|dependency| text(dependency, "name").to_owned())
        .collect()
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    value[name].as_str().expect("cargo metadata names it")
}

/// A directory has no prefix, a package has.
fn short(package: &str) -> &str {
    package.strip_prefix("loopd-").unwrap_or(package)
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder can be listed").flatten() {
        let path = entry.path();
        if path.is_dir() {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
