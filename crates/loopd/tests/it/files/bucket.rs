//! Files in a bucket: an S3 of a few dozen lines that believes nobody without a signature (AWS Signature Version 4), and counts what it has.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;
use loopd_testkit::{Database, Engine, json};
use loopd_types::{sha256, sha256_hex};

use super::{ledger, picture, shelve, sweep};
use crate::support::World;

const ACCESS: &str = "AKIATEST";
const SECRET: &str = "a secret of the bucket";

#[derive(Default)]
struct Bucket {
    objects: BTreeMap<String, Bytes>,
    /// Of multipart uploads: number and content.
    parts: BTreeMap<String, BTreeMap<u32, Bytes>>,
    uploads: u32,
    /// Requests with a signature that was not ours.
    forged: u32,
    /// Answers everything that writes with this.
    fails: Option<StatusCode>,
}

type Shared = Arc<Mutex<Bucket>>;

/// A bucket that a test looks into.
pub struct InBucket(Shared);

impl InBucket {
    pub fn objects(&self) -> Vec<String> {
        self.0.lock().expect("no panic").objects.keys().cloned().collect()
    }

    /// Answers everything that writes with this from now on.
    pub fn fail(&self, with: Option<StatusCode>) {
        self.0.lock().expect("no panic").fails = with;
    }
}

/// A world whose files lie in a bucket, below `of/ours/`.
pub async fn in_bucket(engine: Engine) -> Option<(World, InBucket)> {
    let database = Database::prepared::<World>(engine).await?;
    let (endpoint, bucket) = serve().await;
    let url = format!("s3://shop/of/ours?region=eu-west-1&endpoint={endpoint}");
    let settings =
        [("LOOP_FILES_URL", url.as_str()), ("LOOP_FILES_ACCESS_KEY", ACCESS), ("LOOP_FILES_SECRET_KEY", SECRET)];
    Some((World::start(database, &settings).await, InBucket(bucket)))
}

async fn serve() -> (String, Shared) {
    let bucket = Shared::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let shared = bucket.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let shared = shared.clone();
            let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
                let shared = shared.clone();
                async move {
                    let (parts, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    Ok::<_, hyper::Error>(answer(&shared, &parts, body))
                }
            });
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    });
    (format!("http://{address}"), bucket)
}

/// HMAC-SHA256 (RFC 2104), for keys of at most a block.
fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut block = [0u8; 64];
    block[..key.len()].copy_from_slice(key);
    let inner = sha256(&[&block.map(|byte| byte ^ 0x36)[..], text.as_bytes()].concat());
    sha256(&[&block.map(|byte| byte ^ 0x5c)[..], &inner].concat()).to_vec()
}

/// Signs the request again, as the AWS manual says, and compares.
fn is_signed(parts: &http::request::Parts, body: &Bytes) -> Option<bool> {
    let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let fields: BTreeMap<&str, &str> = header("authorization")?
        .strip_prefix("AWS4-HMAC-SHA256 ")?
        .split(',')
        .filter_map(|field| field.trim().split_once('='))
        .collect();
    let scope: Vec<&str> = fields.get("Credential")?.split('/').collect();
    let [ACCESS, date, region, "s3", "aws4_request"] = scope[..] else { return None };
    let names = fields.get("SignedHeaders")?;
    let content = header("x-amz-content-sha256")?;
    if content != "UNSIGNED-PAYLOAD" && content != sha256_hex(body) {
        return Some(false);
    }
    let mut query: Vec<(&str, &str)> = parts
        .uri
        .query()
        .unwrap_or("")
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .collect();
    query.sort_unstable();
    let query = query.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join("&");
    let headers: String =
        names.split(';').map(|name| format!("{name}:{}\n", header(name).unwrap_or_default().trim())).collect();
    let canonical = format!("{}\n{}\n{query}\n{headers}\n{names}\n{content}", parts.method, parts.uri.path());
    let to_sign = format!(
        "AWS4-HMAC-SHA256\n{}\n{date}/{region}/s3/aws4_request\n{}",
        header("x-amz-date")?,
        sha256_hex(canonical.as_bytes())
    );
    let key = ["s3", "aws4_request"]
        .iter()
        .fold(hmac(&hmac(format!("AWS4{SECRET}").as_bytes(), date), region), |key, word| hmac(&key, word));
    let signature: String = hmac(&key, &to_sign).iter().map(|byte| format!("{byte:02x}")).collect();
    Some(fields.get("Signature") == Some(&signature.as_str()))
}

fn answer(shared: &Shared, parts: &http::request::Parts, body: Bytes) -> Response<Full<Bytes>> {
    let mut bucket = shared.lock().expect("no panic");
    let reply = |status: StatusCode, text: String| {
        let tag = format!("\"{}\"", &sha256_hex(text.as_bytes())[..32]);
        Response::builder().status(status).header("etag", tag).body(Full::new(Bytes::from(text))).expect("a response")
    };
    if is_signed(parts, &body) != Some(true) {
        bucket.forged += 1;
        return reply(StatusCode::FORBIDDEN, "<Error><Code>SignatureDoesNotMatch</Code></Error>".into());
    }
    let key = parts.uri.path().trim_start_matches("/shop/").to_owned();
    let query: BTreeMap<&str, &str> =
        parts.uri.query().unwrap_or("").split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    if let Some(status) = bucket.fails.filter(|_| parts.method != "GET" && parts.method != "DELETE") {
        return reply(status, "<Error><Code>Refused</Code></Error>".into());
    }
    match (parts.method.as_str(), query.get("uploadId"), query.get("partNumber")) {
        ("POST", None, _) if query.contains_key("uploads") => {
            bucket.uploads += 1;
            let id = format!("upload-{}", bucket.uploads);
            bucket.parts.insert(id.clone(), BTreeMap::new());
            reply(
                StatusCode::OK,
                format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"),
            )
        }
        ("PUT", Some(id), Some(number)) => {
            let number = number.parse().expect("a number");
            bucket.parts.get_mut(*id).expect("a known upload").insert(number, body);
            reply(StatusCode::OK, String::new())
        }
        ("POST", Some(id), _) => {
            let parts = bucket.parts.remove(*id).expect("a known upload");
            let (last, others) = (parts.len() as u32, parts.iter());
            for (number, part) in others {
                assert!(*number == last || part.len() >= 5 * 1024 * 1024, "S3 takes no small parts but the last");
            }
            bucket.objects.insert(key, parts.into_values().flatten().collect());
            reply(
                StatusCode::OK,
                "<CompleteMultipartUploadResult><ETag>\"x\"</ETag></CompleteMultipartUploadResult>".into(),
            )
        }
        ("DELETE", Some(id), _) => {
            bucket.parts.remove(*id);
            reply(StatusCode::NO_CONTENT, String::new())
        }
        ("PUT", ..) => {
            bucket.objects.insert(key, body);
            reply(StatusCode::OK, String::new())
        }
        ("DELETE", ..) => {
            bucket.objects.remove(&key);
            reply(StatusCode::NO_CONTENT, String::new())
        }
        ("GET" | "HEAD", ..) => {
            let Some(object) = bucket.objects.get(&key) else {
                return reply(StatusCode::NOT_FOUND, "<Error><Code>NoSuchKey</Code></Error>".into());
            };
            let range = parts
                .headers
                .get("range")
                .and_then(|range| range.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
            let (first, last) = match range {
                Some((first, last)) => {
                    (first.parse().expect("a number"), last.parse::<usize>().map_or(object.len(), |last| last + 1))
                }
                None => (0, object.len()),
            };
            let last = last.min(object.len());
            let response = Response::builder()
                .status(if range.is_some() { 206 } else { 200 })
                .header("etag", "\"x\"")
                .header("last-modified", "Sun, 22 Nov 2026 10:00:00 GMT");
            let response = match range {
                Some(_) => response.header("content-range", format!("bytes {first}-{}/{}", last - 1, object.len())),
                None => response,
            };
            response.body(Full::new(object.slice(first..last))).expect("a response")
        }
        (method, ..) => panic!("{method} {} is not imitated", parts.uri),
    }
}

async fn in_a_bucket(engine: Engine) {
    let Some((world, InBucket(bucket))) = in_bucket(engine).await else { return };
    world.kernel.blobs.probe().await.expect("the bucket can be written");
    let owner = world.owner().await;
    let row = shelve(&owner, "a.png", &picture(300, 200)).await;
    let path = format!("/api/v1/files/{}/content/", row["id"].as_str().unwrap());
    assert_eq!(owner.get(&path).await.expect_status(200).body, picture(300, 200));
    let part = owner.get(&path).header("range", "bytes=1-3").await.expect_status(206);
    assert_eq!(
        (&part.body[..], part.header("content-range").unwrap().rsplit('/').next()),
        (&b"PNG"[..], Some(&*picture(300, 200).len().to_string()))
    );
    owner.get(&format!("{path}?thumbnail=128")).await.expect_status(200);
    {
        let bucket = bucket.lock().unwrap();
        assert_eq!(bucket.objects.len(), 2, "content and thumbnail; the probe is gone");
        assert!(bucket.objects.keys().all(|key| key.starts_with("of/ours/001/")), "{:?}", bucket.objects.keys());
        assert_eq!(bucket.forged, 0);
    }
    // More than one part.
    let content: Vec<u8> = (0..20_000_000u32).map(|n| (n >> 8) as u8).collect();
    let large = shelve(&owner, "large.bin", &content).await;
    assert_eq!((&large["size_bytes"], &large["sha256"]), (&json!(content.len()), &json!(sha256_hex(&content))));
    let large = format!("/api/v1/files/{}/", large["id"].as_str().unwrap());
    let end = owner.get(&format!("{large}content/")).header("range", "bytes=-3").await.expect_status(206);
    assert_eq!(end.body, content[content.len() - 3..]);
    owner.delete(&large).await.expect_status(204);
    sweep(&world).await;
    let waiting = ledger(&world).await;
    assert_eq!((bucket.lock().unwrap().objects.len(), waiting), (2, 0));
    // A bucket that refuses leaves nothing, large or small.
    bucket.lock().unwrap().fails = Some(StatusCode::FORBIDDEN);
    for content in [&b"small"[..], &content] {
        super::upload(&owner, "/api/v1/files/", "x", content).await.expect_refusal(503, "unavailable");
    }
    assert_eq!(owner.get("/api/v1/files/").await.expect_status(200).at("/count"), 1);
    assert!(bucket.lock().unwrap().parts.is_empty());
    assert_eq!(ledger(&world).await, 0);
    loopd_testkit::Boot::close(world).await;
}

#[test]
fn a_bucket_keeps_what_a_folder_keeps() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    runtime.block_on(async {
        in_a_bucket(Engine::Sqlite).await;
        in_a_bucket(Engine::Postgres).await;
    });
}
