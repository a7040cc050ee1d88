//! At least one success for every documented operation: by definition where that is enough, by hand where it is not.

mod account;
mod billing;
mod business;
mod core;
mod files;
mod loomal;
mod loopwave;
mod wave_people;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use http::Method;
use loopd_testkit::{Answer, Client, Request, assert_gaps, each_engine};
use serde_json::Value;

use self::billing::{billing, subscribe};
use self::business::{by_hand, resources};
use self::core::core;
use self::files::{data_subjects, exports, files};
use self::loomal::loomal;
use self::loopwave::loopwave;
use super::operations;
use crate::support::{Actor, World};

/// Calls operations and notes which of them answered with a success.
struct Tour {
    /// Segments of the documented path, method, operation id.
    routes: Vec<(Vec<String>, Method, String)>,
    done: BTreeSet<String>,
    failures: BTreeMap<String, String>,
    owner: Actor,
}

fn segments(path: &str) -> Vec<String> {
    path.split('?').next().unwrap_or_default().trim_matches('/').split('/').map(str::to_owned).collect()
}

impl Tour {
    fn new(world: &World, owner: Actor) -> Self {
        let routes = operations(world).iter().map(|o| (segments(&o.path), o.method.clone(), o.id.clone())).collect();
        Self { routes, done: BTreeSet::new(), failures: BTreeMap::new(), owner }
    }

    /// The documented operation behind a call; a literal segment beats a parameter.
    fn id_of(&self, method: &Method, path: &str) -> String {
        let asked = segments(path);
        let fits = |route: &[String]| {
            route.len() == asked.len() && route.iter().zip(&asked).all(|(r, a)| r.starts_with('{') || r == a)
        };
        let found = self.routes.iter().filter(|(route, known, _)| known == method && fits(route));
        found
            .min_by_key(|(route, ..)| route.iter().filter(|segment| segment.starts_with('{')).count())
            .map(|(.., id)| id.clone())
            .unwrap_or_else(|| panic!("{method} {path} is no documented operation"))
    }

    async fn call(&mut self, method: Method, path: &str, request: Request) -> Answer {
        let id = self.id_of(&method, path);
        let answer = request.await;
        if (200..300).contains(&answer.status) {
            self.done.insert(id);
        } else {
            self.failures.insert(id, format!("{}: {} {}", answer.what, answer.status, answer.text()));
        }
        answer
    }

    async fn get(&mut self, path: &str) -> Answer {
        let request = self.owner.get(path);
        self.call(Method::GET, path, request).await
    }
    async fn post(&mut self, path: &str, body: Value) -> Answer {
        let request = self.owner.post(path).json(&body);
        self.call(Method::POST, path, request).await
    }
    async fn upload(&mut self, path: &str) -> Answer {
        let request = self.owner.post(path).body("text/plain", "hello");
        self.call(Method::POST, path, request).await
    }
    async fn csv(&mut self, path: &str, text: &str) -> Answer {
        let request = self.owner.post(path).body("text/csv", text.to_owned());
        self.call(Method::POST, path, request).await
    }
    async fn patch(&mut self, path: &str, body: Value) -> Answer {
        let request = self.owner.patch(path).json(&body);
        self.call(Method::PATCH, path, request).await
    }
    async fn put(&mut self, path: &str, body: Value) -> Answer {
        let request = self.owner.put(path).json(&body);
        self.call(Method::PUT, path, request).await
    }
    async fn delete(&mut self, path: &str) -> Answer {
        let request = self.owner.delete(path);
        self.call(Method::DELETE, path, request).await
    }
    async fn post_as(&mut self, client: &Client, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, client.post(path).json(&body)).await
    }
    async fn get_as(&mut self, client: &Client, path: &str) -> Answer {
        self.call(Method::GET, path, client.get(path)).await
    }
}

each_engine! {
    async fn every_operation_has_a_happy_case(world: &World) {
        let owner = world.owner().await;
        let mut tour = Tour::new(world, owner);
        resources(world, &mut tour).await;
        core(world, &mut tour).await;
        files(world, &mut tour).await;
        exports(world, &mut tour).await;
        data_subjects(&mut tour).await;
        subscribe(world, &mut tour).await;
        billing(world, &mut tour).await;
        loomal(world, &mut tour).await;
        loopwave(world, &mut tour).await;
        by_hand(world, &mut tour).await;
        let missing: Vec<String> = tour.routes.iter().map(|(.., id)| id.clone()).filter(|id| !tour.done.contains(id)).collect();
        for id in &missing {
            println!("{id}: {}", tour.failures.get(id).map_or("never asked: add a happy case to coverage/happy/", String::as_str));
        }
        assert_gaps(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/coverage/gaps.txt"), missing);
    }
}
