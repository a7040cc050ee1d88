//! Decentralised identifiers of the kind `did:web`: a project's public key, at an address that follows from its name.
//!
//! Source: <https://w3c-ccg.github.io/did-method-web/>, <https://w3c.github.io/vc-di-eddsa/#ed25519verificationkey2020>; the documents'
//! shapes are spec/loomal.md 6.

use loopd_store::View;
use loopd_types::{Problem, Result};
use loopd_web::operation::RateClass;
use loopd_web::{Call, Operation, Reply, Schema as _, schema};
use serde_json::{Value as Json, json};

use crate::project::store;

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
    vec![
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
    let key = format!("{did}#key-1");
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
