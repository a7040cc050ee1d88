//! The floor: axum and rusqlite with the same JSON and the same durability as the product, and nothing else.
//!
//!     floor DATABASE_FILE ADDRESS
//!
//! No credentials, no tenants, no validation, no router worth the name. GET /health/, GET /get/{id}, GET /list (the 20
//! newest and their count), POST /challenge (the seller's row, and x402's two forms of what it asks), POST /create: one
//! durable insert, where waiting inserts share a commit and nobody is answered before it. A record has the columns of the product's appointment and is answered as the product answers it; its table
//! has no index but its keys.

use std::cell::RefCell;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::thread;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS appointments (
        id INTEGER PRIMARY KEY, company INT, workspace TEXT, number TEXT, title TEXT, description TEXT, status TEXT,
        data TEXT, tags TEXT, external_id TEXT, service TEXT, staff TEXT, resource TEXT, customer TEXT, starts_at TEXT,
        ends_at TEXT, timezone TEXT, party_size INT, price TEXT, channel TEXT, notes TEXT, cancel_reason TEXT,
        checked_in_at TEXT, completed_at TEXT, reminded_at TEXT, reminder_due_at TEXT, blocked_from TEXT,
        blocked_until TEXT, currency TEXT, created_by TEXT, updated_by TEXT, created_at TEXT, updated_at TEXT,
        deleted_at TEXT, version INT);
    CREATE INDEX IF NOT EXISTS appointments_by_company ON appointments (company, id);
    CREATE TABLE IF NOT EXISTS sellers (id INTEGER PRIMARY KEY, pay_to TEXT, name TEXT);
    INSERT OR IGNORE INTO sellers VALUES (1, '0x209693Bc6afc0C5328bA36FaF03C514EF312287C', 'Weather')";

const INSERT: &str = "
    INSERT INTO appointments (company, number, title, description, status, data, tags, timezone, party_size, currency,
        created_by, updated_by, created_at, updated_at, version)
    VALUES (1, 'APT-000001', ?1, 'First visit', 'draft', '{}', '[]', 'Africa/Kigali', 1, 'RWF',
        '01a20235-95ce-7000-9876-6c6bbbfa78e6', '01a20235-95ce-7000-9876-6c6bbbfa78e6',
        '2026-11-22T07:43:45.644031Z', '2026-11-22T07:43:45.644031Z', 1)
    RETURNING *";

/// Most inserts that share one commit.
const BATCH: usize = 256;

/// A title to insert, and where its record is waited for.
type Insert = (String, oneshot::Sender<Vec<u8>>);

struct Shared {
    writer: mpsc::Sender<Insert>,
    count: AtomicI64,
}

thread_local! {
    /// Reads run on the thread that serves the request, each thread with a connection of its own.
    static READER: RefCell<Connection> = RefCell::new(open());
}

fn argument(number: usize) -> String {
    std::env::args().nth(number).expect("usage: floor DATABASE_FILE ADDRESS")
}

fn open() -> Connection {
    let connection = Connection::open(argument(1)).expect("the database file can be opened");
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;").expect("pragmas");
    connection.execute_batch(SCHEMA).expect("schema");
    connection
}

/// The columns as they are called on the wire, with what stands around them.
const KEYS: [&str; 35] = [
    "{\"id\":",
    ",\"company\":",
    ",\"workspace\":",
    ",\"number\":",
    ",\"title\":",
    ",\"description\":",
    ",\"status\":",
    ",\"data\":",
    ",\"tags\":",
    ",\"external_id\":",
    ",\"service\":",
    ",\"staff\":",
    ",\"resource\":",
    ",\"customer\":",
    ",\"starts_at\":",
    ",\"ends_at\":",
    ",\"timezone\":",
    ",\"party_size\":",
    ",\"price\":",
    ",\"channel\":",
    ",\"notes\":",
    ",\"cancel_reason\":",
    ",\"checked_in_at\":",
    ",\"completed_at\":",
    ",\"reminded_at\":",
    ",\"reminder_due_at\":",
    ",\"blocked_from\":",
    ",\"blocked_until\":",
    ",\"currency\":",
    ",\"created_by\":",
    ",\"updated_by\":",
    ",\"created_at\":",
    ",\"updated_at\":",
    ",\"deleted_at\":",
    ",\"version\":",
];
const DATA: usize = 7;
const TAGS: usize = 8;

/// One record as the product writes it: numbers and JSON as they stand, the rest as strings.
fn record(row: &Row<'_>, out: &mut Vec<u8>) -> rusqlite::Result<()> {
    for (place, key) in KEYS.iter().enumerate() {
        out.extend_from_slice(key.as_bytes());
        match (place, row.get_ref(place)?) {
            (0, ValueRef::Integer(id)) => write!(out, "\"{id:08}-95ce-7000-9876-6c6bbbfa78e6\"").unwrap(),
            (1, _) => out.extend_from_slice(b"\"001\""),
            (DATA | TAGS, ValueRef::Text(json)) => out.extend_from_slice(json),
            (_, ValueRef::Integer(number)) => write!(out, "{number}").unwrap(),
            (_, ValueRef::Text(text)) => {
                serde_json::to_writer(&mut *out, std::str::from_utf8(text).unwrap()).unwrap();
            }
            _ => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    Ok(())
}

fn answer(body: Vec<u8>) -> impl IntoResponse {
    ([("content-type", "application/json")], body)
}

async fn one(Path(id): Path<String>) -> impl IntoResponse {
    let id: i64 = id.split('-').next().and_then(|number| number.parse().ok()).unwrap_or_default();
    let mut body = Vec::with_capacity(1024);
    READER.with_borrow(|reader| {
        let mut find = reader.prepare_cached("SELECT * FROM appointments WHERE company = 1 AND id = ?1").unwrap();
        find.query_row([id], |row| record(row, &mut body)).unwrap();
    });
    answer(body)
}

async fn newest(State(shared): State<Arc<Shared>>) -> impl IntoResponse {
    let count = shared.count.load(Ordering::Relaxed);
    let mut body = Vec::with_capacity(20 * 1024);
    write!(body, r#"{{"count":{count},"next":"http://localhost/list?page=2","previous":null,"results":["#).unwrap();
    READER.with_borrow(|reader| {
        let sql = "SELECT * FROM appointments WHERE company = 1 ORDER BY id DESC LIMIT 20";
        let mut list = reader.prepare_cached(sql).unwrap();
        let mut rows = list.query([]).unwrap();
        let mut first = true;
        while let Some(row) = rows.next().unwrap() {
            if !std::mem::replace(&mut first, false) {
                body.push(b',');
            }
            record(row, &mut body).unwrap();
        }
    });
    body.extend_from_slice(b"]}");
    answer(body)
}

async fn challenge(Json(asked): Json<serde_json::Value>) -> impl IntoResponse {
    let text = |name: &str| asked[name].as_str().unwrap_or_default();
    let micros = (text("amount").parse::<f64>().unwrap_or_default() * 1e6).round() as u64;
    let pay_to: String = READER.with_borrow(|reader| {
        let mut find = reader.prepare_cached("SELECT pay_to FROM sellers WHERE id = ?1").unwrap();
        find.query_row([1], |row| row.get(0)).unwrap()
    });
    let (resource, description) = (text("resource"), text("description"));
    let (asset, extra) = ("0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913", json!({"name": "USD Coin", "version": "2"}));
    let first = json!({"x402Version": 1, "accepts": [{
        "scheme": "exact", "network": "base", "maxAmountRequired": micros.to_string(), "resource": resource, "description": description,
        "mimeType": "", "payTo": pay_to, "maxTimeoutSeconds": 60, "asset": asset, "extra": extra,
    }]});
    let second = json!({"x402Version": 2, "resource": {"url": resource, "description": description}, "accepts": [{
        "scheme": "exact", "network": "eip155:8453", "amount": micros.to_string(), "payTo": pay_to, "maxTimeoutSeconds": 60,
        "asset": asset, "extra": extra,
    }]});
    ([("content-type", "application/json".to_owned()), ("payment-required", STANDARD.encode(second.to_string()))], first.to_string())
}

async fn create(State(shared): State<Arc<Shared>>, Json(body): Json<serde_json::Value>) -> impl IntoResponse {
    let (made, record) = oneshot::channel();
    let title = body["title"].as_str().unwrap_or_default().to_owned();
    shared.writer.send((title, made)).await.unwrap();
    let record = record.await.unwrap();
    shared.count.fetch_add(1, Ordering::Relaxed);
    (StatusCode::CREATED, answer(record))
}

/// Inserts whatever is waiting, commits it with one fsync, then tells everybody.
fn write(mut waiting: mpsc::Receiver<Insert>) {
    let mut connection = open();
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(next) = waiting.try_recv()
        {
            batch.push(next);
        }
        let transaction = connection.transaction().unwrap();
        let insert = |(title, made): Insert| {
            let mut body = Vec::with_capacity(1024);
            let mut insert = transaction.prepare_cached(INSERT).unwrap();
            insert.query_row(params![title], |row| record(row, &mut body)).unwrap();
            (made, body)
        };
        let answers: Vec<_> = batch.into_iter().map(insert).collect();
        transaction.commit().unwrap();
        for (made, body) in answers {
            let _ = made.send(body);
        }
    }
}

#[tokio::main]
async fn main() {
    open();
    let (writer, waiting) = mpsc::channel(1024);
    thread::spawn(move || write(waiting));
    let routes = Router::new()
        .route("/health/", get(|| async { answer(br#"{"status":"ok"}"#.to_vec()) }))
        .route("/get/{id}", get(one))
        .route("/list", get(newest))
        .route("/challenge", post(challenge))
        .route("/create", post(create))
        .with_state(Arc::new(Shared { writer, count: AtomicI64::new(0) }));
    let listener = TcpListener::bind(argument(2)).await.expect("the address is free");
    axum::serve(listener, routes).await.expect("served until the end");
}
