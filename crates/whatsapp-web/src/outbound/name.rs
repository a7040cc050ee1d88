//! What WhatsApp calls a message of ours. It follows from our own id, and is stored before the message is handed over: so the ticks of a
//! message whose hand-over was cut short find it, and the same message handed over again, when a person says so, is the same one there.

use loopd_types::{Uuid, sha256_hex};

/// The form that WhatsApp Web gives its own: `3EB0` and eighteen digits in hex.
pub fn of(message: Uuid) -> String {
    let digest = sha256_hex(format!("loopd whatsapp web:{message}").as_bytes());
    format!("3EB0{}", digest[..18].to_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_has_one_name_and_no_other_has_it() {
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        assert_eq!(of(one), of(one));
        assert_ne!(of(one), of(other));
        assert_eq!(of(one).len(), 22);
        assert!(of(one).starts_with("3EB0") && of(one).bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
}
