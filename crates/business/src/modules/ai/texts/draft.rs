//! Replies, letters and messages from given facts, in English, French and Kinyarwanda. Nothing is said that was not given.

use loopd_kernel::advisor::{Draft, Task};
use serde_json::{Value as Json, json};

use super::sentences::sentences;
use super::summarize::summarize;

/// Characters of a subject that is made from what was received.
const LONGEST_SUBJECT: usize = 80;

/// The fixed words of one language.
struct Words {
    /// By tone: formal, friendly, apologetic.
    greeting: [&'static str; 3],
    greeting_nobody: [&'static str; 3],
    closing: [&'static str; 3],
    apology: &'static str,
    thanks: &'static str,
    you_wrote: &'static str,
    /// Before several facts.
    facts: &'static str,
    reply: &'static str,
    about: &'static str,
}

const ENGLISH: Words = Words {
    greeting: ["Dear", "Hello", "Dear"],
    greeting_nobody: ["Dear Sir or Madam", "Hello", "Dear Sir or Madam"],
    closing: ["Yours faithfully", "Best wishes", "With our apologies"],
    apology: "We are sorry for the trouble this has caused you.",
    thanks: "Thank you for writing to us.",
    you_wrote: "You wrote:",
    facts: "We would like to tell you the following:",
    reply: "Re:",
    about: "A message from",
};

const FRENCH: Words = Words {
    greeting: ["Cher/Chère", "Bonjour", "Cher/Chère"],
    greeting_nobody: ["Madame, Monsieur", "Bonjour", "Madame, Monsieur"],
    closing: ["Veuillez agréer nos salutations distinguées", "Bien à vous", "Avec toutes nos excuses"],
    apology: "Nous vous prions de nous excuser pour la gêne occasionnée.",
    thanks: "Merci de nous avoir écrit.",
    you_wrote: "Vous avez écrit :",
    facts: "Nous souhaitons vous informer de ce qui suit :",
    reply: "Re :",
    about: "Un message de",
};

const KINYARWANDA: Words = Words {
    greeting: ["Bwana/Madamu", "Muraho", "Bwana/Madamu"],
    greeting_nobody: ["Bwana/Madamu", "Muraho", "Bwana/Madamu"],
    closing: ["Murakoze", "Mugire umunsi mwiza", "Mutwihanganire"],
    apology: "Tubasabye imbabazi ku bibazo mwahuye na byo.",
    thanks: "Murakoze kutwandikira.",
    you_wrote: "Mwanditse muti:",
    facts: "Turabamenyesha ibi bikurikira:",
    reply: "Igisubizo:",
    about: "Ubutumwa bwa",
};

fn words_of(language: &str) -> &'static Words {
    match language.to_ascii_lowercase().split('-').next() {
        Some("fr") => &FRENCH,
        Some("rw") => &KINYARWANDA,
        _ => &ENGLISH,
    }
}

/// `{"subject", "body"}`
pub fn draft(task: &Task, draft: &Draft) -> Json {
    let words = words_of(&task.language);
    let tone = match draft.tone.as_str() {
        "friendly" => 1,
        "apologetic" => 2,
        _ => 0,
    };
    let sender = draft.sender.as_deref().unwrap_or(&task.company);
    let greeting = match &draft.recipient {
        Some(name) => format!("{} {name},", words.greeting[tone]),
        None => format!("{},", words.greeting_nobody[tone]),
    };
    let mut parts = vec![greeting];
    if let Some(received) = &draft.received {
        let quoted = summarize(received, 1);
        let quote = if quoted.is_empty() { String::new() } else { format!(" {} “{quoted}”", words.you_wrote) };
        parts.push(format!("{}{quote}", words.thanks));
    }
    if tone == 2 {
        parts.push(words.apology.to_owned());
    }
    match draft.facts.as_slice() {
        [] => {}
        [only] => parts.push(ended(only)),
        several if draft.form == "message" => {
            parts.push(several.iter().map(|fact| ended(fact)).collect::<Vec<_>>().join(" "));
        }
        several => {
            let list: Vec<String> = several.iter().map(|fact| format!("- {}", ended(fact))).collect();
            parts.push(format!("{}\n{}", words.facts, list.join("\n")));
        }
    }
    parts.push(format!("{},\n{sender}", words.closing[tone]));
    json!({"subject": subject(words, draft, sender), "body": parts.join("\n\n")})
}

fn subject(words: &Words, draft: &Draft, sender: &str) -> String {
    if let Some(subject) = &draft.subject {
        return subject.clone();
    }
    let first = |text: &str| sentences(text).first().map(|sentence| shortened(sentence));
    if let Some(received) = draft.received.as_deref().and_then(first) {
        return format!("{} {received}", words.reply);
    }
    match draft.facts.first() {
        Some(fact) => shortened(fact),
        None => format!("{} {sender}", words.about),
    }
}

/// The beginning of a sentence, whole words only, without its stop.
fn shortened(sentence: &str) -> String {
    let sentence = sentence.trim_end_matches(['.', '!', '…']).trim_end();
    if sentence.chars().count() <= LONGEST_SUBJECT {
        return sentence.to_owned();
    }
    let cut: String = sentence.chars().take(LONGEST_SUBJECT).collect();
    let whole = cut.rsplit_once(' ').map_or(cut.as_str(), |(whole, _)| whole);
    format!("{whole}…")
}

/// A fact as a sentence.
fn ended(fact: &str) -> String {
    let fact = fact.trim();
    if fact.ends_with(['.', '!', '?', '…', ':']) { fact.to_owned() } else { format!("{fact}.") }
}

#[cfg(test)]
mod tests {
    use loopd_kernel::advisor::Work;

    use super::*;

    fn written(language: &str, what: Draft) -> (String, String) {
        let task = Task { work: Work::Draft(what.clone()), language: language.into(), company: "Ihema Ltd".into() };
        let made = draft(&task, &what);
        (made["subject"].as_str().unwrap().to_owned(), made["body"].as_str().unwrap().to_owned())
    }

    #[test]
    fn a_reply_thanks_quotes_and_tells_the_facts() {
        let what = Draft {
            form: "reply".into(),
            tone: "apologetic".into(),
            recipient: Some("Aline".into()),
            facts: vec!["Your order leaves today".into(), "It costs nothing more.".into()],
            received: Some("Where is my order? I ordered tea.".into()),
            ..Draft::default()
        };
        let (subject, body) = written("en", what.clone());
        assert_eq!(subject, "Re: Where is my order?");
        assert!(body.starts_with("Dear Aline,\n\nThank you for writing to us."), "{body}");
        assert!(body.contains("- Your order leaves today.\n- It costs nothing more."), "{body}");
        assert!(body.contains("We are sorry") && body.ends_with("With our apologies,\nIhema Ltd"), "{body}");
        assert!(written("fr", what.clone()).1.contains("Merci de nous avoir écrit."));
        assert!(written("rw-RW", what).1.starts_with("Bwana/Madamu Aline,"));
    }

    #[test]
    fn a_subject_is_never_longer_than_a_line() {
        let what = Draft { facts: vec!["word ".repeat(60)], ..Draft::default() };
        let (subject, _) = written("en", what);
        assert!(subject.chars().count() <= LONGEST_SUBJECT && subject.ends_with("word…"), "{subject}");
    }
}
