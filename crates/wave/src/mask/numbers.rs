//! Telephone numbers within texts: where they stand, however they are written, and texts without them.

use std::borrow::Cow;

/// So many digits in a row tell whose they are; an order's number is shorter.
const TELLS: usize = 7;
/// Signs between two digits of one number: `) - `.
const APART: usize = 3;
/// What is shown in their place; as long for every number.
pub const VEIL: &str = "•••••••";

/// The noughts of the scripts that people write numbers in; nine digits follow each.
const NOUGHTS: [char; 25] = [
    '0',
    '\u{660}',
    '\u{6f0}',
    '\u{7c0}',
    '\u{966}',
    '\u{9e6}',
    '\u{a66}',
    '\u{ae6}',
    '\u{b66}',
    '\u{be6}',
    '\u{c66}',
    '\u{ce6}',
    '\u{d66}',
    '\u{e50}',
    '\u{ed0}',
    '\u{f20}',
    '\u{1040}',
    '\u{17e0}',
    '\u{1810}',
    '\u{ff10}',
    // Those that decorate a name: bold, outlined, without serifs, of one width.
    '\u{1d7ce}',
    '\u{1d7d8}',
    '\u{1d7e2}',
    '\u{1d7ec}',
    '\u{1d7f6}',
];

/// The value of a digit of any script.
fn digit(letter: char) -> Option<u8> {
    if letter.is_ascii() {
        return letter.is_ascii_digit().then(|| letter as u8 - b'0');
    }
    if !letter.is_numeric() {
        return None;
    }
    let value = |nought: &char| u32::from(letter).checked_sub(u32::from(*nought)).filter(|value| *value < 10);
    NOUGHTS.iter().find_map(value).and_then(|value| u8::try_from(value).ok())
}

/// A text whose digits are all of one script, so that nothing is found by writing them in another.
pub fn folded(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(|letter| digit(letter).map_or(letter, |value| char::from(b'0' + value))).collect())
}

/// A digit of a text and the bytes that it takes there.
type Digit = (u8, usize, usize);

/// The runs of digits that are long enough to tell of somebody, with what stands between the digits left out.
fn runs(text: &str) -> Vec<Vec<Digit>> {
    let (mut found, mut run, mut apart) = (Vec::new(), Vec::<Digit>::new(), 0);
    let mut end = |run: &mut Vec<Digit>| {
        let run = std::mem::take(run);
        found.extend((run.len() >= TELLS).then_some(run));
    };
    for (at, letter) in text.char_indices() {
        if let Some(value) = digit(letter) {
            run.push((value, at, at + letter.len_utf8()));
            apart = 0;
        } else {
            apart += 1;
            if letter.is_alphanumeric() || apart > APART {
                end(&mut run);
            }
        }
    }
    end(&mut run);
    found
}

/// `text` with the veil in place of these bytes of it.
fn without<'t>(text: &'t str, spans: &[(usize, usize)]) -> Cow<'t, str> {
    if spans.is_empty() {
        return Cow::Borrowed(text);
    }
    let (mut shown, mut from) = (String::with_capacity(text.len()), 0);
    for (start, end) in spans {
        shown.push_str(&text[from..*start]);
        shown.push_str(VEIL);
        from = *end;
    }
    shown.push_str(&text[from..]);
    Cow::Owned(shown)
}

/// Whether a text may hold a telephone number at all; most hold none, and need nothing else.
pub fn may_hold(text: &str) -> bool {
    !runs(text).is_empty()
}

/// A text without anything that may be a telephone number, whosever: for what people are called.
pub fn without_any(text: &str) -> Cow<'_, str> {
    let spans: Vec<(usize, usize)> =
        runs(text).iter().filter_map(|run| Some((run.first()?.1, run.last()?.2))).collect();
    without(text, &spans)
}

/// What somebody is called, as it can be said to anybody: without what may be a telephone number. `None` where nothing is left.
pub fn bare(name: &str) -> Option<String> {
    let bare = without_any(name).replace(VEIL, " ");
    if bare == name {
        return Some(bare);
    }
    let words = bare.split_whitespace().filter(|word| word.contains(char::is_alphanumeric));
    let bare = words.collect::<Vec<_>>().join(" ");
    (!bare.is_empty() && !name.contains('@')).then_some(bare)
}

/// The telephone numbers that a text may not tell.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Numbers {
    /// Those of one person.
    Of(Vec<Vec<u8>>),
    /// Whosever they are: in a group, people tell their own.
    Any,
}

impl Default for Numbers {
    fn default() -> Self {
        Self::Of(Vec::new())
    }
}

impl Numbers {
    /// Those of whom these are addresses or numbers; only their digits count.
    pub fn of<'n>(numbers: impl IntoIterator<Item = &'n str>) -> Self {
        let digits = |number: &str| number.chars().filter_map(digit).collect::<Vec<u8>>();
        Self::Of(numbers.into_iter().map(digits).filter(|digits| digits.len() >= TELLS).collect())
    }

    /// A text without these numbers, or so much of one as tells whose it is.
    pub fn veiled<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let known = match self {
            Self::Any => return without_any(text),
            Self::Of(known) if known.is_empty() => return Cow::Borrowed(text),
            Self::Of(known) => known,
        };
        let mut spans: Vec<(usize, usize)> = Vec::new();
        for run in runs(text) {
            let mut is_new = true;
            let values: Vec<u8> = run.iter().map(|digit| digit.0).collect();
            for (place, part) in values.windows(TELLS).enumerate() {
                if !known.iter().any(|number| number.windows(TELLS).any(|known| known == part)) {
                    continue;
                }
                let (start, end) = (run[place].1, run[place + TELLS - 1].2);
                match spans.last_mut().filter(|last| !is_new && start < last.1) {
                    Some(last) => last.1 = end,
                    None => spans.push((start, end)),
                }
                is_new = false;
            }
        }
        without(text, &spans)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_number_is_found_however_it_is_written_and_another_is_left() {
        let numbers = Numbers::of(["250788760001@s.whatsapp.net", "+250 722 000 111"]);
        for (text, shown) in [
            ("Call 0788760001 now", "Call ••••••• now"),
            ("+250 (788) 760-001", "+•••••••"),
            ("wa.me/250788760001", "wa.me/•••••••"),
            ("788.760.001, order 20261", "•••••••, order 20261"),
            ("order 20261, 788/760/001", "order 20261, •••••••"),
            ("２５０７８８７６０００１", "•••••••"),
            ("٧٨٨٧٦٠٠٠١ or 722000111", "••••••• or •••••••"),
            ("7887600 and 788760", "••••••• and 788760"),
            ("250733760002 is somebody else", "250733760002 is somebody else"),
            ("250788 x 760001", "250788 x 760001"),
            ("no digits — at all", "no digits — at all"),
        ] {
            assert_eq!(numbers.veiled(text), shown, "{text}");
        }
        assert_eq!(Numbers::default().veiled("250788760001"), "250788760001");
        assert_eq!(Numbers::of(["12345"]).veiled("12345 1234567"), "12345 1234567");
    }

    #[test]
    fn what_people_are_called_is_told_without_numbers() {
        assert_eq!(without_any("Bob +250788123456"), "Bob +•••••••");
        assert_eq!(without_any("788-760-001 Bob"), "••••••• Bob");
        assert_eq!(without_any("Table 12, 2026"), "Table 12, 2026");
        assert_eq!(bare("Bob +250 788 123 456").as_deref(), Some("Bob"));
        assert_eq!(bare("Table 12").as_deref(), Some("Table 12"));
        assert_eq!((bare("+250788123456"), bare("250788123456@s.whatsapp.net")), (None, None));
        assert_eq!((folded("７８８ x").as_ref(), folded("788").as_ref()), ("788 x", "788"));
    }

    proptest! {
        #[test]
        fn no_seven_digits_of_a_number_are_left_in_any_text(
            number in "[1-9][0-9]{8,14}", before in "\\PC{0,20}", after in "\\PC{0,20}", sign in "[-+ ()./]{0,3}", at in 1_usize..7
        ) {
            let text = format!("{before}{}{sign}{}{after}", &number[..at], &number[at..]);
            let numbers = Numbers::of([number.as_str()]);
            let shown = numbers.veiled(&text).into_owned();
            prop_assert_eq!(numbers.veiled(&shown), shown.as_str());
            for run in runs(&shown) {
                let digits: String = run.iter().map(|digit| char::from(b'0' + digit.0)).collect();
                prop_assert!((0..=digits.len() - TELLS).all(|place| !number.contains(&digits[place..place + TELLS])), "{}", shown);
            }
        }
    }
}
