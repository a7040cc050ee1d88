//! Which label fits a text: by the words that text and label share.

use loopd_kernel::advisor::Label;
use serde_json::{Value as Json, json};

use super::sentences::words;

/// Letters that two words must share from their beginning to count as forms of one: `deliver`, `delivery`, `delivered`.
const STEM: usize = 4;

/// `{"label", "score", "scores"}`: the label with most evidence, its share of all evidence from 0 to 1, and every label's share, the best first.
/// No label (null) where the text has no word of any.
pub fn classify(text: &str, labels: &[Label]) -> Json {
    let text = words(text);
    let evidence: Vec<u64> = labels.iter().map(|label| evidence(&text, label)).collect();
    let total: u64 = evidence.iter().sum();
    // in hundredths, as numbers that are the same everywhere
    let share = |count: u64| (count * 100 + total / 2).checked_div(total).unwrap_or(0) as f64 / 100.0;
    let mut order: Vec<usize> = (0..labels.len()).collect();
    order.sort_by_key(|at| (std::cmp::Reverse(evidence[*at]), *at));
    let scores: Vec<Json> =
        order.iter().map(|at| json!({"label": labels[*at].name, "score": share(evidence[*at])})).collect();
    match order.first().filter(|at| evidence[**at] > 0) {
        Some(best) => json!({"label": labels[*best].name, "score": share(evidence[*best]), "scores": scores}),
        None => json!({"label": null, "score": 0.0, "scores": scores}),
    }
}

/// How often the label's words stand in the text; a phrase counts once for each of its words, and only where it stands whole.
fn evidence(text: &[String], label: &Label) -> u64 {
    let phrases = std::iter::once(&label.name).chain(&label.keywords);
    let mut known: Vec<Vec<String>> = phrases.map(|phrase| words(phrase)).filter(|phrase| !phrase.is_empty()).collect();
    known.sort();
    known.dedup();
    known.iter().map(|phrase| (occurrences(text, phrase) * phrase.len()) as u64).sum()
}

fn occurrences(text: &[String], phrase: &[String]) -> usize {
    text.windows(phrase.len()).filter(|part| part.iter().zip(phrase).all(|(a, b)| is_same(a, b))).count()
}

/// Whether two words are the same, or forms of one word.
fn is_same(one: &str, other: &str) -> bool {
    if one == other {
        return true;
    }
    let shared = one.chars().zip(other.chars()).take_while(|(a, b)| a == b).count();
    let (one, other) = (one.chars().count(), other.chars().count());
    shared >= STEM && shared + 1 >= one.min(other) && one.max(other) - shared <= 3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(name: &str, keywords: &[&str]) -> Label {
        Label { name: name.into(), keywords: keywords.iter().map(|word| (*word).to_owned()).collect() }
    }

    #[test]
    fn the_label_with_most_evidence_wins() {
        let labels = [label("billing", &["invoice", "refund"]), label("delivery", &["late", "courier"])];
        let found = classify("My delivered parcel came late and the courier was rude. Send me an invoice.", &labels);
        assert_eq!(found["label"], "delivery");
        assert_eq!(found["scores"], json!([{"label": "delivery", "score": 0.75}, {"label": "billing", "score": 0.25}]));
    }

    #[test]
    fn no_evidence_is_no_label() {
        let labels = [label("billing", &[]), label("delivery", &[])];
        let found = classify("Hello there", &labels);
        assert_eq!((&found["label"], &found["score"]), (&Json::Null, &json!(0.0)));
    }

    #[test]
    fn forms_of_a_word_count_and_phrases_stand_whole() {
        assert!(is_same("delivery", "delivered") && is_same("refund", "refunds"));
        assert!(!is_same("care", "carpet") && !is_same("book", "boot"));
        let labels = [label("x", &["opening hours"]), label("y", &[])];
        assert_eq!(classify("hours of opening", &labels)["label"], Json::Null);
        assert_eq!(classify("Your opening hours?", &labels)["label"], "x");
    }
}
