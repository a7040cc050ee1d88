//! What intake decides, without a database.

/// Characters of a message that a ticket's subject takes.
const SUBJECT_TAKES: usize = 80;

/// Whether a text holds one of these, in upper or lower case.
pub fn names_one(keywords: &[String], text: &str) -> bool {
    let text = text.to_lowercase();
    keywords
        .iter()
        .map(|keyword| keyword.trim().to_lowercase())
        .any(|keyword| !keyword.is_empty() && text.contains(&keyword))
}

/// `WhatsApp: ` and the first 80 characters of the message, on one line.
pub fn keyword_subject(text: &str) -> String {
    let line: String = text.chars().take(SUBJECT_TAKES).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("WhatsApp: {}", line.trim_end())
}

/// `New conversation`, with whom if that is known.
pub fn new_chat_subject(name: Option<&str>) -> String {
    name.map_or_else(|| "New conversation".to_owned(), |name| format!("New conversation with {name}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keywords_are_found_within_words_and_in_any_case() {
        let keywords = ["Refund".to_owned(), " ".to_owned(), "ÉCHANGE".to_owned()];
        assert!(names_one(&keywords, "i want my REFUNDS"));
        assert!(names_one(&keywords, "un échange"));
        assert!(!names_one(&keywords, "re fund"));
        assert!(!names_one(&[], "refund"));
    }

    #[test]
    fn a_subject_takes_eighty_characters() {
        assert_eq!(keyword_subject(&"é".repeat(200)), format!("WhatsApp: {}", "é".repeat(80)));
        assert_eq!(keyword_subject("a\nb"), "WhatsApp: a b");
        assert_eq!(new_chat_subject(None), "New conversation");
        assert_eq!(new_chat_subject(Some("Aline")), "New conversation with Aline");
    }

    proptest! {
        #[test]
        fn a_keyword_is_found_wherever_it_stands(before in ".{0,40}", keyword in "[a-z]{1,12}", after in ".{0,40}") {
            let text = [before, keyword.to_uppercase(), after].concat();
            prop_assert!(names_one(&[keyword], &text));
        }
    }
}
