//! Words: how texts are cut into them, what a question asks for, and how a hit is shown.

/// A word of a text: small letters, and where it stands in it, in characters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Word {
    pub text: String,
    pub start: usize,
    pub length: usize,
}

/// Characters of a word that count.
const WORD_MOST: usize = 64;
/// Words of a question.
const WORDS_MOST: usize = 12;
/// Characters that an excerpt shows before the first hit, and in all.
const BEFORE: usize = 60;
const EXCERPT: usize = 200;

/// The words of a text, in order: runs of letters and digits of any script. An accent is part of its letter, as everywhere here.
pub fn words(text: &str) -> Vec<Word> {
    let mut found = Vec::new();
    let mut word = Word { text: String::new(), start: 0, length: 0 };
    for (place, letter) in text.chars().chain([' ']).enumerate() {
        if letter.is_alphanumeric() {
            if word.length == 0 {
                word.start = place;
            }
            word.length += 1;
            if word.length <= WORD_MOST {
                word.text.extend(letter.to_lowercase());
            }
        } else if word.length > 0 {
            found.push(std::mem::replace(&mut word, Word { text: String::new(), start: 0, length: 0 }));
        }
    }
    // Letters whose small form ends in a mark of its own (İ) would be cut in another way than they are written.
    for word in &mut found {
        word.text.retain(char::is_alphanumeric);
    }
    found.retain(|word| !word.text.is_empty());
    found
}

/// What a question asks for: every one of these words; `true` where one may go on (`mot*`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Asked(pub Vec<(String, bool)>);

impl Asked {
    /// Reads a question; without words it asks for nothing.
    pub fn parse(question: &str) -> Self {
        let letters: Vec<char> = question.chars().collect();
        let mut asked: Vec<(String, bool)> = Vec::new();
        for word in words(question) {
            let goes_on = letters.get(word.start + word.length) == Some(&'*');
            if !asked.iter().any(|(known, _)| *known == word.text) && asked.len() < WORDS_MOST {
                asked.push((word.text, goes_on));
            }
        }
        Self(asked)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn asks_for(&self, word: &str) -> bool {
        self.0.iter().any(|asked| is_met(asked, word))
    }

    /// Whether a text has every word.
    pub fn is_met_by(&self, text: &str) -> bool {
        let words = words(text);
        self.0.iter().all(|asked| words.iter().any(|word| is_met(asked, &word.text)))
    }

    /// A part of a text around its first hit, and the hits in it: where each begins and how long it is, in characters.
    pub fn excerpt(&self, text: &str) -> (String, Vec<(usize, usize)>) {
        let hits: Vec<Word> = words(text).into_iter().filter(|word| self.asks_for(&word.text)).collect();
        let letters: Vec<char> = text.chars().collect();
        let first = hits.first().map_or(0, |hit| hit.start);
        let mut start = first.saturating_sub(BEFORE);
        if start > 0 {
            // Not in the middle of a word, if there is a gap before the hit.
            start = (start..first).find(|place| letters[*place].is_whitespace()).map_or(start, |place| place + 1);
        }
        let end = letters.len().min(start + EXCERPT);
        let mut shown = String::new();
        let shift = usize::from(start > 0);
        shown.extend((start > 0).then_some('…'));
        shown.extend(&letters[start..end]);
        shown.extend((end < letters.len()).then_some('…'));
        let inside = hits.iter().filter(|hit| hit.start >= start && hit.start + hit.length <= end);
        let marks = inside.map(|hit| (hit.start - start + shift, hit.length)).collect();
        (shown, marks)
    }
}

fn is_met((asked, goes_on): &(String, bool), word: &str) -> bool {
    if *goes_on { word.starts_with(asked.as_str()) } else { word == asked }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_question_asks_for_words_whole_or_begun() {
        let asked = Asked::parse("Moto, PRI* l'été moto");
        let wanted = [("moto", false), ("pri", true), ("l", false), ("été", false)];
        assert_eq!(asked.0, wanted.map(|(word, goes_on)| (word.to_owned(), goes_on)));
        assert!(asked.is_met_by("L’été: which PRICE has a moto?"));
        assert!(!asked.is_met_by("L’été: which price have motos?"));
        assert!(Asked::parse(" …*!").is_empty());
    }

    #[test]
    fn an_excerpt_stands_around_the_first_hit() {
        let text = format!("{} the Moto is here, a moto. {}", "before ".repeat(30), "after ".repeat(60));
        let (shown, marks) = Asked::parse("moto").excerpt(&text);
        assert!(shown.starts_with('…') && shown.ends_with('…'), "{shown}");
        let letters: Vec<char> = shown.chars().collect();
        let marked: Vec<String> = marks.iter().map(|(at, many)| letters[*at..at + many].iter().collect()).collect();
        assert_eq!(marked, ["Moto", "moto"]);
        assert_eq!(Asked::parse("moto").excerpt("a moto"), ("a moto".to_owned(), vec![(2, 4)]));
    }

    proptest! {
        #[test]
        fn every_word_of_a_text_finds_it_and_is_marked_in_its_excerpt(text in "(\\PC|\\s){0,300}", at: prop::sample::Index) {
            let found = words(&text);
            prop_assume!(!found.is_empty());
            let word = &found[at.index(found.len())];
            let asked = Asked::parse(&text.chars().skip(word.start).take(word.length).collect::<String>());
            prop_assert!(asked.is_met_by(&text));
            let (shown, marks) = asked.excerpt(&text);
            let letters: Vec<char> = shown.chars().collect();
            for (start, length) in marks {
                let marked: String = letters[start..start + length].iter().collect();
                prop_assert!(asked.is_met_by(&marked), "{marked:?} in {shown:?}");
            }
        }

        #[test]
        fn nothing_that_anybody_writes_is_anything_but_words(question in "\\PC{0,60}") {
            for (word, _) in Asked::parse(&question).0 {
                prop_assert!(!word.is_empty() && word.chars().all(char::is_alphanumeric), "{word:?}");
            }
        }
    }
}
