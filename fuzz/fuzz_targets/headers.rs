//! The headers in which buyers show payments: x402's in both versions, and MPP's credential.
#![no_main]

use loopd_fuzz::bodies;
use loopd_pay::evm::Networks;
use loopd_pay::mpp::Credential;
use loopd_pay::x402::header;

/// Characters of what is said about a header: nobody's refusal repeats the whole of what was sent.
const WORDS_MOST: usize = 1_000;

fn read(text: &str, networks: &Networks) {
    if let Err(refusal) = header::payment(text, networks) {
        assert!(refusal.detail.chars().count() <= WORDS_MOST, "{refusal:?}");
    }
    if let Err(trouble) = Credential::read(&format!("Payment {text}")) {
        assert!(trouble.detail.chars().count() <= WORDS_MOST, "{trouble:?}");
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let networks = Networks::known();
    read(&String::from_utf8_lossy(bytes), &networks);
    for inner in [bytes.to_vec(), bodies::payment(bytes)] {
        if let Ok(json) = serde_json::from_slice(&inner) {
            read(&header::encode(&json), &networks);
        }
    }
});
