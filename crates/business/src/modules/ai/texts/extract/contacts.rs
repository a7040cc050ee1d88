//! Telephone numbers and e-mail addresses in a text.

/// Digits of a telephone number, by ITU-T E.164 and with a trunk 0.
const LONGEST_PHONE: usize = 15;

/// Addresses as they stand, in lower case.
pub fn emails(text: &str) -> Vec<String> {
    let is_border = |letter: char| letter.is_whitespace() || "<>()[]{},;:\"'|\\".contains(letter);
    text.split(is_border)
        .map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric()))
        .filter(|word| is_email(word))
        .map(str::to_lowercase)
        .collect()
}

fn is_email(word: &str) -> bool {
    let Some((local, domain)) = word.split_once('@') else { return false };
    let is_local = !local.is_empty() && local.chars().all(|c| c.is_alphanumeric() || "._%+-".contains(c));
    let labels: Vec<&str> = domain.split('.').collect();
    let is_label = |label: &&str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || c == '-');
    is_local && labels.len() > 1 && labels.iter().all(is_label) && labels.last().is_some_and(|last| last.len() > 1)
}

/// Numbers that begin with `+` or `0` and are long enough: as they stand, and as digits with a leading `+` where there is one.
pub fn phones(text: &str) -> Vec<(String, String)> {
    let letters: Vec<char> = text.chars().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < letters.len() {
        let begins = letters[at] == '+' || letters[at] == '0';
        let is_free = at == 0 || !(letters[at - 1].is_alphanumeric() || "+.,-/".contains(letters[at - 1]));
        match (begins && is_free).then(|| phone(&letters[at..])).flatten() {
            Some((length, number)) => {
                found.push((letters[at..at + length].iter().collect(), number));
                at += length;
            }
            None => at += 1,
        }
    }
    found
}

/// A number at the beginning of these letters: how many of them it takes, and its digits.
fn phone(letters: &[char]) -> Option<(usize, String)> {
    let is_abroad = letters[0] == '+';
    // with as many digits a number is whole, and a blank behind them ends it
    let whole = if is_abroad { 11 } else { 9 };
    let mut number = String::new();
    let mut length = 0;
    for (at, letter) in letters.iter().enumerate() {
        let digits = number.trim_start_matches('+').len();
        match letter {
            '+' if at == 0 => number.push('+'),
            digit if digit.is_ascii_digit() && digits < LONGEST_PHONE => {
                number.push(*digit);
                length = at + 1;
            }
            digit if digit.is_ascii_digit() => return None,
            ' ' | '\u{a0}' if digits >= whole => break,
            // one mark between two digits, or a closing bracket and a blank
            ' ' | '\u{a0}' | '-' | '.' | '(' | ')' | '/' if at + 1 - length <= 2 => {}
            letter if letter.is_alphanumeric() => return None,
            _ => break,
        }
    }
    let digits = number.trim_start_matches('+').len();
    let is_number = if is_abroad { digits >= 8 } else { digits >= 9 };
    is_number.then_some((length, number))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(text: &str) -> Vec<String> {
        phones(text).into_iter().map(|(_, number)| number).collect()
    }

    #[test]
    fn telephone_numbers_are_told_from_dates_and_amounts() {
        assert_eq!(numbers("Call +250 788 123 456 or 0722-000-111."), ["+250788123456", "0722000111"]);
        assert_eq!(numbers("(+33) 1"), [""; 0]);
        assert_eq!(
            numbers("01 23 45 67 89 until 2026-06-22 10:00, 1,000,000 RWF, 0.5 kg, ref A0788123456"),
            ["0123456789"]
        );
        assert_eq!(numbers("0788123456 0722000111"), ["0788123456", "0722000111"]);
        assert_eq!(numbers("+1234567890123456789"), [""; 0]);
        assert_eq!(phones("Tel: +1 (415) 555-2671!")[0].0, "+1 (415) 555-2671");
    }

    #[test]
    fn addresses_are_found_between_marks() {
        assert_eq!(emails("Write to <Aline.U@Example.rw>, not to a@b or @c.rw; x@y.z"), ["aline.u@example.rw"]);
    }
}
