//! What a company's notices say where only approved templates may go: chosen for each purpose, in each language.

use std::collections::BTreeSet;

use loopd_kernel::messenger::{Notice, Purpose};
use loopd_web::{Schema as _, schema};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::template::{self, Asked};

/// Languages of one purpose.
const MOST: usize = 20;
/// Bytes of one template's parameters.
const BYTES_MOST: usize = 8 * 1024;

/// The templates that a company names; none unless it does.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Templates {
    reminder: Vec<Asked>,
    invoice: Vec<Asked>,
}

impl Templates {
    fn of(&self, purpose: Purpose) -> &[Asked] {
        match purpose {
            Purpose::Reminder => &self.reminder,
            Purpose::Invoice => &self.invoice,
        }
    }

    /// The one for a notice, in its language, or else in one of its countries: `en` is also said by `en_GB`.
    pub fn chosen(&self, notice: &Notice<'_>) -> Option<&Asked> {
        let all = self.of(notice.purpose);
        let is_of = |asked: &&Asked| asked.language.split('_').next() == Some(notice.language);
        all.iter().find(|asked| asked.language == notice.language).or_else(|| all.iter().find(is_of))
    }

    /// With the purposes that a change names in place of its own.
    ///
    /// # Errors
    /// In words.
    pub fn changed(&self, change: &Map<String, Json>) -> Result<Self, String> {
        let mut next = self.clone();
        for (name, value) in change {
            let Some(purpose) = Purpose::ALL.into_iter().find(|purpose| purpose.as_str() == name) else {
                return Err(format!("There is no {name}."));
            };
            let read = read(purpose, value)?;
            match purpose {
                Purpose::Reminder => next.reminder = read,
                Purpose::Invoice => next.invoice = read,
            }
        }
        Ok(next)
    }

    pub fn schema() -> Json {
        let words = |purpose: Purpose| {
            let words = purpose.words().iter().map(|word| format!("`{{{{{word}}}}}`")).collect::<Vec<_>>();
            format!("One for each language. Parameters may hold {}.", words.join(", "))
        };
        let member = |purpose: Purpose| (purpose.as_str(), schema::array(template::shape()).describe(&words(purpose)));
        schema::object(Purpose::ALL.map(member))
    }
}

fn read(purpose: Purpose, value: &Json) -> Result<Vec<Asked>, String> {
    let name = purpose.as_str();
    let all = value.as_array().filter(|all| all.len() <= MOST);
    let all = all.ok_or_else(|| format!("{name} is a list of {MOST} templates at most."))?;
    let (mut asked, mut languages) = (Vec::with_capacity(all.len()), BTreeSet::new());
    for one in all {
        let read = one.as_object().filter(|_| one.to_string().len() <= BYTES_MOST).and_then(Asked::read);
        let read =
            read.ok_or_else(|| format!("{name}: a template has a name, a language, and a list of components."))?;
        if let Some(word) = read.unknown_words(purpose.words()).first() {
            let known = purpose.words().iter().map(|word| format!("{{{{{word}}}}}")).collect::<Vec<_>>();
            return Err(format!("{name}: {{{{{word}}}}} is not known; there are {}.", known.join(", ")));
        }
        if !languages.insert(read.language.clone()) {
            return Err(format!("{name}: there are two templates in {}.", read.language));
        }
        asked.push(read);
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use loopd_types::Uuid;
    use serde_json::json;

    use super::*;

    fn changed(value: Json) -> Result<Templates, String> {
        Templates::default().changed(value.as_object().expect("an object"))
    }

    #[test]
    fn a_notice_is_said_in_its_language() {
        let all = json!({"reminder": [{"name": "a", "language": "en_GB"}, {"name": "b", "language": "fr"}, {"name": "c", "language": "en"}]});
        let all = changed(all).expect("templates");
        let chosen = |purpose: Purpose, language: &str| {
            let notice = Notice {
                purpose,
                reference: "r",
                phone: "",
                name: "",
                text: "",
                language,
                words: &[],
                module: "",
                resource: "",
                id: Uuid::nil(),
                label: "",
                person: None,
                expires_at: None,
            };
            all.chosen(&notice).map(|asked| asked.name.clone())
        };
        assert_eq!(chosen(Purpose::Reminder, "en").as_deref(), Some("c"));
        assert_eq!(chosen(Purpose::Reminder, "fr").as_deref(), Some("b"));
        assert_eq!((chosen(Purpose::Reminder, "rw"), chosen(Purpose::Invoice, "en")), (None, None));
        let british = changed(json!({"invoice": [{"name": "a", "language": "en_GB"}]})).expect("templates");
        assert_eq!(british.invoice[0].language, "en_GB");
    }

    #[test]
    fn what_nobody_could_send_is_refused_in_words() {
        let with = |text: &str| json!([{"type": "body", "parameters": [{"type": "text", "text": text}]}]);
        assert!(
            changed(json!({"invoice": [{"name": "a", "language": "en", "components": with("{{amount}}")}]})).is_ok()
        );
        for odd in [
            json!({"birthday": []}),
            json!({"invoice": {}}),
            json!({"invoice": [{"name": "a"}]}),
            json!({"invoice": [{"name": "a", "language": "en", "components": with("{{when}}")}]}),
            json!({"invoice": [{"name": "a", "language": "en"}, {"name": "b", "language": "en"}]}),
        ] {
            let words = changed(odd.clone()).expect_err(&odd.to_string());
            assert!(words.ends_with('.'), "{words}");
        }
    }
}
