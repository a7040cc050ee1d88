//! Decentralised identifiers of the kind `did:web`: a project's public key, at an address that follows from its name.
//!
//! Source: <https://w3c-ccg.github.io/did-method-web/>, <https://w3c.github.io/vc-di-eddsa/#ed25519verificationkey2020>; the documents'
//! shapes are spec/loomal.md 6.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer as _, VerifyingKey};
use loopd_kernel::egress::Outbound;
use loopd_store::View;
use loopd_types::{Problem, Result};
use loopd_web::operation::RateClass;
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use crate::project::rules::{SIGN, VERIFY};
use crate::project::{DOOR, PROJECT, store};

/// Bytes of a document that are read.
const DOCUMENT_MOST: usize = 64 * 1024;
/// Multicodec of an Ed25519 public key, as a varint.
const ED25519: [u8; 2] = [0xed, 0x01];

/// `did:web:pay.example.com:identities:id-…`; a port's colon is written `%3A`.
pub fn of_project(base_url: &str, public_id: &str) -> String {
    format!("{}:identities:{public_id}", of_host(base_url))
}

/// `did:web:pay.example.com`
pub fn of_host(base_url: &str) -> String {
    let host = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    format!("did:web:{}", host.replace(':', "%3A"))
}

/// The only key of a DID document.
fn key_id(did: &str) -> String {
    format!("{did}#key-1")
}

/// A public key as `z6Mk…`: base58btc over multicodec and key.
pub fn multibase(key: &[u8]) -> String {
    format!("z{}", bs58::encode([&ED25519[..], key].concat()).into_string())
}

/// The key behind [`multibase`].
pub fn parse_multibase(text: &str) -> Option<[u8; 32]> {
    let bytes = bs58::decode(text.strip_prefix('z').filter(|rest| rest.len() < 128)?).into_vec().ok()?;
    bytes.strip_prefix(&ED25519)?.try_into().ok()
}

pub fn operations() -> Vec<Operation> {
    let document = || {
        schema::object([
            ("@context", schema::array(schema::string())),
            ("id", schema::string()),
            ("verificationMethod", schema::array(schema::free_object())),
            ("authentication", schema::array(schema::string())),
            ("assertionMethod", schema::array(schema::string())),
            ("service", schema::array(schema::free_object())),
        ])
        .required(["@context", "id"])
    };
    let signed = schema::object([
        ("signature", schema::string()),
        ("did", schema::string()),
        ("keyId", schema::string().describe("The key within the DID document.")),
        ("publicKey", schema::string()),
        ("alg", schema::constant("Ed25519")),
    ])
    .required(["signature", "did", "keyId"]);
    let data = || ("data", schema::string().describe("Base64 of what is signed."));
    vec![
        Operation::post("loomal_sign", "/v0/whoami/sign", sign)
            .tag("loomal")
            .summary("Sign something in the project's name")
            .keyed(&DOOR, &[PROJECT], Some(SIGN))
            .tool("identity.sign")
            .without_effect()
            .body(schema::object([data()]).required(["data"]))
            .responds(200, "The signature.", signed),
        Operation::post("loomal_verify", "/v0/whoami/verify", verify)
            .tag("loomal")
            .summary("Whether the holder of a DID signed something")
            .keyed(&DOOR, &[PROJECT], Some(VERIFY))
            .tool("identity.verify")
            .without_effect()
            .body(schema::object([data(), ("signature", schema::string()), ("did", schema::string())]).required([
                "data",
                "signature",
                "did",
            ]))
            .responds(
                200,
                "Whether they did.",
                schema::object([("valid", schema::boolean()), ("did", schema::string())]),
            ),
        Operation::get("loomal_did", "/identities/{id}/did.json", of_one)
            .tag("loomal")
            .summary("A project's DID document: the key that its receipts are signed with")
            .param(loopd_web::Param::path("id", schema::string().example("id-b103b0e752d24018")))
            .rate(RateClass::PublicVerify)
            .any_origin()
            .responds(200, "The document.", document()),
        Operation::get("loomal_did_of_host", "/.well-known/did.json", of_installation)
            .tag("loomal")
            .summary("This installation's DID document")
            .rate(RateClass::PublicVerify)
            .any_origin()
            .responds(200, "The document.", document()),
    ]
}

/// `POST /v0/whoami/sign`: a proof that this project said something.
async fn sign(call: Call) -> Result<Reply> {
    let data = read_base64(&call, "data")?;
    let own = crate::project::own(&call).await?;
    let key = crate::keys::open_signing(&call.kernel, own.id, &own.signing_key)?;
    let did = of_project(&call.base_url(), &own.public_id);
    Reply::json(
        200,
        &json!({
            "signature": STANDARD.encode(key.sign(&data).to_bytes()),
            "did": did,
            "keyId": key_id(&did),
            "publicKey": multibase(&own.public_key),
            "alg": "Ed25519",
        }),
    )
}

/// `POST /v0/whoami/verify`: whether the holder of a DID said something.
async fn verify(call: Call) -> Result<Reply> {
    let (data, signature) = (read_base64(&call, "data")?, read_base64(&call, "signature")?);
    let did = text(&call, "did")?.to_owned();
    let key = resolve(&call, &did).await?;
    let signature = Signature::from_slice(&signature).ok();
    let key = VerifyingKey::from_bytes(&key).ok();
    // Strict: no key and no signature of small order, which would fit many messages.
    let valid = key.zip(signature).is_some_and(|(key, signature)| key.verify_strict(&data, &signature).is_ok());
    Reply::json(200, &json!({"valid": valid, "did": did}))
}

/// The key of a `did:web` of this house, or of another, which is asked.
async fn resolve(call: &Call, did: &str) -> Result<[u8; 32]> {
    let bad = |words: &str| Problem::invalid("bad_request", words.to_owned());
    let path = did.strip_prefix("did:web:").ok_or_else(|| bad("did must be a did:web"))?;
    let own = of_host(&call.base_url());
    if let Some(id) = did.strip_prefix(&format!("{own}:identities:")) {
        let id = id.to_owned();
        let found = call.kernel.db.read(View::System, move |reader| store::find_anywhere(reader, &id)).await?;
        return Ok(found.public_key);
    }
    // did:web, section 3.2: colons are slashes, the host's own port is written %3A.
    let mut parts = path.split(':');
    let host = parts.next().unwrap_or_default().replace("%3A", ":").replace("%3a", ":");
    let rest: Vec<&str> = parts.collect();
    let place = if rest.is_empty() { ".well-known".to_owned() } else { rest.join("/") };
    let url = format!("https://{host}/{place}/did.json");
    let unresolved = || bad("did cannot be resolved");
    let request = Outbound { method: "GET", url, headers: Vec::new(), body: Vec::new() };
    let answer = call.kernel.egress.exchange(request, DOCUMENT_MOST).await.map_err(|_| unresolved())?;
    let document: Json = serde_json::from_slice(&answer.body).map_err(|_| unresolved())?;
    if answer.status != 200 || document["id"] != did {
        return Err(unresolved());
    }
    let keys = document["verificationMethod"].as_array();
    let key = keys.and_then(|all| all.iter().find_map(|it| parse_multibase(it["publicKeyMultibase"].as_str()?)));
    key.ok_or_else(unresolved)
}

fn text<'c>(call: &'c Call, field: &str) -> Result<&'c str> {
    let found = call.json_object()?.get(field).and_then(Json::as_str).filter(|text| !text.is_empty());
    found.ok_or_else(|| Problem::invalid("bad_request", format!("{field} is required")))
}

fn read_base64(call: &Call, field: &str) -> Result<Vec<u8>> {
    let bad = |_| Problem::invalid("bad_request", format!("{field} must be base64"));
    STANDARD.decode(text(call, field)?).map_err(bad)
}

async fn of_one(call: Call) -> Result<Reply> {
    let id = call.param("id").to_owned();
    let found = call.kernel.db.read(View::System, move |reader| store::find_anywhere(reader, &id)).await;
    let project = found.map_err(|problem| match problem.status() {
        404 => Problem::not_found(),
        _ => problem,
    })?;
    Reply::json(200, &document(&of_project(&call.base_url(), &project.public_id), &project.public_key))
}

fn document(did: &str, public_key: &[u8]) -> Json {
    let key = key_id(did);
    json!({
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/suites/ed25519-2020/v1"],
        "id": did,
        "verificationMethod": [{
            "id": key, "type": "Ed25519VerificationKey2020", "controller": did, "publicKeyMultibase": multibase(public_key),
        }],
        "authentication": [key],
        "assertionMethod": [key],
        "service": [],
    })
}

async fn of_installation(call: Call) -> Result<Reply> {
    let base = call.base_url();
    let did = of_host(&base);
    Reply::json(
        200,
        &json!({
            "@context": ["https://www.w3.org/ns/did/v1"],
            "id": did,
            "service": [{"id": "#mcp", "type": "MCPServer", "serviceEndpoint": format!("{base}/mcp")}],
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        let key = [9u8; 32];
        assert_eq!(parse_multibase(&multibase(&key)), Some(key));
        assert_eq!(parse_multibase("z11"), None);
    }

    #[test]
    fn names_follow_the_address() {
        assert_eq!(of_project("http://127.0.0.1:8000", "id-1"), "did:web:127.0.0.1%3A8000:identities:id-1");
        assert_eq!(of_host("https://pay.example.com"), "did:web:pay.example.com");
    }
}
