//! How figures are said: amounts, days, comparisons, in English and French.

use loopd_types::{Currency, render_decimal};

use super::period::{Period, Span};
use super::store::Sum;

/// The languages that figures are said in. Others get English.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    English,
    French,
}

impl Language {
    /// By BCP 47 tag.
    pub fn of(tag: &str) -> Self {
        if tag.to_ascii_lowercase().split('-').next() == Some("fr") { Self::French } else { Self::English }
    }
    pub fn choose<T>(self, english: T, french: T) -> T {
        match self {
            Self::English => english,
            Self::French => french,
        }
    }
}

/// `1,234,567.50 USD`
pub(super) fn amount(minor: i64, currency: &str) -> String {
    let number = render_decimal(minor, Currency::parse(currency).map_or(0, Currency::exponent));
    let (whole, rest) = number.split_once('.').map_or((number.as_str(), ""), |(whole, rest)| (whole, rest));
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let point = if rest.is_empty() { "" } else { "." };
    format!("{sign}{grouped}{point}{rest} {currency}").trim_end().to_owned()
}

/// `45,000 RWF from 3 invoices and 12.50 USD from 1 invoice`
pub(super) fn sums(language: Language, sums: &[Sum]) -> String {
    if sums.is_empty() {
        return language.choose("nothing", "rien").to_owned();
    }
    let one = |sum: &Sum| {
        let (money, count) = (amount(sum.minor, &sum.currency), sum.count);
        match count {
            1 => language.choose(format!("{money} from 1 invoice"), format!("{money} pour 1 facture")),
            _ => language.choose(format!("{money} from {count} invoices"), format!("{money} pour {count} factures")),
        }
    };
    sums.iter().map(one).collect::<Vec<_>>().join(language.choose(" and ", " et "))
}

/// How the sum in the company's own currency changed; empty where there is nothing to compare.
pub(super) fn change(language: Language, currency: &str, now: &[Sum], before: &[Sum]) -> String {
    let of = |sums: &[Sum]| sums.iter().find(|sum| sum.currency == currency).map_or(0, |sum| sum.minor);
    let (now, before) = (i128::from(of(now)), i128::from(of(before)));
    if before <= 0 {
        return String::new();
    }
    let percent = (now - before) * 100 / before;
    match percent {
        0 => language.choose(" That is about the same.".to_owned(), " C'est à peu près pareil.".to_owned()),
        up if up > 0 => language.choose(format!(" That is {up} % more."), format!(" C'est {up} % de plus.")),
        down => {
            let down = -down;
            language.choose(format!(" That is {down} % less."), format!(" C'est {down} % de moins."))
        }
    }
}

/// `this week (2026-06-22 to 2026-06-28)`
pub(super) fn days_of(language: Language, span: &Span) -> String {
    let name = match span.period {
        Period::Today => language.choose("today", "aujourd'hui"),
        Period::Yesterday => language.choose("yesterday", "hier"),
        Period::ThisWeek => language.choose("this week", "cette semaine"),
        Period::LastWeek => language.choose("last week", "la semaine dernière"),
        Period::ThisMonth => language.choose("this month", "ce mois-ci"),
        Period::LastMonth => language.choose("last month", "le mois dernier"),
    };
    if span.first_day == span.last_day {
        return format!("{name} ({})", span.first_day);
    }
    let (first, last) = (span.first_day, span.last_day);
    language.choose(format!("{name} ({first} to {last})"), format!("{name} (du {first} au {last})"))
}

/// A day as it is kept; the same in every language, so that nobody mixes day and month up.
pub(super) fn day(_: Language, kept: &str) -> String {
    kept.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_easy_to_read() {
        assert_eq!(amount(25_000, "RWF"), "25,000 RWF");
        assert_eq!(amount(123_456_750, "USD"), "1,234,567.50 USD");
        assert_eq!(amount(-999, "RWF"), "-999 RWF");
        assert_eq!(amount(0, "RWF"), "0 RWF");
    }

    #[test]
    fn changes_are_said_in_percent() {
        let sum = |minor| vec![Sum { currency: "RWF".into(), count: 1, minor }];
        assert_eq!(change(Language::English, "RWF", &sum(150), &sum(100)), " That is 50 % more.");
        assert_eq!(change(Language::French, "RWF", &sum(50), &sum(100)), " C'est 50 % de moins.");
        assert_eq!(change(Language::English, "RWF", &sum(50), &[]), "");
    }
}
