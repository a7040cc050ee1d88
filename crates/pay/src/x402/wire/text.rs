//! Numbers, addresses and bytes as JSON writes them: each has one meaning, or none.

use alloy_primitives::{Address, B256, U256, hex};

use super::{Reason, Refusal};

/// Digits of 2^256 - 1.
const DIGITS_MAX: usize = 78;

/// A number below 2^256 in decimal digits and nothing else.
pub(super) fn amount(name: &str, text: &str) -> Result<U256, Refusal> {
    let is_plain = (1..=DIGITS_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    let wrong = || Refusal::new(Reason::Payload, format!("`{name}` is no number: decimal digits below 2^256"));
    if !is_plain {
        return Err(wrong());
    }
    // Nearly every amount and time fits into a machine's word.
    match text.parse::<u64>() {
        Ok(small) => Ok(U256::from(small)),
        Err(_) => U256::from_str_radix(text, 10).map_err(|_| wrong()),
    }
}

/// `0x` and 40 hexadecimal digits. Letters of both cases are a checksum (EIP-55), which must be right.
pub(crate) fn address(name: &str, text: &str) -> Result<Address, Refusal> {
    let wrong = |words: &str| Refusal::new(Reason::Payload, format!("`{name}` is no address: {words}"));
    let digits = text.strip_prefix("0x").ok_or_else(|| wrong("0x and 40 hexadecimal digits"))?;
    let mut bytes = [0; 20];
    hex::decode_to_slice(digits, &mut bytes).map_err(|_| wrong("0x and 40 hexadecimal digits"))?;
    let address = Address::from(bytes);
    let of_both_cases =
        digits.bytes().any(|byte| byte.is_ascii_lowercase()) && digits.bytes().any(|byte| byte.is_ascii_uppercase());
    if of_both_cases && address.to_checksum_buffer(None).as_str() != text {
        return Err(wrong("its checksum is wrong (EIP-55)"));
    }
    Ok(address)
}

/// `0x` and 64 hexadecimal digits.
pub(super) fn word(name: &str, text: &str) -> Result<B256, Refusal> {
    let mut word = B256::ZERO;
    let read = text.strip_prefix("0x").map(|digits| hex::decode_to_slice(digits, word.as_mut_slice()));
    match read {
        Some(Ok(())) => Ok(word),
        _ => Err(Refusal::new(Reason::Payload, format!("`{name}` is no word: 0x and 64 hexadecimal digits"))),
    }
}

/// `0x` and two hexadecimal digits a byte.
pub(super) fn bytes(name: &str, text: &str, max: usize) -> Result<Vec<u8>, Refusal> {
    let wrong = |words: String| Refusal::new(Reason::Payload, format!("`{name}` {words}"));
    let digits = text.strip_prefix("0x").ok_or_else(|| wrong("does not begin with 0x".to_owned()))?;
    if digits.len() > max * 2 {
        return Err(wrong(format!("has more than {max} bytes")));
    }
    // `hex` would take a second prefix for one.
    match digits.starts_with("0x") {
        true => Err(wrong("is not hexadecimal".to_owned())),
        false => hex::decode(digits).map_err(|error| wrong(format!("is not hexadecimal: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_digits_and_fits() {
        let largest = U256::MAX.to_string();
        for text in ["0", "10000", "007", "18446744073709551616", largest.as_str()] {
            let digits = text.trim_start_matches('0');
            assert_eq!(amount("a", text).expect(text).to_string(), if digits.is_empty() { "0" } else { digits });
        }
        let one_more = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
        let long = "0".repeat(79);
        for text in ["", " 1", "1 ", "+1", "-1", "1.0", "1e3", "0x10", "1_000", "١", one_more, long.as_str()] {
            assert!(amount("a", text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_address_with_a_checksum_has_a_right_one() {
        let right = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913";
        let lower = right.to_lowercase();
        let upper = format!("0x{}", right[2..].to_uppercase());
        for text in [right, &lower, &upper] {
            assert_eq!(address("a", text).expect(text).to_string(), right);
        }
        let switched = right.replace("fCD6", "FcD6");
        for text in [
            &switched,
            &right[2..],
            &right[..41],
            &format!("{right}0"),
            "0x0x3589fCD6eDb6E08f4c7C32D4f71b54bdA02913",
            "",
        ] {
            assert!(address("a", text).is_err(), "{text}");
        }
    }

    #[test]
    fn bytes_come_in_pairs_and_have_an_end() {
        assert_eq!(bytes("a", "0x00fF", 2).expect("two bytes"), [0, 255]);
        assert_eq!(bytes("a", "0x", 2).expect("none"), [0; 0]);
        for text in ["", "00ff", "0x0", "0xzz", "0x0x00", "0x000000"] {
            assert!(bytes("a", text, 2).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_number_is_read_as_it_is_written(words in any::<[u64; 4]>()) {
            let number = U256::from_limbs(words);
            prop_assert_eq!(amount("a", &number.to_string()).expect("a number"), number);
        }

        #[test]
        fn every_address_is_read_as_it_is_written(bytes in any::<[u8; 20]>()) {
            let known = Address::from(bytes);
            prop_assert_eq!(address("a", &known.to_string()).expect("an address"), known);
        }
    }
}
