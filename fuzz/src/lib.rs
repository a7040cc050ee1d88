//! What the targets share: a facilitator on the sandbox ledger, in a database of this process.

use std::sync::{Arc, OnceLock};

use loopd_kernel::{Catalogue, Environment, Kernel};
use loopd_store::{Config, Db, migrate};
use loopd_types::{ManualClock, OsRng, SECOND_US, Timestamp};
use tokio::runtime::Runtime;

// The same as in the property tests, so that an input which is found here can be kept there.
#[path = "../../crates/pay/tests/settlement/bodies.rs"]
pub mod bodies;
#[path = "../../crates/pay/tests/settlement/door.rs"]
pub mod door;

use door::Door;

struct Standing {
    runtime: Runtime,
    door: Door,
    _folder: tempfile::TempDir,
}

static STANDING: OnceLock<Standing> = OnceLock::new();

/// Sends the body that these bytes stand for.
///
/// # Panics
/// When the answer is none of the facilitator's: that is a finding.
pub fn post(path: &str, bytes: &[u8]) {
    let standing = STANDING.get_or_init(stand);
    standing.runtime.block_on(standing.door.post(path, &bodies::body(bytes)));
}

fn stand() -> Standing {
    // In memory where there is such a folder: what is durable is not what is looked for.
    let folder = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a folder");
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime");
    let config = Config::new(format!("sqlite://{}", folder.path().join("loop.db").display()));
    let door = runtime.block_on(async {
        let clock = Arc::new(ManualClock::at(Timestamp(bodies::NOW as i64 * SECOND_US)));
        let db = Db::open(&config).await.expect("the database opens");
        migrate::run(&db, clock.as_ref()).await.expect("migrations run");
        let settings = loopd_kernel::Settings::new(Environment::Development, "a-secret-key-of-at-least-32-bytes!");
        let kernel = Kernel::new(db, clock, Arc::new(OsRng), settings, Catalogue::default());
        Door::new(kernel.expect("a kernel"))
    });
    Standing { runtime, door, _folder: folder }
}
