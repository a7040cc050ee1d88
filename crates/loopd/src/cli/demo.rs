//! `loopd demo`: fills a company with life, through the same engine and rules as everybody's calls.

use std::sync::Arc;

use anyhow::anyhow;
use loopd_business::engine::{Cx, Engine};
use loopd_kernel::account::{self, Registration};
use loopd_kernel::{Kernel, Origin, Tenant, counter};
use loopd_store::View;
use loopd_types::{CompanyCode, CompanyId, DAY_US, HOUR_US, MINUTE_US, Result, Timestamp, Uuid, random_token};
use serde_json::{Value, json};

use super::{Output, words};
use crate::app::{self, World};
use crate::settings::Settings;

const CUSTOMERS: [(&str, &str); 12] = [
    ("Aline Uwase", "+250788000101"),
    ("Jean Bosco Habimana", "+250788000102"),
    ("Grace Mukamana", "+250788000103"),
    ("Eric Nshimiyimana", "+250788000104"),
    ("Diane Ingabire", "+250788000105"),
    ("Patrick Mugisha", "+250788000106"),
    ("Claudine Umutoni", "+250788000107"),
    ("Olivier Ndayisaba", "+250788000108"),
    ("Solange Iradukunda", "+250788000109"),
    ("Emmanuel Hakizimana", "+250788000110"),
    ("Yvette Nyirahabimana", "+250788000111"),
    ("Thierry Kwizera", "+250788000112"),
];
const SERVICES: [(&str, i64, &str); 4] =
    [("Consultation", 30, "15000"), ("Haircut", 45, "8000"), ("Massage", 60, "25000"), ("Check-up", 30, "20000")];

pub async fn run(settings: Settings, code: &str, rows: u64, output: &Output) -> anyhow::Result<()> {
    let base = settings.public_url();
    let server = app::build(settings, World::default()).await?;
    let (kernel, engine) = (server.kernel.clone(), server.engine.clone());
    let company = CompanyCode::parse(code).ok_or_else(|| anyhow!("`{code}` is no company code, such as 001"))?.0;
    let mut login = Value::Null;
    if kernel.company_access(company).await.map_err(words)?.is_none() {
        login = register(&kernel, code).await?;
    }
    let access =
        kernel.company_access(company).await.map_err(words)?.ok_or_else(|| anyhow!("there is no company {code}"))?;
    let tenant = Arc::new(Tenant::system(access, "demo data"));
    let is_filled = rows == 0 && is_filled(&kernel, company).await.map_err(words)?;
    let made = if rows == 0 && !is_filled { fill(&engine, &tenant).await } else { Made::default() };
    let extra = add_rows(&engine, &tenant, rows, output).await.map_err(words)?;
    let mut text = match is_filled {
        true => format!(
            "Company {code} has services and appointments already, so nothing was added. `--rows N` adds N appointments."
        ),
        false => format!("{} demo records were added to company {code}.", made.records + extra),
    };
    if let Some(email) = login["email"].as_str() {
        text.push_str(&format!(
            "\nSign in as {email} with password {}, when the server runs: {base}/api/docs/ tries every call",
            login["password"].as_str().unwrap_or_default()
        ));
    }
    output.say(
        &text,
        &json!({"company": code, "records": made.records + extra, "skipped": made.skipped, "login": login}),
    );
    for skipped in &made.skipped {
        eprintln!("loopd demo: left out: {skipped}");
    }
    Ok(())
}

/// Whether a shop was set up before, by an earlier run or by its owner: a second set of the same services and people helps nobody.
async fn is_filled(kernel: &Kernel, company: CompanyId) -> Result<bool> {
    let view = View::Company(company);
    kernel.db.read(view, move |reader| Ok(counter::counts(reader, company, "booking.services")?.0 > 0)).await
}

/// Registers an owner with a random password; only the very next code can be made this way.
pub(super) async fn register(kernel: &Arc<Kernel>, code: &str) -> anyhow::Result<Value> {
    let password = random_token(kernel.rng.as_ref(), 9);
    let email = format!("demo{code}@example.com");
    let body = json!({"email": email, "username": format!("demo{code}"), "password": password, "company_name": "Kigali Wellness"});
    let registration = Registration::parse(kernel, body).await.map_err(words)?;
    let origin = Origin {
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        request_id: "demo".into(),
        app_id: None,
        user_agent: None,
        impersonator: None,
    };
    let (shared, wanted) = (kernel.clone(), code.to_owned());
    kernel
        .db
        .write(View::System, move |tx| {
            let made = account::register(tx, &shared, &registration, &origin)?;
            if made.company.code != wanted {
                let words =
                    format!("company {wanted} does not exist, and the next new one would be {}", made.company.code);
                return Err(loopd_types::Problem::invalid("company_required", words));
            }
            Ok(())
        })
        .await
        .map_err(words)?;
    Ok(json!({"email": email, "password": password}))
}

#[derive(Default, Clone)]
struct Made {
    records: u64,
    skipped: Vec<String>,
}

/// One company being filled: every record is a transaction of its own, so that a refusal of one spoils nothing else.
struct Filler {
    engine: Engine,
    tenant: Arc<Tenant>,
    made: Made,
}

impl Filler {
    /// Makes a record if its module is installed; `None` when it is refused, which is noted.
    async fn make(&mut self, path: &'static str, body: Value) -> Option<Uuid> {
        self.engine.registry.find(path)?;
        let (engine, tenant) = (self.engine.clone(), self.tenant.clone());
        let outcome = self
            .engine
            .kernel
            .db
            .write(tenant.view(), move |tx| Ok(Cx::new(tx, &engine, &tenant).create(path, &body)?.id()))
            .await;
        self.note(path, outcome)
    }

    /// Runs an action of a record's life cycle.
    async fn act(&mut self, path: &'static str, id: Uuid, action: &'static str, input: Value) {
        let (engine, tenant) = (self.engine.clone(), self.tenant.clone());
        let outcome = self
            .engine
            .kernel
            .db
            .write(tenant.view(), move |tx| Ok(Cx::new(tx, &engine, &tenant).act(path, id, action, &input)?.id()))
            .await;
        self.note(path, outcome);
    }

    fn note(&mut self, path: &str, outcome: Result<Uuid>) -> Option<Uuid> {
        match outcome {
            Ok(id) => {
                self.made.records += 1;
                Some(id)
            }
            Err(problem) => {
                let fields: Vec<String> = problem
                    .fields()
                    .iter()
                    .flat_map(|(name, errors)| errors.iter().map(move |error| format!("{name}: {}", error.message)))
                    .collect();
                self.made.skipped.push(format!("{path}: {} {}", problem.message(), fields.join(" ")));
                None
            }
        }
    }
}

async fn fill(engine: &Engine, tenant: &Arc<Tenant>) -> Made {
    let mut filler = Filler { engine: engine.clone(), tenant: tenant.clone(), made: Made::default() };
    booking(&mut filler).await;
    payments(&mut filler).await;
    words_and_talk(&mut filler).await;
    filler.made
}

async fn booking(filler: &mut Filler) {
    let (mut services, mut staff, mut customers) = (Vec::new(), Vec::new(), Vec::new());
    for (name, minutes, price) in SERVICES {
        let body = json!({"title": name, "duration_min": minutes, "price": price, "currency": "RWF"});
        services.extend(filler.make("booking/services", body).await.map(|id| (id, name, minutes)));
    }
    for name in ["Chantal", "Didier", "Esther"] {
        staff.extend(filler.make("booking/staff-members", json!({"title": name})).await);
    }
    for (name, phone) in CUSTOMERS {
        customers.extend(filler.make("booking/customers", json!({"title": name, "phone": phone})).await);
    }
    if services.is_empty() || staff.is_empty() || customers.is_empty() {
        return;
    }
    let midnight = filler.engine.kernel.now().micros().div_euclid(DAY_US) * DAY_US;
    for day in -PAST_DAYS..7 {
        for slot in 0..6i64 {
            let nth = usize::try_from((day + PAST_DAYS) * 6 + slot).unwrap_or(0);
            let (service, name, minutes) = services[nth % services.len()];
            // 08:00 to 15:00 UTC, 75 minutes apart: nobody is double-booked.
            let start = Timestamp(midnight + day * DAY_US + 8 * HOUR_US + slot * 75 * MINUTE_US);
            let body = json!({
                "title": name, "description": "Demo", "service": service.to_string(), "staff": staff[nth % staff.len()].to_string(),
                "customer": customers[nth % customers.len()].to_string(), "starts_at": start.to_string(),
                "ends_at": start.plus(minutes * MINUTE_US).to_string(),
            });
            let made = filler.make("booking/appointments", body).await;
            let Some(id) = made else { continue };
            // Who was expected came, but for every ninth.
            let steps: &[&str] = match (day < 0, nth % 9) {
                (true, 4) => &["confirm", "no-show"],
                (true, _) => &["confirm", "check-in", "complete"],
                (false, _) if nth % 2 == 0 => &["confirm"],
                (false, _) => &[],
            };
            for step in steps {
                filler.act("booking/appointments", id, step, json!({})).await;
            }
        }
    }
}

/// How far back the demo's appointments go: a week to compare this one with.
const PAST_DAYS: i64 = 7;

async fn payments(filler: &mut Filler) {
    let today = filler.engine.kernel.now();
    for (nth, (name, _)) in CUSTOMERS.iter().enumerate() {
        let (service, _, price) = SERVICES[nth % SERVICES.len()];
        // Some are late already, the others have two weeks.
        let due = today.plus(if nth % 4 == 1 { -3 * DAY_US } else { 14 * DAY_US }).to_string();
        let body = json!({
            "title": format!("{service} for {name}"), "currency": "RWF", "due_date": due[..10],
            "lines": [{"description": service, "qty": "1", "unit_price": price, "tax_rate": "18"}],
        });
        let Some(invoice) = filler.make("payments/invoices", body).await else { continue };
        let steps = [("finalize", json!({})), ("record-payment", json!({"amount": price, "method": "cash"}))];
        for (action, input) in steps.into_iter().take(nth % 3) {
            filler.act("payments/invoices", invoice, action, input).await;
        }
    }
}

async fn words_and_talk(filler: &mut Filler) {
    for (title, slug, body) in [
        ("Welcome", "welcome", "<h1>Kigali Wellness</h1><p>Open every day, 8 to 17.</p>"),
        ("Prices", "prices", "<p>Consultation 15,000 RWF, haircut 8,000 RWF.</p>"),
    ] {
        let page =
            filler.make("cms/pages", json!({"title": title, "slug": slug, "language": "en", "body": body})).await;
        if let Some(page) = page {
            filler.act("cms/pages", page, "publish", json!({})).await;
        }
    }
    for text in ["Muraho! Is Saturday open?", "Can I pay with MoMo?", "Murakoze cyane"] {
        filler.make("chat/messages", json!({"title": "Customer question", "description": text})).await;
    }
    filler.make("protector/items", json!({"title": "Solar lamp S1", "name": "Solar lamp S1", "brand": "Ihema"})).await;
}

/// How many appointments share a transaction when a great many are made.
const BATCH: u64 = 1_000;

/// Plain appointments, for benchmarks.
async fn add_rows(engine: &Engine, tenant: &Arc<Tenant>, rows: u64, output: &Output) -> Result<u64> {
    let mut made = 0;
    while made < rows {
        let batch = BATCH.min(rows - made);
        let (shared, tenant) = (engine.clone(), tenant.clone());
        engine
            .kernel
            .db
            .write(tenant.view(), move |tx| {
                let mut cx = Cx::new(tx, &shared, &tenant);
                for _ in 0..batch {
                    cx.create("booking/appointments", &json!({"title": "Consultation", "description": "First visit"}))?;
                }
                Ok(())
            })
            .await?;
        made += batch;
        if !output.is_json() && made % 50_000 == 0 {
            eprintln!("{made} of {rows} rows");
        }
    }
    Ok(made)
}
