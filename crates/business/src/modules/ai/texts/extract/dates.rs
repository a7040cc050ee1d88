//! Days in a text: `2026-06-22`, `22/06/2026`, `22 June 2026`, `June 22, 2026`, `22 juin 2026`, `22 Kamena 2026`.

use jiff::civil::Date;

/// Names of months in English, French and Kinyarwanda, and what is made of them when they are shortened.
const MONTHS: [&[&str]; 12] = [
    &["january", "jan", "janvier", "janv", "mutarama"],
    &["february", "feb", "février", "fevrier", "févr", "gashyantare"],
    &["march", "mar", "mars", "werurwe"],
    &["april", "apr", "avril", "avr", "mata"],
    &["may", "mai", "gicurasi"],
    &["june", "jun", "juin", "kamena"],
    &["july", "jul", "juillet", "juil", "nyakanga"],
    &["august", "aug", "août", "aout", "kanama"],
    &["september", "sep", "sept", "septembre", "nzeri"],
    &["october", "oct", "octobre", "ukwakira"],
    &["november", "nov", "novembre", "ugushyingo"],
    &["december", "dec", "décembre", "decembre", "déc", "ukuboza"],
];

/// Days that the calendar has, as they stand and as they are.
pub fn find(text: &str) -> Vec<(String, Date)> {
    let words: Vec<&str> = text.split_whitespace().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < words.len() {
        let three = words.get(at..at + 3).and_then(|three| spoken(three).map(|date| (three.join(" "), date)));
        match three {
            Some((words, date)) => {
                found.push((bare(&words).to_owned(), date));
                at += 3;
            }
            None => {
                let word = bare(words[at]);
                found.extend(written(word).map(|date| (word.to_owned(), date)));
                at += 1;
            }
        }
    }
    found
}

/// Without what surrounds a word: brackets, quotes, commas, a stop.
fn bare(word: &str) -> &str {
    word.trim_matches(|letter: char| !letter.is_alphanumeric())
}

/// A day in figures. With two numbers that could both be the month, the first is the day, as in Rwanda and in French.
fn written(word: &str) -> Option<Date> {
    // a moment begins with its day
    let word = word.split_once('T').map_or(word, |(day, _)| day);
    let mark = word.chars().find(|letter| matches!(letter, '-' | '/' | '.'))?;
    let parts: Vec<&str> = word.split(mark).collect();
    let [first, second, third] = parts.as_slice() else { return None };
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse::<i16>().ok()).flatten();
    let (a, b, c) = (number(first)?, number(second)?, number(third)?);
    match (first.len(), third.len()) {
        (4, 1..=2) => date(a, b, c),
        (1..=2, 4) => date(c, b, a).or_else(|| date(c, a, b)),
        _ => None,
    }
}

/// A day with its month's name.
fn spoken(three: &[&str]) -> Option<Date> {
    let [first, second, third] = three else { return None };
    let year = bare(third);
    let year: i16 = (year.len() == 4).then(|| year.parse().ok()).flatten()?;
    let (day, month) = match (day(bare(first)), month(bare(second))) {
        (Some(day), Some(month)) => (day, month),
        _ => (day(bare(second))?, month(bare(first))?),
    };
    date(year, month, day)
}

/// `22`, `1st`, `1er`
fn day(word: &str) -> Option<i16> {
    let digits = word.trim_end_matches(char::is_alphabetic);
    let end = word[digits.len()..].to_lowercase();
    ["", "st", "nd", "rd", "th", "er", "e"].contains(&end.as_str()).then(|| digits.parse().ok()).flatten()
}

fn month(word: &str) -> Option<i16> {
    let word = word.to_lowercase();
    let place = MONTHS.iter().position(|names| names.contains(&word.as_str()))?;
    i16::try_from(place + 1).ok()
}

fn date(year: i16, month: i16, day: i16) -> Option<Date> {
    let is_likely = (1900..=2200).contains(&year);
    let (month, day) = (i8::try_from(month).ok()?, i8::try_from(day).ok()?);
    is_likely.then(|| Date::new(year, month, day).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(text: &str) -> Vec<String> {
        find(text).into_iter().map(|(_, date)| date.to_string()).collect()
    }

    #[test]
    fn days_are_read_in_every_form() {
        assert_eq!(days("(2026-06-22), 2026-06-23T10:00:00Z"), ["2026-06-22", "2026-06-23"]);
        assert_eq!(days("22/06/2026, 06/22/2026 and 5.4.2026."), ["2026-06-22", "2026-06-22", "2026-04-05"]);
        assert_eq!(
            days("on June 22nd, 2026 or 1er mai 2026, 3 Kamena 2026"),
            ["2026-06-22", "2026-05-01", "2026-06-03"]
        );
        assert_eq!(find("due 22 June 2026.")[0].0, "22 June 2026");
    }

    #[test]
    fn what_no_calendar_has_is_no_day() {
        assert_eq!(days("2026-02-30, 31/02/2026, 1.2.3, 192.168.0.1, 22 Mayhem 2026, 99 June 2026"), [""; 0]);
    }
}
