//! [`Actor`]: somebody with credentials, and the ways in which people come to a company.

use std::ops::Deref;
use std::sync::atomic::{AtomicU32, Ordering};

use loopd_kernel::account::{self, NewUser};
use loopd_store::{View, params};
use loopd_testkit::{Client, json};
use loopd_types::Uuid;
use serde_json::Value;

use super::World;

/// Somebody who is signed in: a [`Client`] with their token and, if they work in one, their company's header.
#[derive(Clone, Debug)]
pub struct Actor {
    client: Client,
    pub email: String,
    pub user: String,
    /// The company's code; empty for people without one.
    pub code: String,
    pub access: String,
    pub refresh: String,
}

impl Deref for Actor {
    type Target = Client;
    fn deref(&self) -> &Client {
        &self.client
    }
}

/// What every actor signs in with; the portal's own sample.
pub const PASSWORD: &str = "strongpass123";

impl Actor {
    fn of(client: &Client, email: &str, code: &str, answer: &loopd_testkit::Answer) -> Self {
        let access = answer.text_at("/access");
        let client = client.with_token(&access);
        Self {
            client: if code.is_empty() { client } else { client.company(code) },
            email: email.to_owned(),
            user: answer.text_at("/user/id"),
            code: code.to_owned(),
            access,
            refresh: answer.text_at("/refresh"),
        }
    }

    /// The same person with this company in the header.
    pub fn in_company(&self, code: &str) -> Client {
        self.client.company(code)
    }

    /// The id of this person's membership in the company of their header.
    pub async fn membership(&self) -> String {
        let found = self.get("/api/v1/memberships/").query("user", &self.user).await.expect_status(200);
        found.text_at("/results/0/id")
    }

    /// Makes a record and gives its id.
    pub async fn make(&self, path: &str, body: Value) -> String {
        self.post(path).json(&body).await.expect_status(201).text_at("/id")
    }
}

impl World {
    /// Registers somebody with a company of their own.
    pub async fn register(&self, name: &str) -> Actor {
        let (client, email) = (self.client(), format!("{name}@example.com"));
        let body =
            json!({"email": email, "username": name, "password": PASSWORD, "company_name": format!("{name} Ltd")});
        let answer = client.post("/api/v1/auth/register/").json(&body).await.expect_status(201);
        Actor::of(&client, &email, &answer.text_at("/company/code"), &answer)
    }

    /// The owner of company 001.
    pub async fn owner(&self) -> Actor {
        let owner = self.register("owner").await;
        assert_eq!(owner.code, "001", "the first registration gets the first code");
        owner
    }

    /// Owners of 001 and of 002, who have nothing to do with each other.
    pub async fn strangers(&self) -> (Actor, Actor) {
        (self.owner().await, self.register("stranger").await)
    }

    /// Somebody with an account and no company.
    pub async fn person(&self, name: &str) -> Actor {
        self.person_with(name, false).await
    }

    /// Somebody who may see every company.
    pub async fn superuser(&self) -> Actor {
        self.superuser_named("root").await
    }

    /// The same under another name, where a test needs two.
    pub async fn superuser_named(&self, name: &str) -> Actor {
        self.person_with(name, true).await
    }

    async fn person_with(&self, name: &str, is_superuser: bool) -> Actor {
        let email = format!("{name}@example.com");
        let password_hash = self.kernel.passwords.hash(PASSWORD.to_owned()).await.expect("a password can be hashed");
        let new = NewUser {
            email: email.clone(),
            username: name.to_owned(),
            password_hash,
            first_name: String::new(),
            last_name: String::new(),
            phone: String::new(),
            language: "en".to_owned(),
            is_staff: is_superuser,
            is_superuser,
        };
        let kernel = self.kernel.clone();
        let made = self.kernel.db.write(View::System, move |tx| account::create_user(tx, &kernel, &new)).await;
        made.expect("a user can be made");
        self.sign_in(&email, "").await
    }

    /// Changes nothing but the row's `is_active`, as somebody at the database would, and gives the server the time that it may hold
    /// what it knew: sessions and keys live on, and only the flag can refuse them.
    pub async fn set_active(&self, actor: &Actor, is_active: bool) {
        let id = Uuid::parse_str(&actor.user).expect("an id");
        let changed = self.kernel.db.write(View::System, move |tx| {
            Ok(tx.execute("UPDATE users SET is_active = $2 WHERE id = $1", &params![id, is_active])?)
        });
        assert_eq!(changed.await.expect("a user can be changed"), 1);
        tokio::time::sleep(loopd_kernel::kernel::ENTRY_LIFE).await;
    }

    /// Signs in somebody who is known; `code` goes into their header unless it is empty.
    pub async fn sign_in(&self, email: &str, code: &str) -> Actor {
        let client = self.client();
        let body = json!({"email": email, "password": PASSWORD});
        let answer = client.post("/api/v1/auth/login/").json(&body).await.expect_status(200);
        Actor::of(&client, email, code, &answer)
    }

    /// A new person with this role in `boss`'s company, and in no other.
    pub async fn member(&self, boss: &Actor, name: &str, role: &str) -> Actor {
        let person = self.person(name).await;
        self.join(boss, &person, role).await
    }

    /// Gives a known person a role in `boss`'s company.
    pub async fn join(&self, boss: &Actor, person: &Actor, role: &str) -> Actor {
        boss.make("/api/v1/memberships/", json!({"user": person.user, "role": role})).await;
        Actor { client: person.company(&boss.code), code: boss.code.clone(), ..person.clone() }
    }

    /// A role of the company's own with these permissions.
    pub async fn role(&self, boss: &Actor, permissions: &[&str]) -> String {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let slug = format!("role-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let body = json!({"name": slug, "slug": slug, "permissions": permissions});
        boss.post("/api/v1/roles/").json(&body).await.expect_status(201).text_at("/slug")
    }

    /// A key of `boss`'s with these scopes: its id, and a client that sends it with the company's header.
    pub async fn key(&self, boss: &Actor, scopes: &[&str]) -> (String, Client) {
        let body = json!({"name": "a key", "scopes": scopes});
        let made = boss.post("/api/v1/internal-api-keys/").json(&body).await.expect_status(201);
        (made.text_at("/id"), self.client().with_key(&made.text_at("/key")).company(&boss.code))
    }
}
