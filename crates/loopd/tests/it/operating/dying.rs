//! A disk that takes what is written and then says that it could not keep it: `fsync` fails. Nobody is told that such a write is kept.

use std::path::{Path, PathBuf};
use std::process::Command;

use loopd_testkit::json;

use crate::support::Program;

const APPOINTMENTS: &str = "/api/v1/booking/appointments/";

/// In place of the C library's: fails with `EIO` while the file that `DYING_DISK` names is there.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
static int dying(void) {
    const char *sign = getenv("DYING_DISK");
    return sign && access(sign, F_OK) == 0;
}
static int real(const char *name, int fd) {
    int (*call)(int) = (int (*)(int))dlsym(RTLD_NEXT, name);
    return call(fd);
}
int fsync(int fd) { if (dying()) { errno = EIO; return -1; } return real("fsync", fd); }
int fdatasync(int fd) { if (dying()) { errno = EIO; return -1; } return real("fdatasync", fd); }
"#;

/// Compiles the shim; whatever links Rust programs does it.
fn shim(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("dying.c"), folder.join("dying.so"));
    std::fs::write(&source, SHIM).expect("a file can be written");
    let compiled =
        Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(&source).arg("-ldl").status();
    assert!(compiled.expect("cc is there").success());
    library
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_disk_did_not_keep_is_told_to_nobody_and_the_server_goes_on_when_it_can() {
    let program = Program::fresh();
    let (library, sign) = (shim(program.folder()), program.folder().join("dying"));
    let program =
        program.with("LD_PRELOAD", &library.display().to_string()).with("DYING_DISK", &sign.display().to_string());
    let server = program.serve();
    let owner = server.owner().await;
    let create = |title: &str| {
        owner.post(APPOINTMENTS).header("Idempotency-Key", &title.replace(' ', "-")).json(&json!({"title": title}))
    };
    create("before").await.expect_status(201);
    std::fs::write(&sign, "").expect("a file can be written");
    for attempt in 0..3 {
        let refused = create(&format!("lost {attempt}")).await.expect_status(503);
        assert_eq!(refused.text_at("/error/code"), "unavailable", "{refused:?}");
        let seen = owner.get(APPOINTMENTS).await.expect_status(200);
        assert_eq!(seen.at("/count"), 1, "what is not kept is not shown: {seen:?}");
    }
    std::fs::remove_file(&sign).expect("a file can be removed");
    // The same process, and the same call again: once.
    create("lost 2").await.expect_status(201);
    create("lost 2").await.expect_status(201);
    create("after").await.expect_status(201);
    server.kill();
    let server = program.serve();
    let owner = server.owner_again().await;
    let kept = owner.get(&format!("{APPOINTMENTS}?ordering=created_at")).await.expect_status(200).json();
    let titles: Vec<&str> =
        kept["results"].as_array().unwrap().iter().map(|row| row["title"].as_str().unwrap()).collect();
    assert_eq!(titles, ["before", "lost 2", "after"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_killed_with_a_dying_disk_starts_with_all_it_acknowledged() {
    let program = Program::fresh();
    let (library, sign) = (shim(program.folder()), program.folder().join("dying"));
    let program =
        program.with("LD_PRELOAD", &library.display().to_string()).with("DYING_DISK", &sign.display().to_string());
    let server = program.serve();
    let owner = server.owner().await;
    for number in 0..5 {
        owner.post(APPOINTMENTS).json(&json!({"title": format!("kept {number}")})).await.expect_status(201);
    }
    std::fs::write(&sign, "").expect("a file can be written");
    let unsure = |client: &loopd_testkit::Client| {
        client.post(APPOINTMENTS).header("Idempotency-Key", "unsure").json(&json!({"title": "unsure"}))
    };
    unsure(&owner).await.expect_status(503);
    server.kill();
    std::fs::remove_file(&sign).expect("a file can be removed");
    // Whether the refused one is there or not: repeated by its key it is there once, and nothing else was lost.
    let server = program.serve();
    let owner = server.owner_again().await;
    unsure(&owner).await.expect_status(201);
    let count = |title: &str| format!("{APPOINTMENTS}?search={title}");
    assert_eq!(owner.get(&count("unsure")).await.expect_status(200).at("/count"), 1);
    assert_eq!(owner.get(&count("kept")).await.expect_status(200).at("/count"), 5);
    assert!(program.say(&["doctor"]).contains("ok"));
}
