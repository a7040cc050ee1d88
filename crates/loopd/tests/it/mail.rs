//! Letters: the sandbox that a developer reads, and a mail server that takes, refuses and stalls.

use std::ops::Deref;
use std::sync::{Arc, Mutex};

use loopd_kernel::audit::INSTALLATION;
use loopd_kernel::mail::{self, Letter, Template};
use loopd_store::{View, params};
use loopd_testkit::{Boot, Database, assert_json, each_engine, json};
use loopd_types::{HOUR_US, Uuid};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{World, eventually};

const LETTERS: &str = "/api/v1/mail-messages/";

/// Writes a letter as any part of the product does.
async fn write(world: &World, to: &'static str, name: &'static str) -> Uuid {
    let kernel = world.kernel.clone();
    let queued = world.kernel.db.write(View::System, move |tx| {
        let template = Template::WebhookDisabled { company: name, url: "https://example.com/hook" };
        mail::queue(tx, &kernel, &Letter { company: INSTALLATION, to, language: "fr", template })
    });
    queued.await.expect("a letter can be queued")
}

async fn state_of(world: &World, id: Uuid) -> (String, i64, Option<String>, bool) {
    let read = world.kernel.db.read(View::System, move |reader| {
        let sql = "SELECT state, attempts, last_error, body FROM mail_messages WHERE id = $1";
        Ok(reader.one(sql, &params![id], |row| {
            Ok((row.text(0)?.to_owned(), row.i64(1)?, row.opt_text(2)?.map(str::to_owned), row.opt_bytes(3)?.is_some()))
        })?)
    });
    read.await.expect("a letter's row can be read")
}

async fn becomes(world: &World, id: Uuid, state: &str, attempts: i64) -> (String, i64, Option<String>, bool) {
    eventually(&format!("the letter is {state} after {attempts}"), async || {
        let found = state_of(world, id).await;
        found.0 == state && found.1 == attempts
    })
    .await;
    state_of(world, id).await
}

each_engine! {
    async fn a_developer_reads_the_sandbox_and_every_look_is_on_record(world: &World) {
        let (root, owner) = (world.superuser().await, world.owner().await);
        let id = write(world, "grace@example.com", "Kigali <Bikes>").await;
        becomes(world, id, "sent", 1).await;
        let item = format!("{LETTERS}{id}/");
        let listed = root.get(LETTERS).query("to", "grace@example.com").await.expect_status(200);
        assert_json!(listed.json(), {"count": 1, "results": [{"id": id.to_string(), "template": "webhook-disabled", "language": "fr",
            "via": "sandbox", "state": "sent", "company": null, "subject": "Un webhook de Kigali <Bikes> a été désactivé"}]});
        assert!(!listed.text().contains("Bonjour"), "a list tells no letter's words");
        let read = root.get(&item).await.expect_status(200);
        assert!(read.text_at("/text").starts_with("Bonjour,") && read.text_at("/html").contains("Kigali &lt;Bikes&gt;"));
        for path in [LETTERS, &item] {
            owner.get(path).await.expect_refusal(403, "permission_denied");
        }
        let looks = root.get("/api/v1/audit-logs/").query("label", "core.mail-messages.view").await.expect_status(200);
        assert_json!(looks.json(), {"count": 2});
        root.post(&format!("{item}retry/")).await.expect_refusal(409, "invalid_transition");
    }

    async fn a_letter_leaves_only_with_the_transaction_that_wrote_it(world: &World) {
        let kernel = world.kernel.clone();
        let refused = world.kernel.db.write(View::System, move |tx| -> loopd_types::Result<()> {
            let template = Template::DataErased;
            mail::queue(tx, &kernel, &Letter { company: INSTALLATION, to: "grace@example.com", language: "en", template })?;
            Err(loopd_types::Problem::not_found())
        });
        assert!(refused.await.is_err());
        assert!(world.letters("grace@example.com").await.is_empty());
    }

    async fn whoever_reads_the_database_reads_no_links(world: &World) {
        let id = write(world, "grace@example.com", "Kigali").await;
        let sealed = world.kernel.db.read(View::System, move |reader| {
            Ok(reader.one("SELECT body FROM mail_messages WHERE id = $1", &params![id], |row| Ok(row.bytes(0)?.to_vec()))?)
        });
        let sealed = sealed.await.expect("a body");
        assert!(!sealed.windows(7).any(|part| part == b"Bonjour"));
    }

    async fn links_begin_with_our_own_address_whatever_a_request_calls_us(world: &World) {
        let kernel = world.kernel.clone();
        let link = mail::link(&kernel, "/account/password/", "a-token");
        assert_eq!(link, format!("{}/account/password/?token=a-token", world.base));
        let queued = world.kernel.db.write(View::System, move |tx| {
            let template = Template::PasswordReset { link: &link, minutes: 30 };
            mail::queue(tx, &kernel, &Letter { company: INSTALLATION, to: "grace@example.com", language: "rw", template })
        });
        queued.await.expect("a letter can be queued");
        let letter = world.letter("grace@example.com", "password-reset").await;
        assert_eq!((letter.language.as_str(), letter.token().as_str()), ("rw", "a-token"));
        assert!(letter.subject.contains("ijambobanga") && letter.html.contains("lang=\"rw\""), "{letter:?}");
    }

    async fn what_is_no_address_is_noted_and_never_tried(world: &World) {
        for to in ["nobody", "a@example.com\r\nBcc: all@example.com", ""] {
            let id = write(world, to, "Kigali").await;
            let (state, attempts, error, has_body) = state_of(world, id).await;
            assert_eq!((state.as_str(), attempts, has_body), ("refused", 0, false), "{to:?} {error:?}");
        }
    }

    async fn a_mail_server_takes_letters_whole_and_their_words_are_forgotten(world: &Mailed) {
        let id = write(world, "grace@example.com", "Kigali\r\nBcc: all@example.com").await;
        let (.., has_body) = becomes(world, id, "sent", 1).await;
        assert!(!has_body, "a letter that left is not kept");
        let (to, data) = world.taken().pop().expect("a letter was handed over");
        assert_eq!(to, ["<grace@example.com>"]);
        let (head, _) = data.split_once("\r\n\r\n").expect("a head");
        assert!(!head.contains("\r\nBcc:"), "{head}");
        for line in ["From: LOOP <no-reply@example.com>", "To: grace@example.com", "Auto-Submitted: auto-generated",
            &format!("Message-ID: <{id}@example.com>"), "Date: Mon, 22 Jun 2026 10:00:00 +0000"] {
            assert!(head.contains(line), "{line} is not in\n{head}");
        }
        assert!(head.contains("multipart/alternative") && data.contains("text/plain") && data.contains("text/html"));
        let root = world.superuser().await;
        let read = root.get(&format!("{LETTERS}{id}/")).await.expect_status(200);
        assert_json!(read.json(), {"text": null, "html": null, "via": "smtp"});
    }

    async fn a_mailbox_that_is_not_there_is_refused_for_good(world: &Mailed) {
        let id = write(world, "gone@example.com", "Kigali").await;
        let (_, _, error, has_body) = becomes(world, id, "refused", 1).await;
        assert!(error.is_some_and(|words| words.contains("no such mailbox")) && !has_body);
        world.clock.advance(2 * HOUR_US);
        assert_eq!(world.kernel.db.read(View::System, |reader| {
            Ok(reader.one("SELECT count(*) FROM jobs WHERE kind = 'mail.send' AND state <> 'done'", &[], |row| row.i64(0))?)
        }).await.expect("a count"), 0, "nothing is left to be tried");
    }

    async fn a_busy_server_is_asked_again_until_it_takes_the_letter(world: &Mailed) {
        let id = write(world, "busy@example.com", "Kigali").await;
        let (_, _, error, _) = becomes(world, id, "queued", 1).await;
        assert!(error.is_some_and(|words| words.contains("try later")));
        world.clock.advance(HOUR_US);
        becomes(world, id, "sent", 2).await;
        assert_eq!(world.taken().len(), 1);
    }

    async fn a_password_of_ours_that_is_refused_is_no_fault_of_the_letter(world: &Mailed) {
        let id = write(world, "auth@example.com", "Kigali").await;
        becomes(world, id, "queued", 1).await;
    }

    async fn who_gives_up_on_a_letter_can_be_asked_again(world: &Mailed) {
        let id = write(world, "stuck@example.com", "Kigali").await;
        becomes(world, id, "queued", 1).await;
        // The ten attempts between would take the test ten looks at the clock.
        let nearly = world.kernel.db.write(View::System, |tx| Ok(tx.execute("UPDATE jobs SET attempts = 11 WHERE kind = 'mail.send'", &[])?));
        assert_eq!(nearly.await.expect("a job can be aged"), 1);
        world.clock.advance(2 * HOUR_US);
        becomes(world, id, "failed", 2).await;
        world.clear();
        let root = world.superuser().await;
        let again = root.post(&format!("{LETTERS}{id}/retry/")).json(&json!({})).await.expect_status(200);
        assert_json!(again.json(), {"state": "queued"});
        becomes(world, id, "sent", 3).await;
    }
}

/// The world with a mail server beside it.
struct Mailed {
    world: World,
    server: Arc<Server>,
}

#[derive(Default)]
struct Server {
    taken: Mutex<Vec<(Vec<String>, String)>>,
    /// Recipients that were put off before.
    put_off: Mutex<Vec<String>>,
    is_clear: Mutex<bool>,
}

impl Deref for Mailed {
    type Target = World;
    fn deref(&self) -> &World {
        &self.world
    }
}

impl Mailed {
    /// Recipients and data of what was handed over.
    fn taken(&self) -> Vec<(Vec<String>, String)> {
        self.server.taken.lock().expect("no panic inside").clone()
    }

    /// From now on everything is taken.
    fn clear(&self) {
        *self.server.is_clear.lock().expect("no panic inside") = true;
    }
}

impl Boot for Mailed {
    const NAME: &'static str = World::NAME;

    async fn prepare(database: &Database) {
        World::prepare(database).await;
    }

    async fn boot(database: Database) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        let server = Arc::new(Server::default());
        let serving = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = serving.clone();
                tokio::spawn(async move { server.talk(stream).await });
            }
        });
        let settings = [("LOOP_SMTP_URL", url.as_str()), ("LOOP_MAIL_FROM", "LOOP <no-reply@example.com>")];
        Self { world: World::start(database, &settings).await, server }
    }

    async fn close(self) {
        self.world.close().await;
    }
}

impl Server {
    /// As little of RFC 5321 as a client needs.
    async fn talk(&self, stream: TcpStream) {
        let (read, mut write) = stream.into_split();
        let mut lines = BufReader::new(read).lines();
        let (mut to, mut data, mut in_data) = (Vec::new(), String::new(), false);
        if write.write_all(b"220 mail.example.com\r\n").await.is_err() {
            return;
        }
        while let Ok(Some(line)) = lines.next_line().await {
            let answer = if in_data {
                if line != "." {
                    data.push_str(line.strip_prefix('.').unwrap_or(&line));
                    data.push_str("\r\n");
                    continue;
                }
                in_data = false;
                let letter = (std::mem::take(&mut to), std::mem::take(&mut data));
                self.taken.lock().expect("no panic inside").push(letter);
                "250 taken".to_owned()
            } else if let Some(recipient) = line.strip_prefix("RCPT TO:") {
                self.judge(recipient.trim(), &mut to)
            } else if line == "DATA" {
                in_data = true;
                "354 go on".to_owned()
            } else if line == "QUIT" {
                return;
            } else {
                if line.starts_with("MAIL") || line == "RSET" {
                    to.clear();
                }
                "250 fine".to_owned()
            };
            if write.write_all(format!("{answer}\r\n").as_bytes()).await.is_err() {
                return;
            }
        }
    }

    fn judge(&self, recipient: &str, to: &mut Vec<String>) -> String {
        let is_clear = *self.is_clear.lock().expect("no panic inside");
        let mut put_off = self.put_off.lock().expect("no panic inside");
        let answer = match recipient {
            "<gone@example.com>" => "550 no such mailbox",
            "<auth@example.com>" => "535 who are you",
            "<stuck@example.com>" if !is_clear => "451 try later",
            "<busy@example.com>" if !put_off.contains(&recipient.to_owned()) => {
                put_off.push(recipient.to_owned());
                "451 try later"
            }
            _ => {
                to.push(recipient.to_owned());
                "250 fine"
            }
        };
        answer.to_owned()
    }
}
