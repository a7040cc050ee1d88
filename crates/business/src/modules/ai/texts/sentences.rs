//! Sentences and words of a text, in any language with blanks between words; the commonest words of English, French and Kinyarwanda set apart.

/// Words that say nothing about what a text is about.
const COMMON: [&str; 118] = [
    "the", "and", "for", "are", "was", "were", "with", "that", "this", "these", "those", "from", "have", "has", "had",
    "not", "but", "you", "your", "our", "their", "they", "them", "his", "her", "its", "she", "him", "will", "would",
    "can", "could", "should", "been", "being", "which", "who", "what", "when", "where", "there", "here", "than",
    "then", "also", "into", "about", "all", "any", "some", "more", "most", "other", "such", "only", "very", "just",
    "les", "des", "une", "est", "sont", "dans", "pour", "par", "sur", "avec", "que", "qui", "quoi", "pas", "plus",
    "nous", "vous", "ils", "elles", "leur", "leurs", "notre", "votre", "nos", "vos", "ces", "cette", "cet", "aux",
    "mais", "donc", "comme", "tout", "tous", "toute", "être", "avoir", "fait", "aussi", "elle", "même", "très", "muri",
    "kuri", "cyangwa", "kandi", "ariko", "ndetse", "kugira", "ngo", "nka", "iyi", "ibi", "uyu", "aba", "ubu", "mu",
    "ku", "na", "ni", "ko",
];

/// Ends of words with a full stop that end no sentence.
const SHORTENED: [&str; 19] = [
    "mr", "mrs", "ms", "dr", "prof", "no", "nr", "st", "ltd", "inc", "co", "vs", "etc", "e.g", "i.e", "mme", "tel",
    "approx", "p",
];

/// The sentences of a text in their order, without the blanks around them. A line that ends without a stop, such as a heading, counts as one.
pub fn sentences(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for line in text.lines() {
        let mut start = 0;
        let mut letters = line.char_indices().peekable();
        while let Some((at, letter)) = letters.next() {
            let is_stop = matches!(letter, '.' | '!' | '?' | '…');
            let is_last = letters.peek().is_none_or(|(_, next)| next.is_whitespace());
            if is_stop && is_last && !(letter == '.' && is_shortened(&line[start..at])) {
                let end = at + letter.len_utf8();
                push(&mut found, &line[start..end]);
                start = end;
            }
        }
        push(&mut found, &line[start..]);
    }
    found
}

fn push<'t>(found: &mut Vec<&'t str>, piece: &'t str) {
    let piece = piece.trim();
    if piece.chars().any(char::is_alphanumeric) {
        found.push(piece);
    }
}

/// Whether the text before a full stop ends in a shortened word or an initial.
fn is_shortened(before: &str) -> bool {
    let last = before.split_whitespace().next_back().unwrap_or_default();
    let word = last.trim_start_matches(|letter: char| !letter.is_alphanumeric());
    let is_initial = word.chars().count() == 1 && word.chars().all(char::is_uppercase);
    is_initial || SHORTENED.contains(&word.to_lowercase().as_str())
}

/// All words in lower case; what stands between letters and digits parts them.
pub fn words(text: &str) -> Vec<String> {
    text.split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The words that tell what a text is about.
pub fn telling_words(text: &str) -> Vec<String> {
    let is_telling = |word: &String| word.chars().count() > 2 && !COMMON.contains(&word.as_str());
    words(text).into_iter().filter(is_telling).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_end_sentences_and_shortened_words_do_not() {
        let text = "Dr. Uwase paid 3.50 USD. J. Mugabo did not!\nA heading\nWhy? ...";
        assert_eq!(sentences(text), ["Dr. Uwase paid 3.50 USD.", "J. Mugabo did not!", "A heading", "Why?"]);
        assert!(sentences(" \n... !").is_empty());
    }

    #[test]
    fn common_words_tell_nothing() {
        assert_eq!(telling_words("The price of the coffee is up, et les prix aussi"), ["price", "coffee", "prix"]);
    }
}
