//! What somebody does, and who is written to because of it: every act of people's accounts, the letters that it queues, in their
//! readers' languages, and none twice.

use std::collections::HashSet;

use loopd_testkit::{Client, each_engine, json};
use loopd_types::{MINUTE_US, SECOND_US};
use serde_json::Value;

use crate::support::{Actor, PASSWORD, TwoFactor, World, eventually};

/// A letter as the log of letters tells it: to whom, about what, in which language.
type Told = (&'static str, &'static str, &'static str);

const ALINE: &str = "aline@example.com";
const ALINE_NEW: &str = "aline.new@example.com";
const BOSCO: &str = "bosco@example.com";
const GUEST: &str = "guest@example.com";
const OTHER_GUEST: &str = "other.guest@example.com";
const NEW_PASSWORD: &str = "another pass 456";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Act {
    Register,
    AskForTheLinkAgain,
    SignInWithAKnownProgram,
    SignInWithANewProgram,
    ForgetThePassword,
    ForgetTheWrongAddress,
    ResetThePassword,
    ChangeThePassword,
    AskForAnotherAddress,
    VerifyTheNewAddress,
    EnableCodes,
    SignInWithACode,
    SignInWithARecoveryCode,
    RenewRecoveryCodes,
    AddAPasskey,
    RenameThePasskey,
    DeleteThePasskey,
    DisableCodes,
    LoseEveryFactor,
    Impersonate,
    EndTheImpersonation,
    Invite,
    InviteAgain,
    AcceptTheInvitation,
    DeclineAnInvitation,
    RegisterASecondAccount,
    AskToMerge,
    Merge,
}

/// In this order, because the later ones stand on the earlier ones. What is written to Aline is French, as she is; so are the letters
/// to people without an account whom her company invites. Bosco reads Kinyarwanda. Letters of one act stand in the order of addresses.
const ACTS: [(Act, &[Told]); 28] = [
    (Act::Register, &[(ALINE, "verify-email", "fr")]),
    (Act::AskForTheLinkAgain, &[(ALINE, "verify-email", "fr")]),
    (Act::SignInWithAKnownProgram, &[]),
    (Act::SignInWithANewProgram, &[(ALINE, "new-sign-in", "fr")]),
    (Act::ForgetThePassword, &[(ALINE, "password-reset", "fr")]),
    (Act::ForgetTheWrongAddress, &[]),
    (Act::ResetThePassword, &[(ALINE, "password-changed", "fr")]),
    (Act::ChangeThePassword, &[(ALINE, "password-changed", "fr")]),
    (Act::AskForAnotherAddress, &[(ALINE_NEW, "verify-email", "fr"), (ALINE, "email-change-asked", "fr")]),
    (Act::VerifyTheNewAddress, &[(ALINE, "email-changed", "fr")]),
    (Act::EnableCodes, &[(ALINE_NEW, "two-factor-changed", "fr")]),
    (Act::SignInWithACode, &[]),
    (Act::SignInWithARecoveryCode, &[(ALINE_NEW, "two-factor-changed", "fr")]),
    (Act::RenewRecoveryCodes, &[(ALINE_NEW, "two-factor-changed", "fr")]),
    (Act::AddAPasskey, &[(ALINE_NEW, "two-factor-changed", "fr")]),
    (Act::RenameThePasskey, &[]),
    (Act::DeleteThePasskey, &[(ALINE_NEW, "two-factor-changed", "fr")]),
    (Act::DisableCodes, &[(ALINE_NEW, "two-factor-changed", "fr")]),
    (Act::LoseEveryFactor, &[(ALINE_NEW, "two-factor-changed", "fr")]),
    (Act::Impersonate, &[(ALINE_NEW, "impersonation-begun", "fr")]),
    (Act::EndTheImpersonation, &[]),
    (Act::Invite, &[(GUEST, "invitation", "fr")]),
    (Act::InviteAgain, &[(GUEST, "invitation", "fr")]),
    (Act::AcceptTheInvitation, &[]),
    (Act::DeclineAnInvitation, &[(OTHER_GUEST, "invitation", "fr")]),
    (Act::RegisterASecondAccount, &[(BOSCO, "verify-email", "rw")]),
    (Act::AskToMerge, &[(BOSCO, "account-merge", "rw")]),
    (Act::Merge, &[(ALINE_NEW, "account-merged", "fr"), (BOSCO, "account-merged", "rw")]),
];

/// Aline and the operator, between two acts.
struct Stage<'w> {
    world: &'w World,
    root: Actor,
    aline: Client,
    email: &'static str,
    password: &'static str,
    keys: Option<TwoFactor>,
    /// The passkey, then the person acted for, then the invitation: what the next act is about.
    id: String,
    seen: HashSet<String>,
}

impl Stage<'_> {
    /// The letters that were queued since this was asked last, in the order of their readers.
    async fn told(&mut self) -> Vec<(String, String, String)> {
        let listed = self.root.get("/api/v1/mail-messages/").query("page_size", "100").await.expect_status(200).json();
        let rows = listed["results"].as_array().expect("rows").clone();
        assert_eq!(listed["count"], rows.len(), "one page holds them all");
        let text = |row: &Value, name: &str| row[name].as_str().expect("a text").to_owned();
        let new = rows.iter().filter(|row| self.seen.insert(text(row, "id")));
        let mut told: Vec<_> = new.map(|row| (text(row, "to"), text(row, "template"), text(row, "language"))).collect();
        told.sort();
        told
    }

    async fn token(&self, to: &str, template: &str) -> Value {
        json!({"token": self.world.letter(to, template).await.token()})
    }

    async fn sign_in(&self, client: &Client) -> Client {
        let body = json!({"email": self.email, "password": self.password});
        let answer = client.post("/api/v1/auth/login/").json(&body).await.expect_status(200);
        client.clone().with_token(&answer.text_at("/access")).company("001")
    }

    async fn post(&self, path: &str, body: Value, status: u16) -> loopd_testkit::Answer {
        self.aline.post(path).json(&body).await.expect_status(status)
    }

    async fn register(&self, name: &str, email: &str, language: &str) -> loopd_testkit::Answer {
        let body =
            json!({"email": email, "username": name, "password": PASSWORD, "company_name": name, "language": language});
        self.world.client().post("/api/v1/auth/register/").json(&body).await.expect_status(201)
    }

    async fn perform(&mut self, act: Act) {
        let (world, proof) = (self.world, json!({"password": self.password}));
        let user =
            async |stage: &Self| stage.aline.get("/api/v1/auth/me/").await.expect_status(200).text_at("/user/id");
        match act {
            Act::Register => {
                let made = self.register("aline", ALINE, "fr").await;
                self.aline = world.client().with_token(&made.text_at("/access")).company("001");
            }
            Act::AskForTheLinkAgain => drop(self.post("/api/v1/auth/email/verify/resend/", json!({}), 202).await),
            Act::SignInWithAKnownProgram => drop(self.sign_in(&world.client()).await),
            Act::SignInWithANewProgram => {
                let phone = || world.client().with_header("user-agent", "Phone");
                self.sign_in(&phone()).await;
                self.sign_in(&phone()).await;
            }
            Act::ForgetThePassword => {
                self.post("/api/v1/auth/password/reset/", json!({"email": ALINE}), 202).await;
                let is_written = async || !world.letters_of(ALINE, "password-reset").await.is_empty();
                eventually("the letter is written", is_written).await;
            }
            Act::ForgetTheWrongAddress => {
                drop(self.post("/api/v1/auth/password/reset/", json!({"email": "x@example.com"}), 202).await);
            }
            Act::ResetThePassword => {
                let mut body = self.token(ALINE, "password-reset").await;
                body["new_password"] = json!(NEW_PASSWORD);
                let client = world.client();
                for _ in 0..2 {
                    // The same key: the second is the first's answer, and no second letter.
                    let asked = client.post("/api/v1/auth/password/reset/confirm/").header("idempotency-key", "reset");
                    asked.json(&body).await.expect_status(204);
                }
                self.password = NEW_PASSWORD;
                self.aline = self.sign_in(&world.client()).await;
            }
            Act::ChangeThePassword => {
                let body = json!({"old_password": NEW_PASSWORD, "new_password": PASSWORD});
                for _ in 0..2 {
                    let asked = self.aline.post("/api/v1/auth/password/change/").header("idempotency-key", "change");
                    asked.json(&body).await.expect_status(204);
                }
                self.password = PASSWORD;
            }
            Act::AskForAnotherAddress => {
                let body = json!({"new_email": ALINE_NEW, "password": PASSWORD});
                self.post("/api/v1/auth/email/change/", body, 202).await;
            }
            Act::VerifyTheNewAddress => {
                let body = self.token(ALINE_NEW, "verify-email").await;
                self.post("/api/v1/auth/email/verify/", body, 200).await;
                self.email = ALINE_NEW;
            }
            Act::EnableCodes => {
                self.keys = Some(world.two_factor(&self.aline).await);
            }
            Act::SignInWithACode | Act::SignInWithARecoveryCode => {
                let keys = self.keys.as_ref().expect("codes were enabled");
                let by_time = world.next_code(keys);
                let code = if act == Act::SignInWithACode { &by_time } else { &keys.recovery_codes[0] };
                world.answer(&world.challenge(self.email).await, code).await.expect_status(200);
            }
            Act::RenewRecoveryCodes => drop(self.post("/api/v1/auth/2fa/recovery-codes/", proof, 200).await),
            Act::AddAPasskey => {
                self.id = world.passkey(&self.aline, "Key").await.1.text_at("/id");
            }
            Act::RenameThePasskey => {
                let path = format!("/api/v1/auth/passkeys/{}/", self.id);
                self.aline.patch(&path).json(&json!({"name": "Other"})).await.expect_status(200);
            }
            Act::DeleteThePasskey => {
                let path = format!("/api/v1/auth/passkeys/{}/", self.id);
                self.aline.delete(&path).json(&proof).await.expect_status(204);
            }
            Act::DisableCodes => drop(self.post("/api/v1/auth/2fa/disable/", proof, 204).await),
            Act::LoseEveryFactor => {
                world.clock.advance(30 * SECOND_US);
                world.two_factor(&self.aline).await;
                // What enabling told is no part of this act.
                self.told().await;
                let path = format!("/api/v1/users/{}/reset-two-factor/", user(self).await);
                self.root.post(&path).json(&json!({})).await.expect_status(200);
                self.aline = self.sign_in(&world.client()).await;
            }
            Act::Impersonate => {
                self.id = user(self).await;
                let body = json!({"reason": "Ticket 4711: the report does not open"});
                let path = format!("/api/v1/users/{}/impersonate/", self.id);
                for _ in 0..2 {
                    let asked = self.root.post(&path).header("idempotency-key", "help").json(&body);
                    asked.await.expect_status(201);
                }
            }
            Act::EndTheImpersonation => {
                let path = format!("/api/v1/users/{}/end-impersonation/", self.id);
                self.root.post(&path).json(&json!({})).await.expect_status(204);
            }
            Act::Invite => {
                let made = self.post("/api/v1/invitations/", json!({"email": GUEST, "role": "staff"}), 201).await;
                self.id = made.text_at("/id");
            }
            Act::InviteAgain => {
                world.clock.advance(MINUTE_US);
                self.post(&format!("/api/v1/invitations/{}/resend/", self.id), json!({}), 200).await;
            }
            Act::AcceptTheInvitation => {
                let mut body = self.token(GUEST, "invitation").await;
                (body["username"], body["password"]) = (json!("guest"), json!(PASSWORD));
                let client = world.client();
                for _ in 0..2 {
                    let asked = client.post("/api/v1/invitations/accept/").header("idempotency-key", "accept");
                    asked.json(&body).await.expect_status(200);
                }
            }
            Act::DeclineAnInvitation => {
                self.post("/api/v1/invitations/", json!({"email": OTHER_GUEST, "role": "staff"}), 201).await;
                let body = self.token(OTHER_GUEST, "invitation").await;
                world.client().post("/api/v1/invitations/decline/").json(&body).await.expect_status(204);
            }
            Act::RegisterASecondAccount => drop(self.register("bosco", BOSCO, "rw").await),
            Act::AskToMerge => {
                let body = json!({"email": BOSCO, "password": PASSWORD});
                self.post("/api/v1/auth/merge/", body, 202).await;
            }
            Act::Merge => {
                let body = self.token(BOSCO, "account-merge").await;
                world.client().post("/api/v1/auth/merge/confirm/").json(&body).await.expect_status(200);
            }
        }
    }
}

each_engine! {
    async fn every_act_queues_its_letters_in_their_readers_language_and_no_other(world: &World) {
        let root = world.superuser().await;
        let (aline, keys) = (world.client(), None);
        let mut stage = Stage { world, root, aline, email: ALINE, password: PASSWORD, keys, id: String::new(), seen: HashSet::new() };
        for (act, expected) in ACTS {
            stage.perform(act).await;
            let told = stage.told().await;
            let told: Vec<_> = told.iter().map(|(to, template, language)| (to.as_str(), template.as_str(), language.as_str())).collect();
            assert_eq!(told, expected, "{act:?}");
        }
    }

    async fn a_program_that_only_an_operator_used_is_new_to_the_person(world: &World) {
        let (owner, root) = (world.owner().await, world.superuser().await);
        let body = json!({"reason": "Ticket 4711: the report does not open"});
        let path = format!("/api/v1/users/{}/impersonate/", owner.user);
        root.with_header("user-agent", "Desk").post(&path).json(&body).await.expect_status(201);
        let letter = world.letter(&owner.email, "impersonation-begun").await;
        assert!(letter.text.contains("Ticket 4711"), "{}", letter.text);
        let login = json!({"email": owner.email, "password": PASSWORD});
        world.client().with_header("user-agent", "Desk").post("/api/v1/auth/login/").json(&login).await.expect_status(200);
        assert_eq!(world.letters_of(&owner.email, "new-sign-in").await.len(), 1);
    }
}
