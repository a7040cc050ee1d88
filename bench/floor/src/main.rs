//! The floor: axum and rusqlite with the same JSON and the same durability as the product, and nothing else.
//!
//!     floor DATABASE_FILE ADDRESS
//!
//! No credentials, no tenants, no validation, no router worth the name. GET /health/, GET /get/{id}, GET /list (the 20
//! newest), POST /create: one durable insert, where waiting inserts share a commit and nobody is answered before it.

use std::cell::RefCell;
use std::sync::Arc;
use std::thread;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use rusqlite::{Connection, Row, params};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS appointments (
        id INTEGER PRIMARY KEY, company INT, title TEXT, description TEXT, status TEXT, data TEXT, created_at INT);
    CREATE INDEX IF NOT EXISTS appointments_by_company ON appointments (company, id)";

/// Most inserts that share one commit.
const BATCH: usize = 256;

/// A title to insert, and where its id is waited for.
type Insert = (String, oneshot::Sender<i64>);

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

/// One record as the product writes it.
fn record(row: &Row<'_>) -> rusqlite::Result<String> {
    let quoted = |column| row.get_ref(column).map(|text| serde_json::to_string(text.as_str().unwrap_or_default()).unwrap());
    Ok(format!(
        r#"{{"id":"{}","company":"001","title":{},"description":{},"status":"{}","data":{},"created_at":{}}}"#,
        row.get::<_, i64>(0)?,
        quoted(2)?,
        quoted(3)?,
        row.get_ref(4)?.as_str()?,
        row.get_ref(5)?.as_str()?,
        row.get::<_, i64>(6)?,
    ))
}

fn json(body: String) -> impl IntoResponse {
    ([("content-type", "application/json")], body)
}

async fn one(Path(id): Path<i64>) -> impl IntoResponse {
    json(READER.with_borrow(|reader| {
        let mut find = reader.prepare_cached("SELECT * FROM appointments WHERE company = 1 AND id = ?1").unwrap();
        find.query_row([id], record).unwrap()
    }))
}

async fn newest() -> impl IntoResponse {
    let records: Vec<String> = READER.with_borrow(|reader| {
        let sql = "SELECT * FROM appointments WHERE company = 1 ORDER BY id DESC LIMIT 20";
        let mut list = reader.prepare_cached(sql).unwrap();
        list.query_map([], record).unwrap().map(Result::unwrap).collect()
    });
    json(format!(r#"{{"results":[{}]}}"#, records.join(",")))
}

async fn create(State(writer): State<Arc<mpsc::Sender<Insert>>>, Json(body): Json<serde_json::Value>) -> impl IntoResponse {
    let (made, id) = oneshot::channel();
    let title = body["title"].as_str().unwrap_or_default().to_owned();
    writer.send((title, made)).await.unwrap();
    (StatusCode::CREATED, json(format!(r#"{{"id":"{}"}}"#, id.await.unwrap())))
}

/// Inserts whatever is waiting, commits it with one fsync, then tells everybody.
fn write(mut waiting: mpsc::Receiver<Insert>) {
    let mut connection = open();
    while let Some(first) = waiting.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH && let Ok(next) = waiting.try_recv() {
            batch.push(next);
        }
        let transaction = connection.transaction().unwrap();
        let sql = "INSERT INTO appointments (company, title, description, status, data, created_at)
                   VALUES (1, ?1, 'First visit', 'pending', '{}', 0)";
        let insert = |(title, made): Insert| {
            transaction.prepare_cached(sql).unwrap().execute(params![title]).unwrap();
            (made, transaction.last_insert_rowid())
        };
        let answers: Vec<_> = batch.into_iter().map(insert).collect();
        transaction.commit().unwrap();
        for (made, id) in answers {
            let _ = made.send(id);
        }
    }
}

#[tokio::main]
async fn main() {
    let (writer, waiting) = mpsc::channel(1024);
    thread::spawn(move || write(waiting));
    let routes = Router::new()
        .route("/health/", get(|| async { json(r#"{"status":"ok"}"#.to_owned()) }))
        .route("/get/{id}", get(one))
        .route("/list", get(newest))
        .route("/create", post(create))
        .with_state(Arc::new(writer));
    let listener = TcpListener::bind(argument(2)).await.expect("the address is free");
    axum::serve(listener, routes).await.expect("served until the end");
}
