//! A software authenticator: makes real WebAuthn attestations (`none`) and assertions with ES256 keys of its own.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use loopd_types::{OsRng, Rng as _, sha256};
use p256::ecdsa::signature::Signer as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};

/// A device with one passkey. Fields are open so that tests can make it misbehave.
#[derive(Clone)]
pub struct Passkey {
    key: SigningKey,
    pub credential_id: Vec<u8>,
    /// Whom it was made for; sent with an assertion unless empty.
    pub user_handle: Vec<u8>,
    /// Where the browser says it is.
    pub origin: String,
    /// What signs in where: `localhost`.
    pub rp_id: String,
    /// Whether the device verifies its owner.
    pub verifies: bool,
    /// Rises with each assertion; a copy that stays behind is found out by it. Zero for ever on devices that do not count.
    pub counter: u32,
}

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const HAS_CREDENTIAL: u8 = 0x40;

impl Passkey {
    /// Answers `navigator.credentials.create()`: a new device and its attestation.
    pub fn create(options: &Value, origin: &str) -> (Self, Value) {
        let (mut seed, mut credential_id) = ([0u8; 32], vec![0u8; 32]);
        OsRng.fill(&mut seed);
        OsRng.fill(&mut credential_id);
        // Below the order of the curve but for one in 2^32.
        seed[0] &= 0x7f;
        let device = Self {
            key: SigningKey::from_slice(&seed).expect("a scalar"),
            credential_id,
            user_handle: bytes(&options["user"]["id"]),
            origin: origin.to_owned(),
            rp_id: options["rp"]["id"].as_str().expect("the options name who asks").to_owned(),
            verifies: true,
            counter: 0,
        };
        let attestation = device.attest(options);
        (device, attestation)
    }

    /// The attestation of this device's key.
    pub fn attest(&self, options: &Value) -> Value {
        let client_data = self.client_data("webauthn.create", options);
        let point = self.key.verifying_key().to_encoded_point(false);
        let mut data = self.authenticator_data(HAS_CREDENTIAL);
        data.extend([0u8; 16]);
        data.extend(u16::try_from(self.credential_id.len()).expect("a short id").to_be_bytes());
        data.extend(&self.credential_id);
        data.extend(cose_key(point.x().expect("a point"), point.y().expect("a point")));
        // {"fmt": "none", "attStmt": {}, "authData": data}
        let mut object = vec![0xa3];
        object.extend(b"\x63fmt\x64none\x67attStmt\xa0\x68authData");
        object.push(0x59);
        object.extend(u16::try_from(data.len()).expect("a short text").to_be_bytes());
        object.extend(data);
        json!({
            "id": encode(&self.credential_id), "rawId": encode(&self.credential_id), "type": "public-key",
            "response": {"attestationObject": encode(&object), "clientDataJSON": encode(client_data.as_bytes())},
            "extensions": {},
        })
    }

    /// Answers `navigator.credentials.get()`.
    pub fn assert(&mut self, options: &Value) -> Value {
        self.counter += 1;
        let client_data = self.client_data("webauthn.get", options);
        let data = self.authenticator_data(0);
        let signed = [data.as_slice(), &sha256(client_data.as_bytes())].concat();
        let signature: Signature = self.key.sign(&signed);
        let handle = if self.user_handle.is_empty() { Value::Null } else { encode(&self.user_handle).into() };
        json!({
            "id": encode(&self.credential_id), "rawId": encode(&self.credential_id), "type": "public-key",
            "response": {
                "authenticatorData": encode(&data), "clientDataJSON": encode(client_data.as_bytes()),
                "signature": encode(signature.to_der().as_bytes()), "userHandle": handle,
            },
            "extensions": {},
        })
    }

    fn client_data(&self, kind: &str, options: &Value) -> String {
        json!({"type": kind, "challenge": options["challenge"], "origin": self.origin, "crossOrigin": false})
            .to_string()
    }

    fn authenticator_data(&self, flags: u8) -> Vec<u8> {
        let verified = if self.verifies { USER_VERIFIED } else { 0 };
        let mut data = sha256(self.rp_id.as_bytes()).to_vec();
        data.push(flags | USER_PRESENT | verified);
        data.extend(self.counter.to_be_bytes());
        data
    }
}

/// `{1: 2, 3: -7, -1: 1, -2: x, -3: y}`: an ES256 key (RFC 9053).
fn cose_key(x: &[u8], y: &[u8]) -> Vec<u8> {
    let mut key = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20];
    key.extend(x);
    key.extend([0x22, 0x58, 0x20]);
    key.extend(y);
    key
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn bytes(text: &Value) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text.as_str().expect("base64url")).expect("base64url")
}
