//! [`Samples`]: bodies and records made from definitions, so that a new resource is covered without a line here.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use loopd_business::define::{Action, Field, Kind, Preset, Titled};
use loopd_business::engine::{Registry, ResourceRuntime};
use loopd_testkit::{Client, json};
use serde_json::{Map, Value};

/// What a definition cannot say by itself: fields that a rule of the module wants. `#` is a number that differs each time, and
/// `@module/resource` a record of that resource.
const WANTED: [(&str, &str); 6] = [
    ("booking/waitlist-entries", r#"{"customer": "@booking/customers"}"#),
    ("chat/messages", r#"{"body": "Hello #"}"#),
    ("cms/redirects", r#"{"from_path": "/old-#", "to_path": "/new"}"#),
    ("payments/invoices", r#"{"data": {"amount": 25000, "currency": "RWF"}}"#),
    ("payments/payment-links", r#"{"amount": "1000"}"#),
    ("payments/payments", r#"{"amount": "1000"}"#),
];

/// The same for what actions take beyond their required input.
const INPUTS: [(&str, &str); 4] = [
    ("booking/appointments/assign", r#"{"staff": "@booking/staff-members"}"#),
    ("booking/appointments/reschedule", r#"{"starts_at": "2026-06-23T08:00:00Z"}"#),
    ("booking/waitlist-entries/book", r#"{"starts_at": "2026-06-23T08:00:00Z"}"#),
    ("booking/waitlist-entries/offer", r#"{"starts_at": "2026-06-23T08:00:00Z"}"#),
];

/// Makes records in one company.
pub struct Samples<'w> {
    owner: &'w Client,
    registry: &'w Registry,
    number: u32,
    /// One record of each resource that others refer to.
    known: BTreeMap<String, String>,
}

type Later<'f, T> = Pin<Box<dyn Future<Output = T> + Send + 'f>>;

impl<'w> Samples<'w> {
    pub fn new(owner: &'w Client, registry: &'w Registry) -> Self {
        Self { owner, registry, number: 0, known: BTreeMap::new() }
    }

    pub fn runtime(&self, path: &str) -> &'w ResourceRuntime {
        self.registry.find(path).unwrap_or_else(|| panic!("no resource {path}"))
    }

    /// Makes a record with what is required, and gives its id.
    ///
    /// # Errors
    /// The server's refusal, in words.
    pub async fn make(&mut self, path: &str) -> Result<String, String> {
        let body = self.body(path, &[]).await;
        self.make_of(path, &body).await
    }

    /// Makes a record of this body.
    ///
    /// # Errors
    /// The server's refusal, in words.
    pub async fn make_of(&mut self, path: &str, body: &Value) -> Result<String, String> {
        let answer = self.owner.post(&format!("/api/v1/{path}/")).json(body).await;
        if answer.status != 201 {
            return Err(format!("{} with {body}: {} {}", answer.what, answer.status, answer.text()));
        }
        Ok(answer.text_at("/id"))
    }

    /// A body with the required fields and these others.
    pub fn body<'f>(&'f mut self, path: &'f str, also: &'f [String]) -> Later<'f, Value> {
        Box::pin(async move {
            let resource = &self.runtime(path).resource;
            let mut body = Map::new();
            if resource.titled == Titled::Required {
                self.number += 1;
                body.insert("title".into(), json!(format!("Sample {}", self.number)));
            }
            for field in resource.fields.iter().filter(|field| field.is_writable()) {
                if field.required || also.contains(&field.name) {
                    let is_unique = field.unique || resource.uniques.iter().any(|set| set.fields.contains(&field.name));
                    body.insert(field.name.clone(), self.value(field, is_unique).await);
                }
            }
            for lines in resource.lines.iter().filter(|lines| lines.min > 0 || also.contains(&lines.name)) {
                let mut row = Map::new();
                for field in lines.fields.iter().filter(|field| field.is_writable() && field.default.is_none()) {
                    row.insert(field.name.clone(), self.value(field, false).await);
                }
                body.insert(lines.name.clone(), json!(vec![Value::Object(row); lines.min.max(1)]));
            }
            body.extend(self.by_hand(&WANTED, path).await);
            Value::Object(body)
        })
    }

    /// The input that an action of a resource asks for.
    pub async fn input(&mut self, path: &str, action: &Action) -> Value {
        let mut body = Map::new();
        for field in action.input.iter().filter(|field| field.required) {
            body.insert(field.name.clone(), self.value(field, false).await);
        }
        body.extend(self.by_hand(&INPUTS, &format!("{path}/{}", action.name)).await);
        Value::Object(body)
    }

    async fn by_hand(&mut self, table: &[(&str, &str)], place: &str) -> Map<String, Value> {
        let Some((_, text)) = table.iter().find(|(of, _)| *of == place) else { return Map::new() };
        self.number += 1;
        let mut text = text.replace('#', &self.number.to_string());
        while let Some(start) = text.find("\"@") {
            let end = start + 2 + text[start + 2..].find('"').expect("a text ends");
            let id = self.one(&text[start + 2..end]).await;
            text.replace_range(start + 1..end, &id);
        }
        serde_json::from_str(&text).expect("an object")
    }

    /// A value of a field's kind; texts differ each time, so that nothing unique collides.
    async fn value(&mut self, field: &Field, is_unique: bool) -> Value {
        self.number += 1;
        let number = self.number;
        if let Some(example) = field
            .example
            .as_ref()
            .filter(|_| !is_unique && field.kind.target().is_none() && field.kind != Kind::DateTime)
        {
            return example.clone();
        }
        match &field.kind {
            Kind::Text { max } => json!(format!("text {number}").chars().take(*max).collect::<String>()),
            Kind::LongText => json!(format!("Words, number {number}.")),
            Kind::Slug => json!(format!("slug-{number}")),
            Kind::Email => json!(format!("someone{number}@example.com")),
            Kind::Url => json!(format!("https://example.com/{number}")),
            Kind::Phone => json!(format!("+2507880{number:05}")),
            Kind::Boolean => json!(true),
            Kind::Integer { min, max } => json!((1).clamp(*min, *max)),
            Kind::Decimal { .. } => json!("1"),
            Kind::Money { .. } => json!("1000"),
            Kind::Currency => json!("RWF"),
            Kind::Percent => json!("18"),
            // The tests' day is 2026-06-22, a Monday; moments lie in the week after it, in the morning.
            Kind::Date => json!("2026-06-23"),
            Kind::DateTime => {
                let (day, minute) = (23 + number / 25 % 3, number % 25);
                let end = u32::from(field.name.starts_with("end"));
                json!(format!("2026-06-{day:02}T08:{:02}:00Z", minute + end * 30))
            }
            Kind::TimeOfDay => json!(if field.name.starts_with("end") { "17:00" } else { "09:00" }),
            Kind::Minutes => json!(30),
            Kind::Choice { choices } => json!(choices[0]),
            Kind::Language => json!("en"),
            Kind::Timezone => json!("Africa/Kigali"),
            Kind::Reference { target } => json!(self.one(target).await),
            Kind::References { target } => json!([self.one(target).await]),
            Kind::User => match &field.default {
                Some(Preset::Caller) => Value::Null,
                _ => self.owner.get("/api/v1/auth/me/").await.expect_status(200).at("/user/id"),
            },
            Kind::Json | Kind::Object => json!({}),
            Kind::Tags => json!(["sample"]),
            Kind::Code => json!(format!("CODE{number}")),
        }
    }

    /// A record that others may refer to; made at the first question.
    fn one<'f>(&'f mut self, target: &'f str) -> Later<'f, String> {
        Box::pin(async move {
            if let Some(known) = self.known.get(target) {
                return known.clone();
            }
            let id = match self.make(target).await {
                Ok(id) => id,
                // Records that only the server makes are taken from what is there.
                Err(_) => {
                    let page = self.owner.get(&format!("/api/v1/{target}/")).await.expect_status(200).json();
                    page.pointer("/results/0/id").and_then(Value::as_str).unwrap_or(super::NOBODY).to_owned()
                }
            };
            self.known.insert(target.to_owned(), id.clone());
            id
        })
    }

    /// Makes a record and brings it by actions into a state in which `wanted` may start.
    ///
    /// # Errors
    /// The last refusal on every way there, in words.
    pub async fn make_ready(&mut self, path: &str, wanted: &Action) -> Result<String, String> {
        let resource = &self.runtime(path).resource;
        let mut failures = vec![format!("no way leads to {:?}", wanted.from)];
        for way in ways(&resource.states, &resource.actions, wanted) {
            let needs: Vec<String> = way.iter().chain([&wanted]).flat_map(|action| action.needs.clone()).collect();
            match self.walk(path, &way, &needs, wanted).await {
                Ok(id) => return Ok(id),
                Err(words) => failures.push(words),
            }
        }
        Err(failures.pop().unwrap_or_default())
    }

    async fn walk(&mut self, path: &str, way: &[&Action], needs: &[String], wanted: &Action) -> Result<String, String> {
        let body = self.body(path, needs).await;
        let id = self.make_of(path, &body).await?;
        let item = format!("/api/v1/{path}/{id}/");
        for action in way {
            let input = self.input(path, action).await;
            let answer = self.owner.post(&format!("{item}{}/", action.name)).json(&input).await;
            if answer.status != 200 {
                return Err(format!("{} with {input}: {} {}", answer.what, answer.status, answer.text()));
            }
        }
        let status = self.owner.get(&item).await.expect_status(200).text_at("/status");
        if wanted.may_start_in(&status) { Ok(id) } else { Err(format!("{path} came to {status} by {}", names(way))) }
    }
}

fn names(way: &[&Action]) -> String {
    way.iter().map(|action| action.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Ways of up to four actions to a state that `wanted` may start in, shortest first. They begin in any state, because a rule may put a
/// new record into another than the first (an appointment with a time is pending at once).
fn ways<'d>(states: &[String], actions: &'d [Action], wanted: &Action) -> Vec<Vec<&'d Action>> {
    let mut found: Vec<Vec<&Action>> = vec![Vec::new()];
    let mut open: Vec<(&str, Vec<&Action>)> = states.iter().map(|state| (state.as_str(), Vec::new())).collect();
    for _ in 0..4 {
        let mut next = Vec::new();
        for (state, way) in &open {
            for action in actions.iter().filter(|action| action.may_start_in(state)) {
                if way.iter().any(|before| before.name == action.name) {
                    continue;
                }
                for to in &action.to {
                    let longer: Vec<&Action> = way.iter().copied().chain([action]).collect();
                    if wanted.may_start_in(to) && !found.iter().any(|known| names(known) == names(&longer)) {
                        found.push(longer.clone());
                    }
                    next.push((to.as_str(), longer));
                }
            }
        }
        next.truncate(200);
        open = next;
    }
    found.truncate(12);
    found
}
