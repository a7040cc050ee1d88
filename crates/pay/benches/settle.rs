//! What our code adds to a settlement beyond the chain's own time: payments of Circle's token are verified and settled on anvil, one after
//! the other, durable on SQLite; of each, the time in which at least one question to the node was open is taken off. Needs the chain that
//! scripts/with-services.sh brings:
//!
//!     scripts/with-services.sh cargo bench -p loopd-pay --bench settle            # 500 payments

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use loopd_kernel::{Catalogue, Environment, Kernel};
use loopd_pay::settings::{Mode, Node};
use loopd_pay::settlement::{self, Outcome};
use loopd_pay::{Pay, Settings};
use loopd_store::{Db, Engine, migrate};
use loopd_testkit::Database;
use loopd_types::{OsRng, Secret, SystemClock};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

#[path = "../tests/settlement/chain.rs"]
mod chain;

use chain::{Buyer, CHAIN, TestChain, wallets};

const PAYMENTS: u64 = 500;
/// Before anything counts: connections are opened, statements prepared, the token's domain learned.
const WARM: u64 = 20;
const WAIT: Duration = Duration::from_secs(20);
const SELLER: u8 = 0x5e;

fn main() {
    // `cargo test` runs benches too, to see that they run; it wants no figures.
    if std::env::args().any(|word| word == "--test" || word == "--list") {
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let Some(chain) = TestChain::start() else { return };
    let waits = Arc::new(Waits::default());
    let url = between(&chain.url, waits.clone()).await;
    let database = Database::empty(Engine::Sqlite).await.expect("a folder");
    let db = Db::open(database.config()).await.expect("the database opens");
    migrate::run(&db, &SystemClock).await.expect("migrations run");
    let settings = loopd_kernel::Settings::new(Environment::Development, "a-secret-key-of-at-least-32-bytes!");
    let kernel = Kernel::new(db, Arc::new(SystemClock), Arc::new(OsRng), settings, Catalogue::default());
    let kernel = kernel.expect("a kernel");
    let pay = Pay::new(Settings {
        mode: Mode::Rpc,
        nodes: vec![Node { chain: CHAIN, url: Secret::new(url) }],
        keys: wallets(),
        ..Settings::default()
    });
    let pay = pay.expect("an engine");
    let (buyer, seller) = (Buyer::new(7), Buyer::new(SELLER).address);
    chain.mint(buyer.address, 1_000_000_000);
    let (mut whole, mut ours) = (Vec::new(), Vec::new());
    for number in 0..WARM + PAYMENTS {
        let order = buyer.pays(seller, 1_000, number + 1);
        let (began, waited) = (Instant::now(), waits.so_far());
        let purpose = async { Ok(order.purpose.clone()) };
        let brought = settlement::bring(&pay, &kernel, &order.payment, &order.requirement, purpose, WAIT).await;
        let took = began.elapsed();
        let outcome = brought.expect("the database works").expect("a good payment");
        assert!(matches!(outcome, Outcome::Settled { .. }), "{outcome:?}");
        if number >= WARM {
            whole.push(took);
            ours.push(took.saturating_sub(waits.so_far() - waited));
        }
    }
    report("settlement", whole);
    report("of it ours", ours);
}

fn report(name: &str, mut took: Vec<Duration>) {
    took.sort_unstable();
    let at = |percent: usize| took[(took.len() * percent / 100).min(took.len() - 1)].as_secs_f64() * 1_000.0;
    println!("{name}: p50 {:.1} ms, p99 {:.1} ms, at most {:.1} ms ({} payments)", at(50), at(99), at(100), took.len());
}

/// How long at least one question was open.
#[derive(Default)]
struct Waits(Mutex<Open>);

#[derive(Default)]
struct Open {
    questions: usize,
    since: Option<Instant>,
    over: Duration,
}

impl Waits {
    fn asked(&self) {
        let mut open = self.0.lock().expect("nobody panics with it");
        open.questions += 1;
        open.since.get_or_insert_with(Instant::now);
    }

    fn answered(&self) {
        let mut open = self.0.lock().expect("nobody panics with it");
        open.questions -= 1;
        if open.questions == 0
            && let Some(since) = open.since.take()
        {
            open.over += since.elapsed();
        }
    }

    fn so_far(&self) -> Duration {
        let open = self.0.lock().expect("nobody panics with it");
        open.over + open.since.map_or(Duration::ZERO, |since| since.elapsed())
    }
}

/// Stands between us and the node and takes the time; where. What the way through here costs counts as ours.
async fn between(node: &str, waits: Arc<Waits>) -> String {
    let node = node.trim_start_matches("http://").trim_end_matches('/').to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move {
        while let Ok((caller, _)) = listener.accept().await {
            let node = TcpStream::connect(&node).await.expect("the node listens");
            for stream in [&caller, &node] {
                stream.set_nodelay(true).expect("a socket");
            }
            tokio::spawn(passed_on(caller, node, waits.clone()));
        }
    });
    url
}

/// One connection: a question is open from its first bytes to the first bytes of its answer.
async fn passed_on(mut caller: TcpStream, mut node: TcpStream, waits: Arc<Waits>) {
    let (mut asked, mut answered, mut is_open) = (vec![0; 65_536], vec![0; 65_536], false);
    loop {
        tokio::select! {
            read = caller.read(&mut asked) => {
                let Ok(1..) = read else { break };
                if !is_open {
                    is_open = true;
                    waits.asked();
                }
                if node.write_all(&asked[..read.unwrap_or(0)]).await.is_err() {
                    break;
                }
            }
            read = node.read(&mut answered) => {
                let Ok(1..) = read else { break };
                if is_open {
                    is_open = false;
                    waits.answered();
                }
                if caller.write_all(&answered[..read.unwrap_or(0)]).await.is_err() {
                    break;
                }
            }
        }
    }
    if is_open {
        waits.answered();
    }
}
