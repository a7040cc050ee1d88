//! What sellers are told of: `payment.received`, in the form and under the headers that Loomal's libraries verify (spec/loomal.md 5.1).

use loopd_kernel::event::log::Event;
use loopd_kernel::webhook::{Scheme, Signing, sign};
use loopd_types::Uuid;

use crate::payment::wire::{ENDPOINT, PREFIX};
use crate::project::PRODUCT;
use crate::wire::public_id;

/// The scheme's name.
pub const SCHEME: &str = "loomal";
/// The event in our log.
pub const RECEIVED: &str = "loomal.payments.received";
/// The event on the wire.
pub const EVENT: &str = "payment.received";

/// `X-Loomal-Signature: sha256=<hex>`: HMAC-SHA256 over the body, its key the UTF-8 bytes of the whole secret.
pub struct Loomal;

impl Scheme for Loomal {
    fn body(&self, event: &Event) -> Vec<u8> {
        event.payload.clone().into_bytes()
    }

    fn headers(&self, signing: &Signing<'_>) -> Vec<(&'static str, String)> {
        // One signature: its receivers read one. While a secret is rotated it is the new one's.
        let signature = signing.secrets.first().map(|secret| sign(secret, &[signing.body])).unwrap_or_default();
        vec![
            ("X-Loomal-Signature", format!("sha256={signature}")),
            ("X-Loomal-Event", EVENT.to_owned()),
            // The same at every attempt and every replay.
            ("X-Loomal-Idempotency-Key", signing.event.id.to_string()),
        ]
    }
}

/// What the subjects of an endpoint's payments begin with: `loomal/payments/se_…/`.
pub fn subject_of_endpoint(endpoint: Option<Uuid>) -> String {
    let endpoint = endpoint.map_or_else(|| "-".to_owned(), |id| public_id(ENDPOINT, id));
    format!("{PRODUCT}/payments/{endpoint}/")
}

/// The subject of a payment's events.
pub fn subject(endpoint: Option<Uuid>, payment: Uuid) -> String {
    format!("{}{}", subject_of_endpoint(endpoint), public_id(PREFIX, payment))
}
