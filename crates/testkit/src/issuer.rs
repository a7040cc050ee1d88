//! [`Issuer`]: a provider of identity on a port of its own, with real keys; honest unless a test tells it otherwise.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use loopd_types::{OsRng, Rng as _, Timestamp, hex, sha256};
use p256::elliptic_curve::sec1::ToEncodedPoint as _;
use p256::pkcs8::EncodePrivateKey as _;
use rsa::pkcs1::EncodeRsaPrivateKey as _;
use rsa::traits::PublicKeyParts as _;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How an ID token is signed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Signing {
    Es256,
    Rs256,
    /// `alg: none`, and no signature.
    None,
    /// With the client's secret, which a public key's holder could be talked into taking for a key.
    SharedSecret,
    /// By a key that the issuer does not publish.
    StrangersKey,
}

/// What the issuer does not do as it should.
#[derive(Clone, Debug)]
pub struct Manners {
    pub signing: Signing,
    /// What it calls itself in its discovery document; itself when `None`.
    pub issuer: Option<String>,
    /// Whether it promises to name itself in its answers (RFC 9207).
    pub names_itself: bool,
    /// `Cache-Control` of what it publishes.
    pub cache_control: Option<&'static str>,
    /// Whether it answers 503 to whoever asks for what it publishes.
    pub is_away: bool,
    /// Bytes of blanks before what it publishes.
    pub padding: usize,
    /// How long it thinks before it publishes.
    pub pause: Duration,
}

/// A provider of identity that runs as long as it is held.
pub struct Issuer {
    pub base: String,
    inner: Arc<Inner>,
    serving: JoinHandle<()>,
}

struct Inner {
    base: String,
    state: Mutex<State>,
    elliptic: Mutex<(String, p256::SecretKey)>,
    rsa: Mutex<Option<rsa::RsaPrivateKey>>,
}

struct State {
    manners: Manners,
    codes: HashMap<String, Granted>,
    /// How often each path was asked for.
    asked: HashMap<String, usize>,
}

/// Behind a code.
struct Granted {
    claims: Value,
    challenge: String,
    redirect_uri: String,
}

const DISCOVERY: &str = "/.well-known/openid-configuration";
const KEYS: &str = "/keys";

/// The client that the issuer knows.
pub const CLIENT_ID: &str = "loop";
pub const CLIENT_SECRET: &str = "the client's secret: of 40 characters +/";

impl Issuer {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let manners = Manners {
            signing: Signing::Es256,
            issuer: None,
            names_itself: false,
            cache_control: None,
            is_away: false,
            padding: 0,
            pause: Duration::ZERO,
        };
        let state = Mutex::new(State { manners, codes: HashMap::new(), asked: HashMap::new() });
        let inner = Arc::new(Inner {
            base: base.clone(),
            state,
            elliptic: Mutex::new(("e".to_owned(), elliptic_key())),
            rsa: Mutex::new(None),
        });
        let shared = inner.clone();
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = shared.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let shared = shared.clone();
                        async move { Ok::<_, std::convert::Infallible>(shared.answer(request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { base, inner, serving }
    }

    /// Changes how the issuer behaves from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Manners)) {
        change(&mut self.inner.lock().manners);
    }

    /// Puts a new key in the old one's place, under another name.
    pub fn rotate(&self) {
        let mut elliptic = self.inner.elliptic.lock().unwrap_or_else(PoisonError::into_inner);
        *elliptic = (format!("{}+", elliptic.0), elliptic_key());
    }

    /// How often the discovery document and the keys were asked for.
    pub fn asked(&self) -> (usize, usize) {
        let state = self.inner.lock();
        let of = |path: &str| state.asked.get(path).copied().unwrap_or(0);
        (of(DISCOVERY), of(KEYS))
    }

    /// What an honest ID token says of somebody, but for the nonce.
    pub fn claims(&self, subject: &str, email: &str, now: Timestamp) -> Value {
        json!({
            "iss": self.base, "sub": subject, "aud": CLIENT_ID, "iat": now.seconds(), "exp": now.seconds() + 300,
            "email": email, "email_verified": true, "given_name": "Grace", "family_name": "U",
        })
    }

    /// A person says yes at `authorization_url`: gives the code that their browser takes back. `claims` without a `nonce` get the right one.
    pub fn authorize(&self, authorization_url: &str, mut claims: Value) -> String {
        let asked = query_of(authorization_url);
        assert!(authorization_url.starts_with(&format!("{}/authorize?", self.base)), "{authorization_url}");
        assert_eq!((asked["response_type"].as_str(), asked["client_id"].as_str()), ("code", CLIENT_ID));
        assert_eq!(asked["code_challenge_method"], "S256");
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"), "{asked:?}");
        if claims.get("nonce").is_none() {
            claims["nonce"] = asked["nonce"].clone().into();
        }
        let mut bytes = [0u8; 16];
        OsRng.fill(&mut bytes);
        let (code, granted) = (
            hex(&bytes),
            Granted { claims, challenge: asked["code_challenge"].clone(), redirect_uri: asked["redirect_uri"].clone() },
        );
        self.inner.lock().codes.insert(code.clone(), granted);
        code
    }
}

impl Drop for Issuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Inner {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: http::Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let path = parts.uri.path();
        let manners = {
            let mut state = self.lock();
            *state.asked.entry(path.to_owned()).or_default() += 1;
            state.manners.clone()
        };
        let is_published = matches!(path, DISCOVERY | KEYS);
        if is_published {
            tokio::time::sleep(manners.pause).await;
        }
        let (status, value) = match path {
            DISCOVERY | KEYS if manners.is_away => (StatusCode::SERVICE_UNAVAILABLE, json!({})),
            DISCOVERY => (StatusCode::OK, self.metadata()),
            KEYS => (StatusCode::OK, self.keys()),
            "/token" => match self.exchange(&parts.headers, &String::from_utf8_lossy(&body)) {
                Ok(tokens) => (StatusCode::OK, tokens),
                Err(words) => (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant", "error_description": words})),
            },
            _ => (StatusCode::NOT_FOUND, json!({})),
        };
        let padding = " ".repeat(if is_published { manners.padding } else { 0 });
        let mut response = Response::new(Full::new(Bytes::from(format!("{padding}{value}"))));
        *response.status_mut() = status;
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        if let Some(directives) = manners.cache_control.filter(|_| is_published) {
            response.headers_mut().insert("cache-control", http::HeaderValue::from_static(directives));
        }
        response
    }

    fn metadata(&self) -> Value {
        let manners = self.lock().manners.clone();
        let door = |path: &str| format!("{}{path}", self.base);
        json!({
            "issuer": manners.issuer.unwrap_or_else(|| self.base.clone()),
            "authorization_endpoint": door("/authorize"), "token_endpoint": door("/token"), "jwks_uri": door("/keys"),
            "response_types_supported": ["code"], "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256", "ES256"],
            "authorization_response_iss_parameter_supported": manners.names_itself,
        })
    }

    fn keys(&self) -> Value {
        let (kid, key) = self.elliptic.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let point = key.public_key().to_encoded_point(false);
        let mut keys = vec![json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": kid,
            "x": encode(point.x().expect("a point")), "y": encode(point.y().expect("a point")),
        })];
        if let Some(rsa) = self.rsa.lock().unwrap_or_else(PoisonError::into_inner).as_ref() {
            keys.push(json!({
                "kty": "RSA", "use": "sig", "alg": "RS256", "kid": "r",
                "n": encode(&rsa.n().to_bytes_be()), "e": encode(&rsa.e().to_bytes_be()),
            }));
        }
        json!({"keys": keys})
    }

    /// The token endpoint: the client's secret, the code once, its address and PKCE.
    fn exchange(&self, headers: &http::HeaderMap, body: &str) -> Result<Value, String> {
        let form = query_of(&format!("?{body}"));
        let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{}", escaped(CLIENT_SECRET))));
        let shown = headers.get("authorization").and_then(|value| value.to_str().ok());
        if shown != Some(&basic) {
            return Err(format!("the client is not known: {shown:?}"));
        }
        let field = |name: &str| form.get(name).cloned().unwrap_or_default();
        let granted = self.lock().codes.remove(&field("code")).ok_or("no such code")?;
        if granted.redirect_uri != field("redirect_uri") {
            return Err("another address".to_owned());
        }
        if encode(&sha256(field("code_verifier").as_bytes())) != granted.challenge {
            return Err("PKCE".to_owned());
        }
        Ok(json!({"access_token": "unused", "token_type": "Bearer", "id_token": self.sign(&granted.claims)}))
    }

    fn sign(&self, claims: &Value) -> String {
        let signed = |algorithm, kid: &str, key: &EncodingKey| {
            let header = Header { kid: Some(kid.to_owned()), ..Header::new(algorithm) };
            jsonwebtoken::encode(&header, claims, key).expect("a token can be signed")
        };
        let elliptic =
            |key: &p256::SecretKey| EncodingKey::from_ec_der(key.to_pkcs8_der().expect("a key has a form").as_bytes());
        let signing = self.lock().manners.signing;
        let (kid, key) = self.elliptic.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match signing {
            Signing::Es256 => signed(Algorithm::ES256, &kid, &elliptic(&key)),
            Signing::StrangersKey => signed(Algorithm::ES256, "e", &elliptic(&elliptic_key())),
            Signing::SharedSecret => signed(Algorithm::HS256, "e", &EncodingKey::from_secret(CLIENT_SECRET.as_bytes())),
            Signing::None => {
                format!("{}.{}.", encode(br#"{"alg":"none","typ":"JWT"}"#), encode(claims.to_string().as_bytes()))
            }
            Signing::Rs256 => {
                let mut rsa = self.rsa.lock().unwrap_or_else(PoisonError::into_inner);
                let key = rsa.get_or_insert_with(|| {
                    rsa::RsaPrivateKey::new(&mut p256::elliptic_curve::rand_core::OsRng, 2048)
                        .expect("a key can be made")
                });
                let der = key.to_pkcs1_der().expect("a key has a form");
                signed(Algorithm::RS256, "r", &EncodingKey::from_rsa_der(der.as_bytes()))
            }
        }
    }
}

fn elliptic_key() -> p256::SecretKey {
    let mut seed = [0u8; 32];
    OsRng.fill(&mut seed);
    seed[0] &= 0x7f;
    p256::SecretKey::from_slice(&seed).expect("a scalar")
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The pairs of an address's query, decoded.
fn query_of(url: &str) -> HashMap<String, String> {
    let query = url.split_once('?').map_or("", |(_, query)| query);
    query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .map(|(name, value)| (unescaped(name), unescaped(value)))
        .collect()
}

fn unescaped(text: &str) -> String {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| std::str::from_utf8(pair).ok());
        match (bytes[at], pair.and_then(|pair| u8::from_str_radix(pair, 16).ok())) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(byte),
        }
        at += 1;
    }
    String::from_utf8(out).expect("UTF-8")
}

/// `application/x-www-form-urlencoded` of one value.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'*' | b'-' | b'.' | b'_' => char::from(byte).to_string(),
            b' ' => "+".to_owned(),
            other => format!("%{other:02X}"),
        })
        .collect()
}
