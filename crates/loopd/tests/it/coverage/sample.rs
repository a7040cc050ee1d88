//! [`Samples`]: bodies and records made from definitions, so that a new resource is covered without a line here.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

use loopd_business::define::{Action, Field, Kind, Preset, Titled};
use loopd_business::engine::{Registry, ResourceRuntime};
use loopd_testkit::{Client, json};
use serde_json::{Map, Value};

/// What a definition cannot say by itself: fields that a rule of the module wants, by resource.
const WANTED: [(&str, &[&str]); 0] = [];

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
            let rule = WANTED.iter().find(|(of, _)| *of == path).map_or(&[][..], |(_, fields)| fields);
            let mut body = Map::new();
            if resource.titled == Titled::Required {
                self.number += 1;
                body.insert("title".into(), json!(format!("Sample {}", self.number)));
            }
            for field in resource.fields.iter().filter(|field| field.is_writable()) {
                if field.required || also.contains(&field.name) || rule.contains(&field.name.as_str()) {
                    body.insert(field.name.clone(), self.value(field).await);
                }
            }
            for lines in resource.lines.iter().filter(|lines| lines.min > 0 || also.contains(&lines.name)) {
                let mut row = Map::new();
                for field in lines.fields.iter().filter(|field| field.is_writable() && field.default.is_none()) {
                    row.insert(field.name.clone(), self.value(field).await);
                }
                body.insert(lines.name.clone(), json!(vec![Value::Object(row); lines.min.max(1)]));
            }
            Value::Object(body)
        })
    }

    /// The input that an action asks for.
    pub async fn input(&mut self, fields: &[Field]) -> Value {
        let mut body = Map::new();
        for field in fields.iter().filter(|field| field.required) {
            body.insert(field.name.clone(), self.value(field).await);
        }
        Value::Object(body)
    }

    /// A value of a field's kind; texts differ each time, so that nothing unique collides.
    async fn value(&mut self, field: &Field) -> Value {
        self.number += 1;
        let number = self.number;
        if let Some(example) = field.example.as_ref().filter(|_| !field.unique && field.kind.target().is_none()) {
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
            // The tests' day is 2026-06-22, a Monday; every record gets an hour of its own.
            Kind::Date => json!("2026-06-23"),
            Kind::DateTime => {
                let (day, hour) = (23 + number / 20 % 7, number % 20);
                let end = u32::from(field.name.starts_with("end"));
                json!(format!("2026-06-{day:02}T{hour:02}:{:02}:00Z", end * 30))
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
            let id = self.make(target).await.unwrap_or_else(|words| panic!("{words}"));
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
        for way in ways(&resource.actions, &resource.initial, wanted) {
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
            let input = self.input(&action.input).await;
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

/// Shortest ways from the first state (and, for definitions whose rules choose it, from the others) to one that `wanted` may start in.
fn ways<'d>(actions: &'d [Action], initial: &str, wanted: &Action) -> Vec<Vec<&'d Action>> {
    if wanted.may_start_in(initial) {
        return vec![Vec::new()];
    }
    let mut found = Vec::new();
    let mut open: Vec<(String, Vec<&Action>)> = vec![(initial.to_owned(), Vec::new())];
    // Breadth first, six steps at most: life cycles are short, and records in between cost a call each.
    for _ in 0..6 {
        let mut next = Vec::new();
        for (state, way) in &open {
            for action in actions.iter().filter(|action| action.may_start_in(state)) {
                for to in &action.to {
                    if way.iter().any(|before| before.name == action.name) {
                        continue;
                    }
                    let longer: Vec<&Action> = way.iter().copied().chain([action]).collect();
                    if wanted.may_start_in(to) {
                        found.push(longer.clone());
                    }
                    next.push((to.clone(), longer));
                }
            }
        }
        if found.len() >= 4 || next.len() > 200 {
            break;
        }
        open = next;
    }
    // A rule may put a new record into another first state (an appointment with a time is pending at once).
    found.push(Vec::new());
    found
}
