//! What the library tells of a line: its state, what became of messages, bans. [`read`] is pure, [`write`] writes it down.

use std::sync::Arc;

use loopd_kernel::{Kernel, Tenant};
use loopd_types::{Problem, Result, SECOND_US, Timestamp};
use loopd_wave::engine::web::store::state::{self, Whose};
use loopd_wave::engine::{Change, Failure, Progress, Signal, Stage};
use loopd_wave::message;
use loopd_wave::number::{self, State};
use loopd_wave::outgoing::{self, store::heard};
use whatsapp_rust::wacore::types::events::{
    ConnectFailureReason, Event, Receipt, ServerAck, TempBanReason, TemporaryBan,
};
use whatsapp_rust::wacore::types::presence::ReceiptType;

use crate::inbound::read::moment;

/// Why a connection is over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It may be back soon.
    Lost,
    /// Until then WhatsApp takes nothing of this number.
    Banned(Timestamp),
    /// Trying again soon makes nothing better: somebody else uses the same device, WhatsApp refuses this version, the account is locked.
    Refused,
    /// The device was unlinked: what is kept of it opens nothing any more.
    LoggedOut,
    /// Nobody scanned the code.
    NotScanned,
    /// This server wanted it.
    Stopped,
}

/// What one event comes to.
#[derive(Clone, Debug, Default)]
pub struct Told {
    pub change: Option<Change>,
    pub progress: Vec<Progress>,
    /// WhatsApp restricts the line, until then if it says so.
    pub restricted: Option<(Failure, Option<Timestamp>)>,
    pub ended: Option<Ended>,
}

impl Told {
    fn change(state: State, reason: Option<String>) -> Self {
        Self { change: Some(change(state, reason)), ..Self::default() }
    }

    fn ends(self, ended: Ended) -> Self {
        Self { ended: Some(ended), ..self }
    }

    /// Whether it says nothing that is written down.
    pub fn is_empty(&self) -> bool {
        self.change.is_none() && self.progress.is_empty() && self.restricted.is_none()
    }
}

pub fn change(state: State, reason: Option<String>) -> Change {
    Change { state, reason, qr: None, phone: None }
}

fn words(text: &str) -> Option<String> {
    Some(text.to_owned())
}

/// Reads an event. `phone` is the line's own telephone number, once it is known.
pub fn read(event: &Event, phone: Option<&str>, now: Timestamp) -> Told {
    match event {
        Event::PairingQrCode(it) => {
            let life = i64::try_from(it.timeout.as_micros()).unwrap_or(60 * SECOND_US);
            let reason = words("Scan the code with WhatsApp: Linked devices, Link a device.");
            let qr = Some((it.code.clone(), now.plus(life)));
            Told { change: Some(Change { qr, ..change(State::Qr, reason) }), ..Told::default() }
        }
        Event::PairingQrCodesExhausted(_) => {
            Told::change(State::Disconnected, words("Nobody scanned the code. Connect the number again.")).ends(Ended::NotScanned)
        }
        Event::QrScannedWithoutMultidevice(_) => Told::change(
            State::Qr,
            words("The telephone that scanned the code has a WhatsApp that links no devices. Update it, and scan again."),
        ),
        Event::PairSuccess(it) => {
            let known = crate::inbound::address::address(&it.id).and_then(|address| address.telephone());
            let reason = words("The telephone has linked the number; it is being connected.");
            Told { change: Some(Change { phone: known, ..change(State::Connecting, reason) }), ..Told::default() }
        }
        Event::PairError(it) => {
            Told::change(State::Disconnected, Some(format!("The number could not be linked: {}. Connect it again.", it.error)))
                .ends(Ended::NotScanned)
        }
        Event::Connected(_) => {
            let ready = Change { phone: phone.map(str::to_owned), ..change(State::Ready, None) };
            Told { change: Some(ready), ..Told::default() }
        }
        Event::Disconnected(_) => {
            Told::change(State::Disconnected, words("The connection was lost. It is being made again."))
        }
        Event::StreamReplaced(_) => Told::change(
            State::Disconnected,
            words("The same linked device was connected from somewhere else, as from a copy of this database. Only one can be."),
        )
        .ends(Ended::Refused),
        Event::ClientOutdated(_) => Told::change(
            State::Disconnected,
            words("WhatsApp no longer takes this version of WhatsApp Web. The operator sets LOOP_WHATSAPP_WEB_VERSION, or leaves it empty."),
        )
        .ends(Ended::Refused),
        Event::LoggedOut(it) => logged_out(it.reason),
        Event::TemporaryBan(it) => banned(it, now),
        Event::ConnectFailure(it) if it.reason.should_reconnect() => Told::default(),
        Event::ConnectFailure(it) => {
            let said = it.message.clone().unwrap_or_else(|| format!("{:?}", it.reason));
            Told::change(State::Disconnected, Some(format!("WhatsApp refuses the connection ({said})."))).ends(Ended::Refused)
        }
        Event::Receipt(it) => Told { progress: receipt(it, now), ..Told::default() },
        Event::ServerAck(it) => Told { progress: ack(it, now).into_iter().collect(), ..Told::default() },
        _ => Told::default(),
    }
}

/// Only who was unlinked is logged out: an account that is locked may be opened again, and its device with it.
fn logged_out(reason: ConnectFailureReason) -> Told {
    if reason == ConnectFailureReason::AccountLocked {
        let locked =
            "WhatsApp has locked this account. Open WhatsApp on its telephone: it says why, and what can be done.";
        let failure = Failure { code: "restricted".to_owned(), words: locked.to_owned() };
        return Told {
            restricted: Some((failure, None)),
            ..Told::change(State::Disconnected, words(locked)).ends(Ended::Refused)
        };
    }
    let reason = "The telephone unlinked this number, or WhatsApp did. Connect it and scan the new code.";
    Told::change(State::LoggedOut, words(reason)).ends(Ended::LoggedOut)
}

fn banned(ban: &TemporaryBan, now: Timestamp) -> Told {
    let lasts = ban.expire.num_microseconds().unwrap_or(i64::MAX / 4).clamp(0, i64::MAX / 4);
    let until = now.plus(lasts);
    let said = format!("WhatsApp has banned this number until {until}: {}.", why(&ban.code));
    let failure = Failure { code: "restricted".to_owned(), words: said.clone() };
    Told {
        restricted: Some((failure, Some(until))),
        ..Told::change(State::Disconnected, Some(said)).ends(Ended::Banned(until))
    }
}

/// What a code of a ban means, for a shop owner.
pub fn why(code: &TempBanReason) -> String {
    match code {
        TempBanReason::SentToTooManyPeople => {
            "it wrote to too many people who do not have it in their contacts (101)".to_owned()
        }
        TempBanReason::BlockedByUsers => "too many people blocked it (102)".to_owned(),
        TempBanReason::CreatedTooManyGroups => {
            "it made too many groups with people who do not have it in their contacts (103)".to_owned()
        }
        TempBanReason::SentTooManySameMessage => "it sent the same message to too many people (104)".to_owned(),
        TempBanReason::BroadcastList => "it sent too much to a broadcast list (106)".to_owned(),
        other => format!("WhatsApp thinks that its terms were broken ({})", other.code()),
    }
}

/// Ticks. Those of our own other devices say nothing of the customer.
fn receipt(receipt: &Receipt, now: Timestamp) -> Vec<Progress> {
    let stage = match receipt.r#type {
        ReceiptType::Delivered | ReceiptType::Inactive => Stage::Delivered,
        ReceiptType::Read | ReceiptType::Played => Stage::Read,
        _ => return Vec::new(),
    };
    if receipt.source.is_from_me {
        return Vec::new();
    }
    let at = moment(receipt.timestamp.timestamp(), now);
    let of = |id: &String| Progress { wa_id: id.clone(), message: None, stage, at, failure: None };
    receipt.message_ids.iter().map(of).collect()
}

/// WhatsApp itself has the message, or refuses it.
fn ack(ack: &ServerAck, now: Timestamp) -> Option<Progress> {
    if ack.class.as_deref() != Some("message") {
        return None;
    }
    let failure = ack.error.as_deref().map(refusal);
    let stage = if failure.is_some() { Stage::Failed } else { Stage::Sent };
    let at = ack.timestamp.map_or(now, |at| moment(at.timestamp(), now));
    Some(Progress { wa_id: ack.id.clone(), message: None, stage, at, failure })
}

/// What a code means with which WhatsApp refuses a message.
pub fn refusal(code: &str) -> Failure {
    let (ours, said) = match code {
        "463" => (
            "restricted",
            "WhatsApp does not let this number write first to this person now. Wait until they write, or try again in a day.",
        ),
        "404" => ("no_whatsapp", "This person is not on WhatsApp."),
        "403" | "401" => ("restricted", "WhatsApp does not let this number write here."),
        "429" => ("throttled", "WhatsApp says that this number sends too much. Try again later."),
        _ => ("refused", "WhatsApp refused this message."),
    };
    Failure { code: ours.to_owned(), words: format!("{said} ({code})") }
}

/// Writes down what was told of a line.
///
/// # Errors
/// The database's.
pub async fn write(kernel: &Arc<Kernel>, whose: Whose, told: &Told) -> Result<()> {
    if told.is_empty() && told.ended != Some(Ended::LoggedOut) {
        return Ok(());
    }
    let access = kernel.company_access(whose.company).await?;
    let access = access.ok_or_else(|| Problem::internal("a line of no company"))?;
    let tenant = Arc::new(Tenant::system(access, "loopwave web"));
    let (shared, told) = (kernel.clone(), told.clone());
    kernel
        .db
        .write(tenant.view(), move |tx| {
            let Some(known) = number::find(tx, whose.company, whose.number)? else { return Ok(()) };
            for news in &told.progress {
                message::progress(tx, &shared, &tenant, &known, news)?;
            }
            if let Some((failure, until)) = &told.restricted {
                heard(tx, &shared, &tenant, known.id, failure, Signal::Restricted(*until))?;
            }
            if told.ended == Some(Ended::LoggedOut) {
                // Nothing else removes what opens a line: not a lost connection, not a ban, not a restart.
                state::forget(tx, whose)?;
            }
            let Some(change) = &told.change else { return Ok(()) };
            number::change(tx, &shared, &tenant, known.id, change)?;
            if change.state == State::Ready {
                state::linked(tx, whose)?;
                outgoing::ring(tx);
            }
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use whatsapp_rust::chrono::{self, DateTime};
    use whatsapp_rust::wacore::net::DisconnectReason;
    use whatsapp_rust::wacore::types::events::{
        ClientOutdated, Connected, Disconnected, LoggedOut, PairSuccess, PairingQrCode, PairingQrCodesExhausted,
        StreamReplaced,
    };
    use whatsapp_rust::wacore::types::message::MessageSource;

    use super::*;

    const NOW: Timestamp = Timestamp(1_782_122_400_000_000);

    fn state(event: &Event) -> (State, Option<Ended>) {
        let told = read(event, Some("+250788000001"), NOW);
        (told.change.expect("a change").state, told.ended)
    }

    fn out(reason: ConnectFailureReason) -> Event {
        Event::LoggedOut(LoggedOut::builder().on_connect(true).reason(reason).build())
    }

    #[test]
    fn a_line_goes_from_its_code_to_being_ready() {
        let code = PairingQrCode::builder().code("2@abc".to_owned()).timeout(Duration::from_secs(20)).build();
        let shown = read(&Event::PairingQrCode(code), None, NOW).change.unwrap();
        assert_eq!((shown.state, shown.qr), (State::Qr, Some(("2@abc".to_owned(), NOW.plus(20 * SECOND_US)))));
        let pair = PairSuccess::builder()
            .id("250788000001:3@s.whatsapp.net".parse().unwrap())
            .lid("1@lid".parse().unwrap())
            .business_name(String::new())
            .platform("android".to_owned())
            .build();
        let linked = read(&Event::PairSuccess(pair), None, NOW).change.unwrap();
        assert_eq!((linked.state, linked.phone.as_deref()), (State::Connecting, Some("+250788000001")));
        assert_eq!(state(&Event::Connected(Connected::builder().build())), (State::Ready, None));
        let lost = Disconnected::builder().reason(DisconnectReason::StreamEnded).build();
        assert_eq!(state(&Event::Disconnected(lost)), (State::Disconnected, None), "the library connects again");
    }

    #[test]
    fn only_who_was_unlinked_is_logged_out() {
        let unlinked = (State::LoggedOut, Some(Ended::LoggedOut));
        assert_eq!(state(&out(ConnectFailureReason::LoggedOut)), unlinked);
        assert_eq!(state(&out(ConnectFailureReason::UnknownLogout)), unlinked);
        let kept = (State::Disconnected, Some(Ended::Refused));
        assert_eq!(state(&out(ConnectFailureReason::AccountLocked)), kept);
        assert_eq!(state(&Event::StreamReplaced(StreamReplaced::builder().build())), kept);
        assert_eq!(state(&Event::ClientOutdated(ClientOutdated::builder().build())), kept);
        let unseen = PairingQrCodesExhausted::builder().disconnected(true).build();
        assert_eq!(state(&Event::PairingQrCodesExhausted(unseen)), (State::Disconnected, Some(Ended::NotScanned)));
    }

    #[test]
    fn a_ban_says_why_and_until_when() {
        for (code, word) in [
            (101, "contacts"),
            (102, "blocked"),
            (103, "groups"),
            (104, "same message"),
            (106, "broadcast"),
            (199, "terms"),
        ] {
            let ban =
                TemporaryBan::builder().code(TempBanReason::from(code)).expire(chrono::Duration::hours(3)).build();
            let told = read(&Event::TemporaryBan(ban), None, NOW);
            let until = NOW.plus(3 * loopd_types::HOUR_US);
            assert_eq!(told.ended, Some(Ended::Banned(until)));
            let (failure, known) = told.restricted.unwrap();
            assert_eq!((failure.code.as_str(), known), ("restricted", Some(until)));
            assert!(failure.words.contains(word) && failure.words.contains(&code.to_string()), "{}", failure.words);
        }
        let locked = read(&out(ConnectFailureReason::AccountLocked), None, NOW);
        assert_eq!(locked.restricted.map(|(_, until)| until), Some(None), "nobody says until when");
    }

    fn ticks(kind: ReceiptType, is_from_me: bool) -> Vec<Stage> {
        let source = MessageSource { is_from_me, ..MessageSource::default() };
        let receipt = Receipt::builder()
            .source(source)
            .message_ids(vec!["A".to_owned(), "B".to_owned()])
            .timestamp(DateTime::from_timestamp(1_782_000_000, 0).unwrap())
            .r#type(kind)
            .offline(false)
            .build();
        read(&Event::Receipt(receipt), None, NOW).progress.into_iter().map(|news| news.stage).collect()
    }

    #[test]
    fn ticks_are_the_customers_and_not_our_own_devices() {
        assert_eq!(ticks(ReceiptType::Delivered, false), [Stage::Delivered; 2]);
        assert_eq!(ticks(ReceiptType::Read, false), [Stage::Read; 2]);
        assert_eq!(ticks(ReceiptType::Played, false), [Stage::Read; 2]);
        for kind in [ReceiptType::ReadSelf, ReceiptType::Sender, ReceiptType::Retry, ReceiptType::Sent] {
            assert!(ticks(kind.clone(), false).is_empty(), "{kind:?}");
        }
        assert!(ticks(ReceiptType::Read, true).is_empty());
    }

    #[test]
    fn whatsapp_has_a_message_or_refuses_it_in_words() {
        let of = |class: &str, error: Option<&str>| {
            let ack = ServerAck::builder().id("A".to_owned()).class(class.to_owned());
            let ack = ack.maybe_error(error.map(str::to_owned)).build();
            read(&Event::ServerAck(ack), None, NOW).progress.pop()
        };
        assert_eq!(of("message", None).unwrap().stage, Stage::Sent);
        let refused = of("message", Some("404")).unwrap();
        assert_eq!((refused.stage, refused.failure.unwrap().code.as_str()), (Stage::Failed, "no_whatsapp"));
        assert!(of("receipt", None).is_none(), "receipts of ours are acknowledged, too");
    }
}
