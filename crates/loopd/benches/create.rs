//! What the audit log and events add to a create, on SQLite: every create durable before it is answered.
//!
//!     cargo bench -p loopd --bench create            # 1, 8 and 32 callers
//!
//! There is no switch to leave them out, and there will be none. So the same creates are made with them once and with them twice, in
//! turn; what the second costs is what the first costs. It is set against a create over HTTP, without it, from as many callers.

#[expect(dead_code, reason = "another bench needs the rest")]
mod load;

use std::sync::Arc;
use std::time::{Duration, Instant};

use loopd_business::engine::{Cx, Engine};
use loopd_kernel::{Tenant, audit, event};
use loopd_types::{CompanyId, Result};
use serde_json::{Value, json};

use load::{Pace, drive};

const PATH: &str = "/api/v1/booking/appointments/";
/// For one caller; more callers make so many more.
const CREATES: usize = 3_000;
const MOST: usize = 40_000;
const ROUNDS: usize = 5;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(run());
}

async fn run() {
    let server = load::serve(&[]).await;
    let bearer = load::owner(&server).await;
    let host = server.address.as_str();
    let body =
        json!({"title": "Consultation", "description": "First visit", "data": {"amount": 25_000, "currency": "RWF"}});
    let headers = [("Authorization", bearer.as_str()), ("X-Company-ID", "001")];
    let request = load::post(PATH, host, &headers, &body.to_string());
    let payload = load::ask(host, &request).await.split_once("\r\n\r\n").expect("an answer").1.to_owned();
    let access = server.kernel.company_access(CompanyId(1)).await.expect("the database").expect("the company");
    let writer = Writer {
        engine: server.engine.clone(),
        tenant: Arc::new(Tenant::system(access, "bench")),
        body: Arc::new(body),
        payload: payload.into(),
    };
    for callers in [1, 8, 32] {
        let count = (CREATES * callers).min(MOST);
        let (mut over_http, mut once, mut twice) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            over_http.push(drive(host, vec![request.clone(); count], callers, Pace::Full, " 201 ").await.of_one());
            once.push(writer.take(count, callers, false).await);
            twice.push(writer.take(count, callers, true).await);
        }
        let [over_http, once, twice] = [over_http, once, twice].map(median);
        let told = twice.saturating_sub(once);
        println!(
            "{callers} callers: a create takes {:.1} µs, audit and event {:.1} µs of them: they add {:.0} %",
            micros(over_http),
            micros(told),
            100.0 * micros(told) / micros(over_http.saturating_sub(told))
        );
    }
}

/// Makes appointments beside HTTP, through the same engine.
#[derive(Clone)]
struct Writer {
    engine: Engine,
    tenant: Arc<Tenant>,
    body: Arc<Value>,
    /// A record as an event tells it.
    payload: Arc<str>,
}

impl Writer {
    /// How long one of `count` creates takes, of all of them together.
    async fn take(&self, count: usize, callers: usize, twice: bool) -> Duration {
        let began = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let writer = self.clone();
                tokio::spawn(async move {
                    for _ in 0..count / callers {
                        writer.write(twice).await.expect("a create");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("a caller");
        }
        began.elapsed() / u32::try_from(count).expect("few")
    }

    async fn write(&self, twice: bool) -> Result<()> {
        let Self { engine, tenant, body, payload } = self.clone();
        let view = tenant.view();
        let db = engine.kernel.db.clone();
        db.write(view, move |tx| {
            let made = Cx::new(tx, &engine, &tenant).create("booking/appointments", &body)?;
            if !twice {
                return Ok(());
            }
            let kernel = &engine.kernel;
            let (id, target) = (kernel.new_id(), made.id().to_string());
            let entry = audit::Entry {
                action: "create",
                module: "booking",
                resource: "appointments",
                target: &target,
                label: made.label(),
                changes: None,
            };
            audit::record_creation(tx, kernel, &tenant, id, entry)?;
            event::emit(tx, kernel, &tenant, "booking.appointments.created", &made.subject(), payload.to_string())
        })
        .await
    }
}

fn median(mut all: Vec<Duration>) -> Duration {
    all.sort_unstable();
    all[all.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
