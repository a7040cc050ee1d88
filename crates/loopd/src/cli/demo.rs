//! `loopd demo`: fills a company with life, through the same engine and rules as everybody's calls.

use std::sync::Arc;

use anyhow::anyhow;
use loopd_business::engine::{Cx, Engine};
use loopd_kernel::account::{self, Registration};
use loopd_kernel::{Kernel, Origin, Tenant};
use loopd_store::View;
use loopd_types::{CompanyCode, DAY_US, HOUR_US, Result, Timestamp, random_token};
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
    let made = if rows == 0 { fill(&engine, &tenant).await.map_err(words)? } else { Made::default() };
    let extra = add_rows(&engine, &tenant, rows, output).await.map_err(words)?;
    let mut text = format!("Company {code} has {} records of demo data more.", made.records + extra);
    if let Some(email) = login["email"].as_str() {
        text.push_str(&format!(
            "\nSign in as {email} with password {}",
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

/// Registers an owner with a random password; only the very next code can be made this way.
async fn register(kernel: &Arc<Kernel>, code: &str) -> anyhow::Result<Value> {
    let password = random_token(kernel.rng.as_ref(), 9);
    let email = format!("demo{code}@example.com");
    let body = json!({"email": email, "username": format!("demo{code}"), "password": password, "company_name": "Kigali Wellness"});
    let registration = Registration::parse(kernel, body).await.map_err(words)?;
    let origin = Origin {
        address: std::net::Ipv4Addr::LOCALHOST.into(),
        request_id: "demo".into(),
        app_id: None,
        user_agent: None,
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

/// Makes a record if its module is installed; a refusal of one record is noted and does not spoil the rest.
fn make(cx: &mut Cx<'_, '_>, made: &mut Made, path: &str, body: &Value) -> Option<loopd_types::Uuid> {
    cx.registry().find(path)?;
    match cx.create(path, body) {
        Ok(record) => {
            made.records += 1;
            Some(record.id())
        }
        Err(problem) => {
            made.skipped.push(format!("{path}: {problem} {:?}", problem.fields()));
            None
        }
    }
}

async fn fill(engine: &Engine, tenant: &Arc<Tenant>) -> Result<Made> {
    let (shared, tenant) = (engine.clone(), tenant.clone());
    engine
        .kernel
        .db
        .write(tenant.view(), move |tx| {
            let mut made = Made::default();
            let mut cx = Cx::new(tx, &shared, &tenant);
            booking(&mut cx, &mut made);
            payments(&mut cx, &mut made);
            words_and_talk(&mut cx, &mut made);
            Ok(made)
        })
        .await
}

fn booking(cx: &mut Cx<'_, '_>, made: &mut Made) {
    let services: Vec<_> = SERVICES
        .iter()
        .filter_map(|(name, minutes, price)| {
            let body = json!({"title": name, "duration_min": minutes, "price": price, "currency": "RWF"});
            make(cx, made, "booking/services", &body).map(|id| (id, *name, *minutes))
        })
        .collect();
    let staff: Vec<_> = ["Chantal", "Didier", "Esther"]
        .iter()
        .filter_map(|name| make(cx, made, "booking/staff-members", &json!({"title": name})))
        .collect();
    let customers: Vec<_> = CUSTOMERS
        .iter()
        .filter_map(|(name, phone)| make(cx, made, "booking/customers", &json!({"title": name, "phone": phone})))
        .collect();
    if services.is_empty() || staff.is_empty() || customers.is_empty() {
        return;
    }
    let midnight = cx.now().micros().div_euclid(DAY_US) * DAY_US;
    for day in 0..7i64 {
        for slot in 0..6i64 {
            let nth = usize::try_from(day * 6 + slot).unwrap_or(0);
            let (service, name, minutes) = services[nth % services.len()];
            // 08:00 to 15:00 UTC, 75 minutes apart: nobody is double-booked.
            let start = Timestamp(midnight + day * DAY_US + 8 * HOUR_US + slot * 75 * 60_000_000);
            let body = json!({
                "title": name, "description": "Demo", "service": service.to_string(), "staff": staff[nth % staff.len()].to_string(),
                "customer": customers[nth % customers.len()].to_string(), "starts_at": start.to_string(),
                "ends_at": start.plus(minutes * 60_000_000).to_string(),
            });
            make(cx, made, "booking/appointments", &body);
        }
    }
}

fn payments(cx: &mut Cx<'_, '_>, made: &mut Made) {
    for (nth, (name, _)) in CUSTOMERS.iter().enumerate() {
        let (service, _, price) = SERVICES[nth % SERVICES.len()];
        let body = json!({
            "title": format!("{service} for {name}"), "currency": "RWF",
            "lines": [{"description": service, "qty": "1", "unit_price": price, "tax_rate": "18"}],
        });
        let Some(invoice) = make(cx, made, "payments/invoices", &body) else { continue };
        for (action, input) in [("finalize", json!({})), ("record-payment", json!({"amount": price, "method": "cash"}))]
            .into_iter()
            .take(nth % 3)
        {
            if let Err(problem) = cx.act("payments/invoices", invoice, action, &input) {
                made.skipped.push(format!("payments/invoices {action}: {problem} {:?}", problem.fields()));
            }
        }
    }
}

fn words_and_talk(cx: &mut Cx<'_, '_>, made: &mut Made) {
    for (title, slug, body) in [
        ("Home", "home", "<h1>Kigali Wellness</h1><p>Open every day, 8 to 17.</p>"),
        ("Prices", "prices", "<p>Consultation 15,000 RWF, haircut 8,000 RWF.</p>"),
    ] {
        make(cx, made, "cms/pages", &json!({"title": title, "slug": slug, "language": "en", "body": body}));
    }
    for text in ["Muraho! Is Saturday open?", "Can I pay with MoMo?", "Murakoze cyane"] {
        make(cx, made, "chat/messages", &json!({"title": "Customer question", "description": text}));
    }
    make(cx, made, "protector/items", &json!({"title": "Solar lamp S1", "name": "Solar lamp S1", "brand": "Ihema"}));
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
