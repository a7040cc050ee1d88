//! Which rule answers, without a database.

use loopd_types::Uuid;

use super::Words;

/// A message that came in.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'m> {
    pub text: &'m str,
    /// The first ever of its chat.
    pub is_first: bool,
    pub is_group: bool,
    pub number: Uuid,
}

/// Whether a rule answers this message.
pub fn answers(rule: &Words, asked: &Asked<'_>) -> bool {
    let is_in_scope = rule.number_id.is_none_or(|number| number == asked.number);
    if !rule.is_enabled || !is_in_scope || (asked.is_group && !rule.reply_to_groups) {
        return false;
    }
    match rule.trigger.as_str() {
        "all" => true,
        "welcome" => asked.is_first,
        _ => matches(&rule.matches, &rule.mode, asked.text),
    }
}

fn matches(wanted: &str, mode: &str, text: &str) -> bool {
    let (wanted, text) = (wanted.trim().to_lowercase(), text.trim().to_lowercase());
    if wanted.is_empty() {
        return false;
    }
    match mode {
        "exact" => text == wanted,
        "starts" => text.starts_with(&wanted),
        _ => text.contains(&wanted),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(trigger: &str, matches: &str, mode: &str) -> Words {
        Words {
            name: "R".to_owned(),
            is_enabled: true,
            trigger: trigger.to_owned(),
            matches: matches.to_owned(),
            mode: mode.to_owned(),
            response: "Hi".to_owned(),
            number_id: None,
            reply_to_groups: false,
            cooldown_minutes: 5,
            position: 1,
        }
    }

    const ASKED: Asked<'_> = Asked { text: " Price list? ", is_first: false, is_group: false, number: Uuid::nil() };

    #[test]
    fn modes_look_where_they_say() {
        for (mode, wanted, is_found) in [
            ("contains", "LIST", true),
            ("contains", "lists", false),
            ("exact", "price LIST?", true),
            ("exact", "price", false),
            ("starts", "PRICE", true),
            ("starts", "list", false),
        ] {
            assert_eq!(answers(&rule("keyword", wanted, mode), &ASKED), is_found, "{mode} {wanted}");
        }
    }

    #[test]
    fn triggers_numbers_groups_and_the_switch_limit_a_rule() {
        assert!(answers(&rule("all", "", "contains"), &ASKED));
        assert!(!answers(&rule("welcome", "", "contains"), &ASKED));
        assert!(answers(&rule("welcome", "", "contains"), &Asked { is_first: true, ..ASKED }));
        let group = Asked { is_group: true, ..ASKED };
        assert!(!answers(&rule("all", "", "contains"), &group));
        assert!(answers(&Words { reply_to_groups: true, ..rule("all", "", "contains") }, &group));
        assert!(!answers(&Words { number_id: Some(Uuid::max()), ..rule("all", "", "contains") }, &ASKED));
        assert!(!answers(&Words { is_enabled: false, ..rule("all", "", "contains") }, &ASKED));
    }

    proptest! {
        #[test]
        fn what_is_equal_begins_and_holds(text in "[a-zA-Z0-9 ]{1,30}") {
            prop_assume!(!text.trim().is_empty());
            for mode in super::super::MODES {
                prop_assert!(matches(&text, mode, &text.to_uppercase()));
            }
        }
    }
}
