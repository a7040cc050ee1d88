//! How many webhooks of WhatsApp's a second: signed as Meta signs them, one message of a customer in each, several numbers, server and load
//! in one process, over HTTP on loopback, on SQLite; each message is durable, with all that follows from it, before its webhook is answered.
//!
//!     cargo bench -p loopd --bench inbound           # 20,000 customers write 100,000 messages, then 2,500 a second
//!
//! First every customer writes once, which makes their contacts and chats; then they write on, in any order, as fast as the server takes
//! it; then at a fixed rate, half of what is wanted, each answer timed from the moment at which its webhook was due. Search is filled
//! beside all this, and how long it takes to catch up is told.

#[expect(dead_code, reason = "another bench needs the rest")]
mod load;

use std::time::{Duration, Instant};

use loopd_kernel::webhook::sign;
use loopd_types::Secret;
use loopd_wave::search::index;
use serde_json::json;

use load::{Pace, Server, drive, report};

const CUSTOMERS: usize = 20_000;
const MESSAGES: usize = 100_000;
const CONNECTIONS: usize = 64;
/// Half of what is wanted, and how many.
const RATE: u32 = 2_500;
const PACED: usize = 50_000;
const NUMBERS: usize = 4;
const APP_SECRET: &str = "the app's secret";

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let server = load::serve(&[("LOOP_WHATSAPP_ENGINES", "cloud")]).await;
    let lines = lines(&server).await;
    let shop = Shop { address: server.address.clone(), lines, seconds: server.kernel.now().seconds() };
    let send = async |name: &str, places: std::ops::Range<usize>, connections, pace| {
        let requests = places.map(|place| shop.webhook(place)).collect();
        report(name, &drive(&server.address, requests, connections, pace, "200 OK").await);
        let began = Instant::now();
        while index::is_behind(&server.kernel).await.expect("the database") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        println!("    search had caught up {:.1} s later", began.elapsed().as_secs_f64());
    };
    let (first, sustained) = (CUSTOMERS, CUSTOMERS + MESSAGES);
    send("first messages", 0..first, CONNECTIONS, Pace::Full).await;
    send("messages", first..sustained, CONNECTIONS, Pace::Full).await;
    let half = format!("messages, {RATE} a second");
    send(&half, sustained..sustained + PACED, 2 * CONNECTIONS, Pace::Rate(RATE)).await;
}

/// A company's numbers of the Cloud API: Meta's ids, and what our API calls them.
async fn lines(server: &Server) -> Vec<(String, String)> {
    let bearer = load::owner(server).await;
    let mut made = Vec::new();
    for place in 0..NUMBERS {
        let id = format!("10654035224292{place}");
        let number = json!({
            "label": "Sales", "engine": "cloud", "phone_number_id": id, "waba_id": "102290129340398", "access_token": "a token",
            "app_secret": APP_SECRET, "verify_token": "a token",
        });
        let headers = [("Authorization", bearer.as_str()), ("X-Company-ID", "001")];
        let number = load::make(&server.address, "/api/v1/loopwave/numbers/", &headers, &number).await;
        made.push((id, number["number"].as_str().expect("a name").to_owned()));
    }
    made
}

struct Shop {
    address: String,
    lines: Vec<(String, String)>,
    seconds: i64,
}

impl Shop {
    /// The webhook of one message; the first of each customer in turn, then of any.
    fn webhook(&self, place: usize) -> Vec<u8> {
        let chance = scattered(place);
        let customer = if place < CUSTOMERS { place } else { chance % CUSTOMERS };
        let (id, number) = &self.lines[customer % NUMBERS];
        let from = format!("25078{customer:07}");
        let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "102290129340398", "changes": [{"field": "messages", "value": {
            "messaging_product": "whatsapp", "metadata": {"display_phone_number": "250788000001", "phone_number_id": id},
            "contacts": [{"profile": {"name": format!("Customer {customer}")}, "wa_id": from}],
            "messages": [{
                "from": from, "id": format!("wamid.HBgMMjUwNzg4MTIzNDU2FQIAEhg{place:012}"), "timestamp": self.seconds.to_string(),
                "type": "text", "text": {"body": words(chance)},
            }],
        }}]}]})
        .to_string();
        let signature = format!("sha256={}", sign(&Secret::new(APP_SECRET.to_owned()), &[body.as_bytes()]));
        let path = format!("/webhooks/whatsapp/{number}");
        load::post(&path, &self.address, &[("X-Hub-Signature-256", &signature)], &body)
    }
}

/// Three to fourteen words, of a few hundred that there are.
fn words(chance: usize) -> String {
    const STARTS: [&str; 20] = [
        "ba", "ki", "mu", "ta", "ru", "ne", "so", "li", "ga", "ho", "wa", "pe", "je", "vu", "fi", "co", "du", "xa",
        "ye", "zo",
    ];
    const ENDS: [&str; 20] = [
        "ra", "ndi", "mo", "ka", "she", "tu", "bi", "gwa", "zo", "ya", "ri", "nda", "me", "ku", "sha", "te", "bu",
        "gwi", "za", "yo",
    ];
    let many = 3 + chance % 12;
    let word = |place: usize| {
        let chance = scattered(chance.wrapping_add(place));
        // The first ones more often, as in any language.
        let start = (chance % 20).min(chance / 20 % 20);
        format!("{}{}", STARTS[start], ENDS[chance / 400 % 20])
    };
    (0..many).map(word).collect::<Vec<_>>().join(" ")
}

/// The same number for the same place, and no order in them (splitmix64).
fn scattered(place: usize) -> usize {
    let mut bits = (place as u64).wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (bits ^ (bits >> 31)) as usize & (usize::MAX >> 1)
}
