//! What the sandbox mailbox holds: tests read people's mail as a developer does.

use loopd_kernel::audit::INSTALLATION;
use loopd_kernel::mail::{self, Letter, Template};
use loopd_store::{View, params};
use loopd_types::Uuid;

use super::World;

/// A letter of the sandbox.
#[derive(Clone, Debug)]
pub struct Mail {
    pub template: String,
    pub language: String,
    pub subject: String,
    pub text: String,
    pub html: String,
}

impl Mail {
    /// The token in the letter's link.
    #[track_caller]
    pub fn token(&self) -> String {
        let rest = self.text.split("?token=").nth(1).unwrap_or_else(|| panic!("no link in: {}", self.text));
        rest.split_whitespace().next().unwrap_or_default().to_owned()
    }
}

impl World {
    /// The letters to an address, oldest first.
    pub async fn letters(&self, to: &str) -> Vec<Mail> {
        let (to, kernel) = (to.to_owned(), self.kernel.clone());
        let read = self.kernel.db.read(View::System, move |reader| {
            let rows = reader.query(
                "SELECT id, template, language, subject FROM mail_messages WHERE recipient = $1 ORDER BY id",
                &params![&to],
                |row| Ok((row.uuid(0)?, row.text(1)?.to_owned(), row.text(2)?.to_owned(), row.text(3)?.to_owned())),
            )?;
            let mut letters = Vec::new();
            for (id, template, language, subject) in rows {
                let (text, html) = mail::read_body(reader, &kernel, id)?.unwrap_or_default();
                letters.push(Mail { template, language, subject, text, html });
            }
            Ok(letters)
        });
        read.await.expect("letters can be read")
    }

    /// A letter that was tried too often: its row's id.
    pub async fn failed_letter(&self) -> Uuid {
        let kernel = self.kernel.clone();
        let failed = self.kernel.db.write(View::System, move |tx| {
            let template = Template::DataErased;
            let letter = Letter { company: INSTALLATION, to: "stuck@example.com", language: "en", template };
            let id = mail::queue(tx, &kernel, &letter)?;
            tx.execute("UPDATE mail_messages SET state = 'failed' WHERE id = $1", &params![id])?;
            Ok(id)
        });
        failed.await.expect("a letter can fail")
    }

    /// The letters of one template to an address, oldest first.
    pub async fn letters_of(&self, to: &str, template: &str) -> Vec<Mail> {
        self.letters(to).await.into_iter().filter(|letter| letter.template == template).collect()
    }

    /// The newest letter of a template to an address.
    #[track_caller]
    pub fn letter(&self, to: &str, template: &str) -> impl Future<Output = Mail> {
        let caller = std::panic::Location::caller();
        async move {
            let found = self.letters_of(to, template).await.pop();
            found.unwrap_or_else(|| panic!("{caller}: nobody wrote a letter `{template}` to {to}"))
        }
    }
}
