//! Amounts with their currency in a text: `25,000 RWF`, `RWF 25.000`, `$12.50`, `12 500 Frw`.

use loopd_types::Currency;

/// One amount.
#[derive(Debug, PartialEq, Eq)]
pub struct Amount {
    /// As it stands.
    pub text: String,
    /// With a point before the fraction, nothing between the thousands.
    pub amount: String,
    pub currency: String,
}

/// Signs and habits that stand for a currency.
const SIGNS: [(&str, &str); 8] = [
    ("frw", "RWF"),
    ("ksh", "KES"),
    ("ush", "UGX"),
    ("tsh", "TZS"),
    ("fbu", "BIF"),
    ("$", "USD"),
    ("€", "EUR"),
    ("£", "GBP"),
];

/// A piece of a text: a number, a word or sign that could be a currency, or anything else that is no blank.
#[derive(Clone, Copy)]
struct Piece {
    start: usize,
    end: usize,
    is_number: bool,
}

/// Amounts in the order of the text. A number without a currency beside it is none.
pub fn find(text: &str) -> Vec<Amount> {
    let pieces = pieces(text);
    let of = |at: usize| pieces.get(at).map(|piece| &text[piece.start..piece.end]);
    let (mut found, mut used) = (Vec::new(), usize::MAX);
    for at in 0..pieces.len() {
        let Some(amount) = pieces[at].is_number.then(|| number(&text[pieces[at].start..pieces[at].end])).flatten()
        else {
            continue;
        };
        let is_glued = |other: usize| {
            let (a, b) = (pieces[at.min(other)].end, pieces[at.max(other)].start);
            text[a..b].chars().all(|letter| letter == ' ' || letter == '\u{a0}') && b - a <= 2
        };
        let before = at
            .checked_sub(1)
            .filter(|before| *before != used && is_glued(*before))
            .and_then(|before| Some((before, currency(of(before)?)?)));
        let after = Some(at + 1)
            .filter(|after| *after < pieces.len() && is_glued(*after))
            .and_then(|after| Some((after, currency(of(after)?)?)));
        // `25 RWF 30` leaves the currency to the number before it; one before a number is nearer to it in `RWF 25, RWF 30`
        let Some((beside, currency)) = before.or(after) else { continue };
        used = beside;
        let (first, last) = (pieces[at.min(beside)], pieces[at.max(beside)]);
        found.push(Amount { text: text[first.start..last.end].to_owned(), amount, currency });
    }
    found
}

fn pieces(text: &str) -> Vec<Piece> {
    let letters: Vec<(usize, char)> = text.char_indices().collect();
    let end_of = |at: usize| letters.get(at).map_or(text.len(), |(place, _)| *place);
    let (mut pieces, mut at) = (Vec::new(), 0);
    while at < letters.len() {
        let (start, letter) = letters[at];
        let first = at;
        if letter.is_ascii_digit() {
            while at < letters.len() && (letters[at].1.is_ascii_digit() || goes_on(&letters, at)) {
                at += 1;
            }
            let is_free = first == 0 || !(letters[first - 1].1.is_alphabetic() && letters[first - 1].1.is_lowercase());
            pieces.push(Piece { start, end: end_of(at), is_number: is_free });
        } else if letter.is_alphabetic() {
            while at < letters.len() && letters[at].1.is_alphabetic() {
                at += 1;
            }
            pieces.push(Piece { start, end: end_of(at), is_number: false });
        } else {
            at += 1;
            if !letter.is_whitespace() {
                pieces.push(Piece { start, end: end_of(at), is_number: false });
            }
        }
    }
    pieces
}

/// Whether a mark between digits belongs to the number: a point or comma before a digit, a blank before exactly three.
fn goes_on(letters: &[(usize, char)], at: usize) -> bool {
    let digits = letters[at + 1..].iter().take_while(|(_, letter)| letter.is_ascii_digit()).count();
    match letters[at].1 {
        '.' | ',' => digits > 0,
        ' ' | '\u{a0}' | '\u{202f}' | '\'' => digits == 3,
        _ => false,
    }
}

fn currency(word: &str) -> Option<String> {
    let lower = word.to_lowercase();
    match SIGNS.iter().find(|(sign, _)| *sign == lower) {
        Some((_, code)) => Some((*code).to_owned()),
        None => Currency::parse(word).map(|currency| currency.code().to_owned()),
    }
}

/// `1,234.50`, `1.234,50`, `25.000`, `12 500` → a plain decimal. `None` for what is written like no amount, such as `192.168.0.1`.
fn number(text: &str) -> Option<String> {
    let points: Vec<(usize, char)> = text.char_indices().filter(|(_, letter)| matches!(letter, '.' | ',')).collect();
    let digits = |part: &str| part.chars().filter(char::is_ascii_digit).collect::<String>();
    let behind = |at: usize| text.len() - at - 1;
    let fraction = match points.as_slice() {
        [] => None,
        // alone before three digits it parts the thousands
        [(at, _)] => (behind(*at) != 3).then_some(*at),
        [rest @ .., (at, last)] => {
            let is_mixed = rest.iter().all(|(_, mark)| mark != last);
            let is_grouped = rest.iter().all(|(_, mark)| mark == last) && behind(*at) == 3;
            match (is_mixed, is_grouped) {
                (true, _) => Some(*at),
                (false, true) => None,
                (false, false) => return None,
            }
        }
    };
    Some(match fraction {
        Some(at) => format!("{}.{}", digits(&text[..at]), digits(&text[at..])),
        None => digits(text),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amounts(text: &str) -> Vec<String> {
        find(text).into_iter().map(|found| format!("{} {}", found.amount, found.currency)).collect()
    }

    #[test]
    fn amounts_need_a_currency() {
        assert_eq!(
            amounts("Pay 25,000 RWF and $12.50, or RWF 1.234.500; 12 500 Frw"),
            ["25000 RWF", "12.50 USD", "1234500 RWF", "12500 RWF"]
        );
        assert_eq!(amounts("EUR 1.234,50 then 30€"), ["1234.50 EUR", "30 EUR"]);
        assert_eq!(amounts("25 people, 3 ABC, room 12, 192.168.0.1 USD"), [""; 0]);
        assert_eq!(amounts("10 USD 20"), ["10 USD"], "a currency counts once");
        assert_eq!(
            find("It costs RWF25,000.")[0],
            Amount { text: "RWF25,000".into(), amount: "25000".into(), currency: "RWF".into() }
        );
    }
}
