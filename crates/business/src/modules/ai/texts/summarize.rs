//! A summary from a text's own sentences: those that hold most of what the whole text speaks of, in their order.

use std::collections::{BTreeMap, BTreeSet};

use super::sentences::{sentences, telling_words};

/// At most `most` sentences of the text. The same text gives the same summary.
pub fn summarize(text: &str, most: usize) -> String {
    let all = sentences(text);
    if all.len() <= most {
        return all.join(" ");
    }
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for word in telling_words(text) {
        *counts.entry(word).or_default() += 1;
    }
    let mut scored: Vec<(u64, usize)> =
        all.iter().enumerate().map(|(place, sentence)| (score(sentence, place, &counts), place)).collect();
    // the better first; of equals, the earlier
    scored.sort_by_key(|(score, place)| (std::cmp::Reverse(*score), *place));
    let mut chosen: Vec<usize> = Vec::with_capacity(most);
    let mut told: BTreeSet<Vec<String>> = BTreeSet::new();
    for (_, place) in scored {
        // a sentence that stands there twice is told once
        if chosen.len() < most && told.insert(telling_words(all[place])) {
            chosen.push(place);
        }
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|place| all[place]).collect::<Vec<_>>().join(" ")
}

/// How much of what the text speaks of a sentence holds, in thousandths: the counts of its words over the root of its length, so that long
/// sentences do not win by length alone. A first sentence says what a text is about and gets a quarter more.
fn score(sentence: &str, place: usize, counts: &BTreeMap<String, usize>) -> u64 {
    let words: BTreeSet<String> = telling_words(sentence).into_iter().collect();
    if words.is_empty() {
        return 0;
    }
    let sum: usize = words.iter().filter_map(|word| counts.get(word)).sum();
    let root = (words.len() as u64 * 1_000_000).isqrt();
    let score = sum as u64 * 1_000_000 / root.max(1);
    if place == 0 { score * 5 / 4 } else { score }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "The cooperative sold more coffee this season. It rained on Tuesday. Coffee buyers from Kigali paid a higher \
        price for washed coffee. Somebody lost an umbrella. The price of coffee will decide how the cooperative invests.";

    #[test]
    fn what_the_text_speaks_of_is_kept_in_order() {
        let summary = summarize(TEXT, 2);
        assert!(summary.starts_with("The cooperative sold more coffee this season."), "{summary}");
        assert_eq!(super::sentences(&summary).len(), 2);
        assert!(!summary.contains("umbrella") && !summary.contains("rained"), "{summary}");
        assert_eq!(summary, summarize(TEXT, 2));
    }

    #[test]
    fn a_short_text_is_its_own_summary_and_nothing_is_told_twice() {
        assert_eq!(summarize("One thing.", 3), "One thing.");
        assert_eq!(summarize("", 3), "");
        assert_eq!(summarize("Tea is sold. Tea is sold. Cups are lent.", 2), "Tea is sold. Cups are lent.");
    }
}
