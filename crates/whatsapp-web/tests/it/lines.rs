//! News of a line, and who holds it.

use std::sync::Arc;
use std::time::Duration;

use loopd_types::{HOUR_US, Kind, SECOND_US};
use loopd_wave::address::Address;
use loopd_wave::engine::web::store::lease;
use loopd_wave::engine::{Content, Engine as _, Fate, Outgoing, Progress, Received, Stage as Reached, Unsent};
use loopd_wave::message::{self, Draft, Origin, Queued, enqueue, store};
use loopd_wave::number::{self, State};
use loopd_wave::{Settings, preference};
use loopd_whatsapp_web::outbound::name;
use loopd_whatsapp_web::told::{self, Told};
use loopd_whatsapp_web::whatsapp_rust::transport::{Transport, TransportEvent, TransportFactory};
use loopd_whatsapp_web::whatsapp_rust::wacore::types::events::{Connected, Event, TempBanReason, TemporaryBan};
use loopd_whatsapp_web::whatsapp_rust::{anyhow, async_channel, async_trait, chrono};
use loopd_whatsapp_web::{Held, Web};

use crate::stage::{NOW, Stage, each};

/// A network without WhatsApp.
struct Nowhere;

#[async_trait]
impl TransportFactory for Nowhere {
    async fn create_transport(&self) -> anyhow::Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        anyhow::bail!("there is no WhatsApp here")
    }
}

fn engine() -> Held {
    let version = Some((2, 3000, 1));
    let settings = Settings { web_version: version, ..Settings::default() };
    Held(Arc::new(Web::over(&settings, Arc::new(Nowhere), Duration::from_millis(50)).unwrap()))
}

impl Stage {
    async fn hear(&self, event: &Event) {
        let told = told::read(event, Some("+250788000001"), self.kernel.now());
        told::write(&self.kernel, self.whose, &told).await.unwrap();
    }

    async fn ready(&self) {
        self.hear(&Event::Connected(Connected::builder().build())).await;
    }
}

#[tokio::test]
async fn a_ban_rests_the_line_until_it_is_over() {
    each(async |stage: &Stage| {
        stage.ready().await;
        let known = stage.number().await;
        assert_eq!((known.state, known.phone.as_deref()), (State::Ready, Some("+250788000001")));
        let ban = TemporaryBan::builder().code(TempBanReason::from(104)).expire(chrono::Duration::hours(2)).build();
        stage.hear(&Event::TemporaryBan(ban)).await;
        let known = stage.number().await;
        let until = stage.kernel.now().plus(2 * HOUR_US);
        assert_eq!((known.state, known.paused_until), (State::Disconnected, Some(until)));
        assert!(known.pause_reason.unwrap().contains("same message"));
        assert!(stage.number().await.is_paused(stage.kernel.now()));
        stage.clock.advance(2 * HOUR_US);
        assert!(!stage.number().await.is_paused(stage.kernel.now()), "it is over by itself");
    })
    .await;
}

/// A message that an agent writes to somebody.
async fn written(stage: &Stage) -> Queued {
    let (kernel, tenant, whose) = (stage.kernel.clone(), stage.tenant.clone(), stage.whose);
    let queued = stage.kernel.db.write(stage.tenant.view(), move |tx| {
        let number = number::get(tx, whose.company, whose.number)?;
        let preferences = preference::load(tx, whose.company)?;
        let to = loopd_wave::address::Address::parse("250788123456").unwrap();
        let draft = Draft {
            number: &number,
            to: &to,
            content: loopd_wave::engine::Content::text("We are open"),
            origin: Origin::Api,
            agent: None,
            due_at: kernel.now(),
            expires_at: None,
        };
        enqueue(tx, &kernel, &tenant, &preferences, &draft)
    });
    queued.await.unwrap()
}

#[tokio::test]
async fn a_message_has_its_name_before_it_goes_and_ticks_find_it_whatever_happened() {
    each(async |stage: &Stage| {
        stage.ready().await;
        let id = written(stage).await.message.id;
        let (engine, number) = (engine(), stage.number().await);
        let outgoing = Outgoing {
            message: id,
            to: loopd_wave::address::Address::parse("250788123456").unwrap(),
            content: loopd_wave::engine::Content::text("We are open"),
            attempt: 1,
        };
        // Without a connection nothing is handed over, and it says so.
        let waits = engine.send(&stage.kernel, &number, &outgoing).await;
        assert!(matches!(waits, Err(Unsent::Later { .. })), "{waits:?}");
        assert!(matches!(engine.look_up(&stage.kernel, &number, &outgoing).await, Fate::NotSent));
        // The process dies between the name and the answer: nobody knows, and the first tick tells.
        let (company, named) = (stage.whose.company, name::of(id));
        let wa_id = named.clone();
        let stored = stage.kernel.db.write(stage.tenant.view(), move |tx| Ok(store::name(tx, company, id, &wa_id)?));
        stored.await.unwrap();
        assert!(matches!(engine.look_up(&stage.kernel, &number, &outgoing).await, Fate::Unknown), "never sent blindly");
        for reached in [Reached::Delivered, Reached::Sent, Reached::Read] {
            let news =
                Progress { wa_id: named.clone(), message: None, stage: reached, at: stage.kernel.now(), failure: None };
            let told = Told { progress: vec![news], ..Told::default() };
            told::write(&stage.kernel, stage.whose, &told).await.unwrap();
        }
        assert_eq!(stage.texts("SELECT status FROM wave_messages").await, ["read"]);
        assert_eq!(stage.count("SELECT count(*) FROM wave_outgoing").await, 0, "nothing is handed over again");
    })
    .await;
}

#[tokio::test]
async fn a_line_is_one_nodes_at_a_time() {
    each(async |stage: &Stage| {
        let (first, second) = (engine(), engine());
        let number = stage.number().await;
        let said = first.connect(&stage.kernel, &number).await.unwrap();
        assert_eq!(said.state, State::Connecting, "nobody answers, and somebody who waits is answered all the same");
        let refused = second.connect(&stage.kernel, &number).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (Kind::Conflict, "held_elsewhere"));
        assert!(second.probe(&stage.kernel, &number).await.unwrap().is_none(), "its node knows better");
        assert!(first.probe(&stage.kernel, &number).await.is_err(), "it is not connected");
        // It is unlinked: the node lets go, and nothing of it is left.
        first.unlink(&stage.kernel, &number).await.unwrap();
        assert_eq!(stage.count("SELECT count(*) FROM wave_web_states").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_line_whose_node_died_is_taken_over() {
    each(async |stage: &Stage| {
        stage.ready().await;
        let whose = stage.whose;
        assert_eq!(lease::claim(&stage.kernel, "first", 10).await.unwrap(), [whose]);
        assert!(lease::claim(&stage.kernel, "second", 10).await.unwrap().is_empty());
        stage.clock.advance(lease::LEASE_US / 2);
        assert_eq!(lease::renew(&stage.kernel, "first").await.unwrap(), [whose]);
        stage.clock.advance(lease::LEASE_US / 2);
        assert!(lease::claim(&stage.kernel, "second", 10).await.unwrap().is_empty(), "it was renewed");
        stage.clock.advance(lease::LEASE_US / 2);
        assert_eq!(lease::claim(&stage.kernel, "second", 10).await.unwrap(), [whose]);
        assert!(lease::renew(&stage.kernel, "first").await.unwrap().is_empty());
    })
    .await;
}

#[tokio::test]
async fn numbers_that_were_never_linked_or_were_unlinked_are_nobodys() {
    each(async |stage: &Stage| {
        assert!(lease::claim(&stage.kernel, "node", 10).await.unwrap().is_empty(), "nobody scanned a code");
        stage.ready().await;
        let change = told::change(State::LoggedOut, None);
        let told = Told { change: Some(change), ..Told::default() };
        told::write(&stage.kernel, stage.whose, &told).await.unwrap();
        assert!(lease::claim(&stage.kernel, "node", 10).await.unwrap().is_empty());
    })
    .await;
}

/// Nothing is asked of a telephone that cannot be reached; what it would be asked begins at the oldest that is known of each chat.
#[tokio::test]
async fn older_messages_are_asked_for_from_the_oldest_known() {
    each(async |stage: &Stage| {
        let number = stage.number().await;
        let refused = engine().older(&stage.kernel, &stage.tenant, &number).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Unavailable);
        let (kernel, tenant, line) = (stage.kernel.clone(), stage.tenant.clone(), number.clone());
        let told = stage.kernel.db.write(stage.tenant.view(), move |tx| {
            for (wa_id, phone, second) in
                [("A2", "250788111111", 20), ("A1", "250788111111", 10), ("B1", "250788222222", 30)]
            {
                let chat = Address::parse(&format!("{phone}@s.whatsapp.net")).expect("an address");
                let received = Received {
                    wa_id: wa_id.to_owned(),
                    identities: vec![chat.clone()],
                    chat,
                    push_name: None,
                    author: None,
                    from_me: wa_id == "A1",
                    content: Content { text: Some("Muraho".to_owned()), ..Content::default() },
                    at: NOW.plus(second * SECOND_US),
                    is_history: true,
                };
                message::receive(tx, &kernel, &tenant, &line, &received)?;
            }
            Ok(())
        });
        told.await.unwrap();
        let (company, id) = (number.company, number.id);
        let found = stage
            .kernel
            .db
            .read(stage.tenant.view(), move |reader| Ok(store::oldest_of_chats(reader, company, id, 10)?));
        let found: Vec<(String, String, bool)> =
            found.await.unwrap().into_iter().map(|it| (it.jid, it.wa_id, it.from_me)).collect();
        let one = |phone: &str, wa_id: &str, from_me| (format!("{phone}@s.whatsapp.net"), wa_id.to_owned(), from_me);
        assert_eq!(found, [one("250788222222", "B1", false), one("250788111111", "A1", true)]);
    })
    .await;
}
