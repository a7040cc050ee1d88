//! Who writes STOP is not written to by programs any more, until they write START.

use loopd_kernel::{Kernel, Tenant};
use loopd_store::Tx;
use loopd_types::Result;

use super::store::{self, Words};
use crate::chat::Chat;
use crate::message::Message;

/// English, French, Kinyarwanda.
const STOP: [&str; 4] = ["stop", "arret", "arrêt", "hagarika"];
const START: [&str; 1] = ["start"];

/// Hears a word that is the whole message.
///
/// # Errors
/// 503 from the database.
pub fn on_inbound(tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant, chat: &Chat, message: &Message) -> Result<()> {
    let Some(wish) = wish(message.content.text.as_deref().unwrap_or_default()) else { return Ok(()) };
    let Some(id) = chat.contact_id else { return Ok(()) };
    let before = store::lock(tx, tenant.company, id)?;
    let reason = wish.then(|| "wrote so".to_owned());
    let next = Words { is_opted_out: wish, opt_out_reason: reason, ..before.words.clone() };
    if before.words.is_opted_out == wish {
        return Ok(());
    }
    store::change(tx, kernel, tenant, &before, &next)
}

/// `true` for a word that opts out, `false` for one that opts in.
fn wish(text: &str) -> Option<bool> {
    let word = text.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
    if STOP.contains(&word.as_str()) {
        Some(true)
    } else if START.contains(&word.as_str()) {
        Some(false)
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::wish;

    #[test]
    fn only_the_whole_message_is_a_wish() {
        for text in ["STOP", " stop. ", "Arrêt!", "ARRET", "Hagarika"] {
            assert_eq!(wish(text), Some(true), "{text}");
        }
        assert_eq!(wish("Start"), Some(false));
        for text in ["", "Don't stop", "stop by tomorrow", "start over", "?"] {
            assert_eq!(wish(text), None, "{text}");
        }
    }
}
