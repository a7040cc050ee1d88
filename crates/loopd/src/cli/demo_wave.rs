//! `loopd demo wave`: a busy shop's morning on WhatsApp, in the sandbox, through the same rules as everybody's messages. Played again, the
//! same people write again: agents, rules and customers are there already.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use loopd_kernel::account::{self, NewUser};
use loopd_kernel::{Kernel, Tenant, membership};
use loopd_store::{Reader, Tx, View};
use loopd_types::{CompanyCode, MINUTE_US, Result, Uuid, random_token};
use loopd_wave::address::Address;
use loopd_wave::broadcast::{self, Act};
use loopd_wave::chat::{self, act as chats};
use loopd_wave::contact::store::{self as contacts, Words};
use loopd_wave::engine::Content;
use loopd_wave::engine::sandbox::act::{self, Written};
use loopd_wave::engine::sandbox::{self, life};
use loopd_wave::kept_reply::{KeptReply, store as kept};
use loopd_wave::message::{self, Draft, Origin};
use loopd_wave::number::{self, Number};
use loopd_wave::segment::{Conditions, store as segments};
use loopd_wave::{Wave, agent, automation, note, outgoing, preference, ticket};
use serde_json::{Value, json};

use super::{Output, wave, words};
use crate::app::{self, World};
use crate::settings::Settings;

/// What the demo's number is called: by this it is found again.
const LABEL: &str = "Demo shop";
const PHONE: &str = "+250788000001";
const AGENTS: [(&str, &str); 2] = [("Chantal", "Uwera"), ("Didier", "Mugabo")];
/// How long what was set going is waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// Name, number, stage, tags.
const PEOPLE: [(&str, &str, &str, &[&str]); 8] = [
    ("Aline Uwase", "250788300101", "vip", &["moto", "gold"]),
    ("Jean Bosco Habimana", "250788300102", "customer", &["moto"]),
    ("Grace Mukamana", "250788300103", "lead", &[]),
    ("Eric Nshimiyimana", "250788300104", "customer", &["wholesale"]),
    ("Diane Ingabire", "250788300105", "vip", &["gold"]),
    ("Patrick Mugisha", "250788300106", "active", &["moto"]),
    ("Solange Iradukunda", "250788300107", "lead", &[]),
    ("Thierry Kwizera", "250788300108", "churned", &[]),
];

/// Minutes before now, who (a place among the people), what they write; in the order in which they do.
const MORNING: [(i64, usize, &str); 16] = [
    (118, 0, "Muraho! Is the blue helmet back in stock?"),
    (112, 1, "What is the price of a front tyre, 90/90-18?"),
    (110, 2, "Hello, are you open today?"),
    (101, 3, "I need 20 brake pads for Friday, can you do a better price?"),
    (96, 4, "The parcel from yesterday did not come"),
    (95, 4, "I paid with MoMo at 10:12"),
    (80, 5, "How much is the service for a TVS 125?"),
    (74, 1, "Ok I take two"),
    (61, 6, "Bonjour, vous livrez à Musanze ?"),
    (55, 0, "Super, keep one for me, I come at noon"),
    (48, 4, "I want a refund please"),
    (33, 3, "And 10 chains"),
    (25, 7, "STOP"),
    (14, 2, "Can I pay when it comes?"),
    (6, 5, "The engine makes a noise since Monday, can somebody look at it today?"),
    (2, 6, "Merci !"),
];

/// Which agent answers whom with what, after the customers wrote.
const ANSWERS: [(usize, usize, &str); 5] = [
    (0, 0, "Yes, it came this morning. I keep one for you until noon."),
    (1, 1, "45,000 RWF each, mounted. When do you come by?"),
    (0, 3, "For 20 pads and 10 chains I can give you 8 percent. I send you the invoice."),
    (1, 4, "I am sorry, Diane. I look for your parcel and call you within the hour."),
    (0, 6, "Oui, le car de 14 h. Frais 2 000 RWF."),
];

/// What was set up and played.
struct Shop {
    kernel: Arc<Kernel>,
    wave: Arc<Wave>,
    tenant: Arc<Tenant>,
    agents: Vec<Arc<Tenant>>,
    number: Number,
}

pub async fn run(settings: Settings, code: &str, output: &Output) -> anyhow::Result<()> {
    let base = settings.public_url();
    let server = app::build(settings, World::default()).await?;
    let (kernel, waves) = (server.kernel.clone(), server.wave.clone());
    let company = CompanyCode::parse(code).ok_or_else(|| anyhow!("`{code}` is no company code, such as 001"))?.0;
    let mut logins: Vec<Value> = Vec::new();
    if kernel.company_access(company).await.map_err(words)?.is_none() {
        logins.push(super::demo::register(&kernel, code).await?);
    }
    let access = kernel.company_access(company).await.map_err(words)?;
    let tenant = Arc::new(Tenant::system(access.ok_or_else(|| anyhow!("there is no company {code}"))?, "demo data"));
    let mut agents = Vec::new();
    for (first, last) in AGENTS {
        let (user, login) = agent_of(&kernel, &tenant, code, first, last).await?;
        logins.extend(login);
        agents.push(kernel.enter_for(user, company, None, "demo data").await.map_err(words)?);
    }
    let number = line_of(&kernel, &waves, &tenant).await?;
    let shop = Shop { kernel: kernel.clone(), wave: waves, tenant, agents, number };
    shop.prepare().await.map_err(words)?;
    shop.play().await.map_err(words)?;
    shop.settle().await.map_err(words)?;
    let told = shop.told().await.map_err(words)?;
    kernel.db.close().await;
    say(output, code, &base, &shop.number, &logins, &told);
    Ok(())
}

/// Somebody who answers customers, and how they sign in if they are new.
async fn agent_of(
    kernel: &Arc<Kernel>,
    tenant: &Arc<Tenant>,
    code: &str,
    first: &str,
    last: &str,
) -> anyhow::Result<(Uuid, Option<Value>)> {
    let email = format!("{}{code}@example.com", first.to_lowercase());
    if let Some(known) = account::find_id_by_email(kernel, &email).await.map_err(words)? {
        return Ok((known, None));
    }
    let password = random_token(kernel.rng.as_ref(), 9);
    let new = NewUser {
        email: email.clone(),
        username: format!("{}{code}", first.to_lowercase()),
        password_hash: kernel.passwords.hash(password.clone()).await.map_err(words)?,
        first_name: first.to_owned(),
        last_name: last.to_owned(),
        phone: String::new(),
        language: "en".to_owned(),
        is_staff: false,
        is_superuser: false,
    };
    let (shared, boss) = (kernel.clone(), tenant.clone());
    let make = move |tx: &mut Tx<'_>| {
        let user = account::create_user(tx, &shared, &new)?;
        membership::create(tx, &shared, &boss, json!({"user": user.to_string(), "role": "staff"}))?;
        Ok(user)
    };
    let user = kernel.db.write(View::System, make).await.map_err(words)?;
    Ok((user, Some(json!({"email": email, "password": password}))))
}

/// The demo's number, linked.
async fn line_of(kernel: &Arc<Kernel>, waves: &Arc<Wave>, tenant: &Arc<Tenant>) -> anyhow::Result<Number> {
    let company = tenant.company;
    let find = move |reader: &mut Reader<'_>| Ok(number::store::of_engine(reader, company, sandbox::NAME)?);
    let known = kernel.db.read(tenant.view(), find).await.map_err(words)?;
    if let Some(number) = known.into_iter().find(|number| number.label == LABEL && number.is_ready()) {
        return Ok(number);
    }
    let engine = waves.engine(sandbox::NAME).context("the sandbox is not enabled (LOOP_WHATSAPP_ENGINES)")?;
    let past = |days: i64, who: usize, from_me: bool, text: &str| Written {
        from_me,
        name: Some(PEOPLE[who].0.to_owned()),
        at: Some(kernel.now().plus(-days * 24 * 60 * MINUTE_US)),
        ..Written::text(person(who), text)
    };
    let history = vec![
        past(9, 0, false, "Good evening, do you have gloves?"),
        past(9, 0, true, "We do, from 9,000 RWF."),
        past(3, 4, false, "Thank you for the quick delivery!"),
    ];
    wave::link(kernel, engine, tenant, PHONE, LABEL, history).await
}

fn person(place: usize) -> Address {
    Address::parse(PEOPLE[place].1).expect("the demo's people have numbers")
}

impl Shop {
    async fn write<T, F>(&self, who: &Arc<Tenant>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>, &Kernel, &Tenant) -> Result<T> + Send + 'static,
    {
        let (kernel, tenant) = (self.kernel.clone(), who.clone());
        self.kernel.db.write(who.view(), move |tx| work(tx, &kernel, &tenant)).await
    }

    /// Customers, rules, kept replies, a segment: what is there already stays.
    async fn prepare(&self) -> Result<()> {
        self.write(&self.tenant, |tx, kernel, tenant| {
            for (place, (name, _, lifecycle, tags)) in PEOPLE.iter().enumerate() {
                let address = person(place);
                let words = Words {
                    name: (*name).to_owned(),
                    phone: address.telephone(),
                    lifecycle: (*lifecycle).to_owned(),
                    tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
                    ..Words::default()
                };
                match contacts::find_by(tx, tenant.company, &address)? {
                    None => contacts::create(tx, kernel, tenant, &words).map(drop)?,
                    Some(known) => {
                        let before = contacts::lock(tx, tenant.company, known.id)?;
                        let next = Words { lifecycle: words.lifecycle, tags: words.tags, ..before.words.clone() };
                        contacts::change(tx, kernel, tenant, &before, &next)?;
                    }
                }
            }
            let rules = automation::store::enabled(tx, tenant.company)?;
            let wanted = [
                ("Opening hours", "keyword", "open", "Hello {{name}}, we are open every day from 8 to 18."),
                ("Prices", "keyword", "price", "Hello {{name}}, somebody tells you the price in a moment."),
            ];
            for (name, trigger, matches, response) in wanted {
                if !rules.iter().any(|rule| rule.content.name == name) {
                    let words = automation::Words {
                        name: name.to_owned(),
                        is_enabled: true,
                        trigger: trigger.to_owned(),
                        matches: matches.to_owned(),
                        mode: "contains".to_owned(),
                        response: response.to_owned(),
                        number_id: None,
                        reply_to_groups: false,
                        cooldown_minutes: 5,
                        position: automation::store::next_position(tx, tenant.company)?,
                    };
                    automation::store::create(tx, kernel, tenant, &words)?;
                }
            }
            if kept::list(tx, tenant)?.iter().all(|reply| reply.shortcut != "price") {
                let reply = KeptReply {
                    id: kernel.new_id(),
                    owner_id: None,
                    created_by: None,
                    shortcut: "price".to_owned(),
                    title: "Price of a service".to_owned(),
                    text: "Hello {{first_name}}, a service for a TVS 125 is 12,000 RWF, oil included. {{agent}}, {{company}}".to_owned(),
                    file_id: None,
                    used_count: 0,
                    used_at: None,
                    created_at: kernel.now(),
                    version: 1,
                };
                kept::insert(tx, kernel, tenant, &reply)?;
            }
            if segments::list(tx, tenant.company)?.iter().all(|segment| segment.name != "Gold riders") {
                let segment = segments::Segment {
                    id: kernel.new_id(),
                    name: "Gold riders".to_owned(),
                    filter: Conditions { lifecycle: Vec::new(), tags: vec!["gold".to_owned()] },
                    created_by: None,
                    created_at: kernel.now(),
                    version: 1,
                };
                segments::insert(tx, kernel, tenant, &segment)?;
            }
            Ok(())
        })
        .await
    }

    async fn play(&self) -> Result<()> {
        let number = self.number.id;
        for (before, who, text) in MORNING {
            self.write(&self.tenant, move |tx, kernel, tenant| {
                let at = Some(kernel.now().plus(-before * MINUTE_US));
                let name = Some(PEOPLE[who].0.to_owned());
                let written = Written { at, name, ..Written::text(person(who), text) };
                act::receive(tx, kernel, tenant, number, &written).map(drop)
            })
            .await?;
        }
        self.write(&self.tenant, move |tx, kernel, tenant| {
            let group = Address::parse("120363041234567890@g.us").expect("a group has a jid");
            let (name, author) = (Some("Traders of Nyabugogo".to_owned()), Some("Emmanuel".to_owned()));
            let written = Written { name, author, ..Written::text(group, "Does anybody open on Sunday?") };
            act::receive(tx, kernel, tenant, number, &written).map(drop)
        })
        .await?;
        for (who, to, text) in ANSWERS {
            self.answer(who, to, text).await?;
        }
        self.tidy().await?;
        self.broadcast().await
    }

    /// An agent takes a chat and answers in it.
    async fn answer(&self, who: usize, to: usize, text: &'static str) -> Result<()> {
        let number = self.number.id;
        self.write(&self.agents[who], move |tx, kernel, tenant| {
            let line = number::get(tx, tenant.company, number)?;
            let preferences = preference::load(tx, tenant.company)?;
            let draft = Draft {
                number: &line,
                to: &person(to),
                content: Content::text(text),
                origin: Origin::Agent,
                agent: agent::caller(tx, tenant)?,
                due_at: kernel.now(),
                expires_at: None,
            };
            let queued = message::enqueue(tx, kernel, tenant, &preferences, &draft)?;
            let wanted = chats::Change { assignee: Some(tenant.actor.user), ..chats::Change::default() };
            chats::change(tx, kernel, tenant, queued.chat.id, &wanted).map(drop)
        })
        .await
    }

    /// Labels, a note, a ticket, and a chat that is done.
    async fn tidy(&self) -> Result<()> {
        let number = self.number.id;
        let chat_of = move |tx: &mut Tx<'_>, tenant: &Tenant, who: usize| {
            let found = chat::store::find_named(tx, tenant.company, &person(who).to_string(), None)?;
            found.filter(|chat| chat.number_id == number).ok_or_else(loopd_types::Problem::not_found)
        };
        self.write(&self.agents[1], move |tx, kernel, tenant| {
            let late = chat_of(tx, tenant, 4)?;
            let labels = Some(vec!["delivery".to_owned(), "urgent".to_owned()]);
            chats::change(tx, kernel, tenant, late.id, &chats::Change { labels, ..chats::Change::default() })?;
            note::store::insert(
                tx,
                kernel,
                tenant,
                late.id,
                "The rider says he left it at the gate. Calls back at 11.",
            )?;
            let mut content = ticket::of_chat(&late);
            "Parcel of yesterday did not come".clone_into(&mut content.subject);
            "high".clone_into(&mut content.priority);
            content.assignee_id = tenant.actor.user;
            content.assignee_name = agent::caller(tx, tenant)?.map(|agent| agent.name);
            let made = ticket::create(tx, kernel, tenant, &content)?;
            ticket::store::comment(tx, kernel, tenant, made.id, "Asked the rider.")?;
            let done = chat_of(tx, tenant, 1)?;
            let status = Some("resolved".to_owned());
            chats::change(tx, kernel, tenant, done.id, &chats::Change { status, ..chats::Change::default() }).map(drop)
        })
        .await
    }

    /// News for the gold riders: two people, so that nobody waits for the pauses between many.
    async fn broadcast(&self) -> Result<()> {
        let number = self.number.id;
        self.write(&self.tenant, move |tx, kernel, tenant| {
            let filter = Conditions { lifecycle: Vec::new(), tags: vec!["gold".to_owned()] }.conditions();
            let recipients = contacts::people(tx, tenant.company, &filter, broadcast::RECIPIENTS_MOST)?;
            let new = broadcast::New {
                name: "New helmets".to_owned(),
                message: "Hello {{name}}, the new helmets are here. Gold riders have 10 percent off until Saturday."
                    .to_owned(),
                template: None,
                number: Some(number),
                recipients,
            };
            let id = kernel.new_id();
            broadcast::create(tx, kernel, tenant, id, &new)?;
            broadcast::act(tx, kernel, tenant, id, Act::Start(None))
        })
        .await
    }

    /// Has what was set going go out and be read, as a running server does.
    async fn settle(&self) -> Result<()> {
        let began = std::time::Instant::now();
        loop {
            let turns = broadcast::run_due(&self.wave, &self.kernel).await?;
            let sent = outgoing::run_due(&self.wave, &self.kernel).await?;
            let steps = life::step(&self.kernel).await?;
            let (company, number) = (self.tenant.company, self.number.id);
            let left = move |reader: &mut Reader<'_>| Ok(outgoing::store::queue_depth(reader, company, number)?);
            let left = self.kernel.db.read(self.tenant.view(), left).await?;
            let is_over = turns + sent + steps == 0 && left == 0 && began.elapsed() > Duration::from_secs(4);
            if is_over || began.elapsed() > PATIENCE {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// How the inbox stands.
    async fn told(&self) -> Result<Value> {
        let company = self.tenant.company;
        let read = move |reader: &mut Reader<'_>| {
            let count = |reader: &mut Reader<'_>, filter: chat::store::Filter| {
                let page = loopd_web::cursor::Page { limit: 1_000, after: None };
                Ok::<_, loopd_types::Problem>(chat::store::list(reader, company, &filter, &page)?.len())
            };
            let all = count(reader, chat::store::Filter::default())?;
            let waiting = count(reader, chat::store::Filter { is_waiting: true, ..chat::store::Filter::default() })?;
            let status = Some("resolved".to_owned());
            let resolved = count(reader, chat::store::Filter { status, ..chat::store::Filter::default() })?;
            Ok(json!({"chats": all, "waiting": waiting, "resolved": resolved}))
        };
        self.kernel.db.read(self.tenant.view(), read).await
    }
}

fn say(output: &Output, code: &str, base: &str, number: &Number, logins: &[Value], told: &Value) {
    let mut text = format!(
        "A morning of {LABEL} (company {code}, number {}) was played in the sandbox: nothing left this server.\n\
         {} chats; in {} of them a customer waits, {} are resolved. A ticket was opened and a broadcast goes out to the gold riders.\n\n\
         Look:\n  loopd serve, then {base}/api/v1/loopwave/chats/?waiting=true (X-Company-ID: {code})\n\
         \x20 loopd wave phone {} {}     what Aline's telephone was sent\n\
         \x20 loopd wave receive {} {} \"I am here\"     and have her write again\n",
        number.public_id,
        told["chats"],
        told["waiting"],
        told["resolved"],
        number.public_id,
        PEOPLE[0].1,
        number.public_id,
        PEOPLE[0].1,
    );
    match logins {
        [] => text
            .push_str("\nThe agents are the same as the last time; `loopd user password EMAIL` sets a new password.\n"),
        logins => {
            text.push_str("\nSign in (POST /api/v1/auth/login/) as:\n");
            for login in logins {
                let part = |name: &str| login[name].as_str().unwrap_or_default().to_owned();
                text.push_str(&format!("  {}  {}\n", part("email"), part("password")));
            }
        }
    }
    let value = json!({"company": code, "number": number.public_id, "logins": logins, "inbox": told});
    output.say(text.trim_end(), &value);
}
