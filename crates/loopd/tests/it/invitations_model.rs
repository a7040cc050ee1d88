//! Invitations and roles in every order of acts, against a model that is small enough to be believed: after each act, who is a member
//! as what, and which invitations wait, is the same in both, and together they never have more seats than the plan.

use std::collections::BTreeMap;
use std::sync::Arc;

use loopd_kernel::invitation::{self, Acceptance};
use loopd_kernel::{Caller, Need, Origin, Presented, Tenant, membership};
use loopd_store::{View, params};
use loopd_testkit::{each_engine, json};
use loopd_types::{DAY_US, Result, Uuid};
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::support::{Actor, World};

/// Person 0 made the company; the others come and go.
const PEOPLE: usize = 4;
/// One fewer than people, so that seats run out.
const SEATS: usize = PEOPLE - 1;
const ROLES: [&str; 4] = ["viewer", "manager", "admin", "owner"];

#[derive(Clone, Debug)]
enum Act {
    Invite {
        by: usize,
        whom: usize,
        role: usize,
    },
    Resend {
        by: usize,
        whom: usize,
    },
    Revoke {
        by: usize,
        whom: usize,
    },
    /// `back` 0 is the newest link that this person was sent, 1 the one before.
    Accept {
        whom: usize,
        back: usize,
    },
    Decline {
        whom: usize,
        back: usize,
    },
    Add {
        by: usize,
        whom: usize,
        role: usize,
    },
    ChangeRole {
        by: usize,
        whom: usize,
        role: usize,
    },
    Move {
        by: usize,
        whom: usize,
        action: &'static str,
    },
    Wait,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let (by, whom, role, back) = (0..PEOPLE, 0..PEOPLE, 0..ROLES.len(), 0..2usize);
    let one = prop_oneof![
        4 => (by.clone(), whom.clone(), role.clone()).prop_map(|(by, whom, role)| Act::Invite { by, whom, role }),
        2 => (by.clone(), whom.clone()).prop_map(|(by, whom)| Act::Resend { by, whom }),
        1 => (by.clone(), whom.clone()).prop_map(|(by, whom)| Act::Revoke { by, whom }),
        5 => (whom.clone(), back.clone()).prop_map(|(whom, back)| Act::Accept { whom, back }),
        1 => (whom.clone(), back).prop_map(|(whom, back)| Act::Decline { whom, back }),
        1 => (by.clone(), whom.clone(), role.clone()).prop_map(|(by, whom, role)| Act::Add { by, whom, role }),
        2 => (by.clone(), whom.clone(), role).prop_map(|(by, whom, role)| Act::ChangeRole { by, whom, role }),
        3 => (by, whom, prop_oneof![Just("suspend"), Just("reactivate"), Just("leave"), Just("remove")])
            .prop_map(|(by, whom, action)| Act::Move { by, whom, action }),
        1 => Just(Act::Wait),
    ];
    proptest::collection::vec(one, 1..40)
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Waiting {
    role: usize,
    giver: usize,
    /// Which of the person's links is the living one.
    link: usize,
}

#[derive(Clone, Default, Debug)]
struct Model {
    /// Role and state.
    members: BTreeMap<usize, (usize, &'static str)>,
    waiting: BTreeMap<usize, Waiting>,
    /// How many links each person was sent.
    links: BTreeMap<usize, usize>,
}

impl Model {
    /// The right of an active member.
    fn right(&self, who: usize) -> Option<usize> {
        self.members.get(&who).filter(|(_, state)| *state == "active").map(|(role, _)| *role)
    }

    /// Owners and admins manage members, up to their own right.
    fn may_give(&self, by: usize, role: usize) -> bool {
        self.right(by).is_some_and(|right| right >= 2 && right >= role)
    }

    fn is_member(&self, whom: usize) -> bool {
        self.members.get(&whom).is_some_and(|(_, state)| *state != "left")
    }

    fn active(&self) -> usize {
        self.members.values().filter(|(_, state)| *state == "active").count()
    }

    /// A seat for one more, who has none reserved.
    fn has_seat(&self) -> bool {
        self.active() + self.waiting.len() < SEATS
    }

    fn is_last_owner(&self, whom: usize) -> bool {
        let owners = self.members.values().filter(|(role, state)| *role == 3 && *state == "active").count();
        self.members.get(&whom) == Some(&(3, "active")) && owners <= 1
    }

    /// Does the act if it is allowed, and says whether it is.
    fn act(&mut self, act: &Act) -> bool {
        match *act {
            Act::Invite { by, whom, role } => {
                let allowed = self.may_give(by, role)
                    && !self.is_member(whom)
                    && !self.waiting.contains_key(&whom)
                    && self.has_seat();
                if allowed {
                    self.send(by, whom, role);
                }
                allowed
            }
            Act::Resend { by, whom } => {
                let role = self.waiting.get(&whom).map(|waiting| waiting.role);
                let allowed = role.is_some_and(|role| self.may_give(by, role));
                if let (true, Some(role)) = (allowed, role) {
                    self.send(by, whom, role);
                }
                allowed
            }
            Act::Revoke { by, whom } => {
                self.right(by).is_some_and(|right| right >= 2) && self.waiting.remove(&whom).is_some()
            }
            Act::Accept { whom, back } => {
                let Some(waiting) = self.living(whom, back) else { return false };
                if !self.may_give(waiting.giver, waiting.role) {
                    return false;
                }
                self.waiting.remove(&whom);
                self.members.insert(whom, (waiting.role, "active"));
                true
            }
            Act::Decline { whom, back } => self.living(whom, back).is_some() && self.waiting.remove(&whom).is_some(),
            Act::Add { by, whom, role } => {
                // Who is invited has a seat, whichever way they come in.
                let seat = self.waiting.contains_key(&whom) || self.has_seat();
                let allowed = self.may_give(by, role) && !self.is_member(whom) && seat;
                if allowed {
                    self.members.insert(whom, (role, "active"));
                    self.waiting.remove(&whom);
                }
                allowed
            }
            Act::ChangeRole { by, whom, role } => self.change_role(by, whom, role),
            Act::Move { by, whom, action } => self.move_on(by, whom, action),
            Act::Wait => {
                self.waiting.clear();
                true
            }
        }
    }

    fn send(&mut self, by: usize, whom: usize, role: usize) {
        let links = self.links.entry(whom).or_default();
        *links += 1;
        self.waiting.insert(whom, Waiting { role, giver: by, link: *links });
    }

    fn living(&self, whom: usize, back: usize) -> Option<Waiting> {
        let shown = self.links.get(&whom)?.checked_sub(back)?;
        self.waiting.get(&whom).filter(|waiting| waiting.link == shown).cloned()
    }

    /// Whether somebody may touch the row of a member.
    fn may_touch(&self, by: usize, whom: usize, needs_right: bool) -> bool {
        let (Some(right), Some((role, _))) = (self.right(by), self.members.get(&whom)) else { return false };
        let outranks = by == whom || right >= *role;
        (!needs_right || right >= 2) && (*role != 3 || right == 3) && !self.is_last_owner(whom) && outranks
    }

    fn change_role(&mut self, by: usize, whom: usize, role: usize) -> bool {
        let Some((held, state)) = self.members.get(&whom).copied() else { return false };
        if held == role {
            // Nothing to be judged but the permission itself.
            return self.right(by).is_some_and(|right| right >= 2);
        }
        let allowed = self.may_touch(by, whom, true) && self.may_give(by, role);
        if allowed {
            self.members.insert(whom, (role, state));
        }
        allowed
    }

    fn move_on(&mut self, by: usize, whom: usize, action: &str) -> bool {
        let Some((role, state)) = self.members.get(&whom).copied() else { return false };
        let next = match (action, state) {
            ("suspend", "active") => "suspended",
            ("reactivate", "suspended") => "active",
            ("leave", "active" | "suspended") if by == whom => "left",
            ("remove", "active" | "suspended") => "left",
            _ => return false,
        };
        let seat = next != "active" || self.has_seat();
        let allowed = self.may_touch(by, whom, action != "leave") && seat;
        if allowed {
            self.members.insert(whom, (role, next));
            self.waiting.remove(&whom);
        }
        allowed
    }
}

/// A company of the real thing, with its people.
struct Real<'w> {
    world: &'w World,
    code: String,
    people: Vec<Actor>,
    links: BTreeMap<usize, Vec<String>>,
}

impl<'w> Real<'w> {
    async fn new(world: &'w World, case: usize) -> Self {
        let mut people = vec![world.register(&format!("case{case}-0")).await];
        for number in 1..PEOPLE {
            people.push(world.person(&format!("case{case}-{number}")).await);
        }
        let product = people[0].get("/api/v1/product-subscriptions/?product=booking").await.expect_status(200);
        let activate = format!("/api/v1/product-subscriptions/{}/activate/", product.text_at("/results/0/id"));
        people[0].post(&activate).json(&json!({"plan": "small"})).await.expect_status(200);
        let real = Self { world, code: people[0].code.clone(), people, links: BTreeMap::new() };
        let ids: Vec<Uuid> = real.people.iter().map(|person| Uuid::parse_str(&person.user).expect("an id")).collect();
        // Their addresses are theirs: a click is enough.
        let verified = world.kernel.db.write(View::System, move |tx| {
            for id in &ids {
                tx.execute("UPDATE users SET email_verified_at = 1 WHERE id = $1", &params![*id])?;
            }
            Ok(())
        });
        verified.await.expect("people can be verified");
        real
    }

    async fn enter(&self, who: usize, permission: &str) -> Result<Arc<Tenant>> {
        let header = format!("Bearer {}", self.people[who].access);
        let presented = Presented { api_key: None, authorization: Some(&header) };
        let caller: Caller = self.world.kernel.authenticate(presented, origin()).await?;
        let need = Need { company: Some(&self.code), permission: Some(permission), ..Need::default() };
        self.world.kernel.enter(&caller, need).await
    }

    async fn write<F>(&self, by: usize, permission: &str, work: F) -> bool
    where
        F: Fn(&mut loopd_store::Tx<'_>, &loopd_kernel::Kernel, &Tenant) -> Result<()> + Send + 'static,
    {
        let Ok(tenant) = self.enter(by, permission).await else { return false };
        let kernel = self.world.kernel.clone();
        let done = self.world.kernel.db.write(tenant.view(), move |tx| work(tx, &kernel, &tenant)).await;
        if let Err(problem) = &done {
            assert!(problem.status() < 500, "{problem}: {:?}", problem.cause());
        }
        done.is_ok()
    }

    /// The row of a person's membership or waiting invitation.
    async fn row(&self, sql: &'static str, whom: usize) -> Option<Uuid> {
        let (code, email) = (self.code.clone(), self.people[whom].email.clone());
        let read = self
            .world
            .kernel
            .db
            .read(View::System, move |reader| Ok(reader.first(sql, &params![&code, &email], |row| row.uuid(0))?));
        read.await.expect("a row can be looked for")
    }

    async fn membership(&self, whom: usize) -> Option<Uuid> {
        self.row(
            "SELECT m.id FROM memberships m JOIN users u ON u.id = m.user_id JOIN companies c ON c.company_id = m.company_id \
             WHERE c.code = $1 AND u.email = $2",
            whom,
        )
        .await
    }

    async fn invitation(&self, whom: usize) -> Option<Uuid> {
        self.row(
            "SELECT i.id FROM invitations i JOIN companies c ON c.company_id = i.company_id WHERE c.code = $1 AND i.email = $2 \
             AND i.status = 'pending' ORDER BY i.id DESC LIMIT 1",
            whom,
        )
        .await
    }

    async fn act(&mut self, act: &Act) -> bool {
        match *act {
            Act::Invite { by, whom, role } => {
                let body = json!({"email": self.people[whom].email, "role": ROLES[role]});
                let done = self
                    .write(by, "core.invitations.create", move |tx, kernel, tenant| {
                        invitation::create(tx, kernel, tenant, body.clone()).map(drop)
                    })
                    .await;
                self.note_link(done, whom).await
            }
            Act::Resend { by, whom } => {
                let Some(id) = self.invitation(whom).await else { return false };
                let done = self
                    .write(by, "core.invitations.action:resend", move |tx, kernel, tenant| {
                        invitation::resend(tx, kernel, tenant, id)
                    })
                    .await;
                self.note_link(done, whom).await
            }
            Act::Revoke { by, whom } => {
                let Some(id) = self.invitation(whom).await else { return false };
                self.write(by, "core.invitations.action:revoke", move |tx, kernel, tenant| {
                    invitation::revoke(tx, kernel, tenant, id)
                })
                .await
            }
            Act::Accept { whom, back } => {
                let Some(token) = self.link(whom, back) else { return false };
                let kernel = self.world.kernel.clone();
                let Ok(acceptance) = Acceptance::parse(&kernel, json!({"token": token})).await else { return false };
                let shared = kernel.clone();
                let done = kernel.db.write(View::System, move |tx| acceptance.apply(tx, &shared, &origin()).map(drop));
                done.await.is_ok()
            }
            Act::Decline { whom, back } => {
                let Some(token) = self.link(whom, back) else { return false };
                let kernel = self.world.kernel.clone();
                let body = json!({"token": token});
                let work = move |tx: &mut loopd_store::Tx<'_>| invitation::decline(tx, &kernel, &origin(), &body);
                self.world.kernel.db.write(View::System, work).await.is_ok()
            }
            Act::Add { by, whom, role } => {
                let body = json!({"email": self.people[whom].email, "role": ROLES[role]});
                self.write(by, "core.memberships.create", move |tx, kernel, tenant| {
                    membership::create(tx, kernel, tenant, body.clone()).map(drop)
                })
                .await
            }
            Act::ChangeRole { by, whom, role } => {
                let Some(id) = self.membership(whom).await else { return false };
                let body = json!({"role": ROLES[role]});
                self.write(by, "core.memberships.action:change-role", move |tx, kernel, tenant| {
                    membership::update(tx, kernel, tenant, id, body.clone(), true)
                })
                .await
            }
            Act::Move { by, whom, action } => {
                let Some(id) = self.membership(whom).await else { return false };
                let permission = match action {
                    "leave" => "core.memberships.view".to_owned(),
                    other => format!("core.memberships.action:{other}"),
                };
                self.write(by, &permission, move |tx, kernel, tenant| membership::act(tx, kernel, tenant, id, action))
                    .await
            }
            Act::Wait => {
                self.world.clock.advance(8 * DAY_US);
                for person in &mut self.people {
                    *person = self.world.sign_in(&person.email, "").await;
                }
                true
            }
        }
    }

    async fn note_link(&mut self, done: bool, whom: usize) -> bool {
        if done {
            let token = self.world.letter(&self.people[whom].email, "invitation").await.token();
            self.links.entry(whom).or_default().push(token);
        }
        done
    }

    fn link(&self, whom: usize, back: usize) -> Option<String> {
        let links = self.links.get(&whom)?;
        links.get(links.len().checked_sub(back + 1)?).cloned()
    }

    /// Who is a member as what, and for whom an invitation waits.
    async fn state(&self) -> (BTreeMap<usize, (String, String)>, BTreeMap<usize, String>) {
        let (code, now) = (self.code.clone(), self.world.kernel.now());
        let read = self.world.kernel.db.read(View::System, move |reader| {
            let members = reader.query(
                "SELECT u.email, m.role, m.status FROM memberships m JOIN users u ON u.id = m.user_id \
                 JOIN companies c ON c.company_id = m.company_id WHERE c.code = $1",
                &params![&code],
                |row| Ok((row.text(0)?.to_owned(), (row.text(1)?.to_owned(), row.text(2)?.to_owned()))),
            )?;
            let waiting = reader.query(
                "SELECT i.email, i.role FROM invitations i JOIN companies c ON c.company_id = i.company_id \
                 WHERE c.code = $1 AND i.status = 'pending' AND i.expires_at > $2",
                &params![&code, now],
                |row| Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned())),
            )?;
            Ok((members, waiting))
        });
        let (members, waiting) = read.await.expect("the company can be read");
        let who = |email: &str| self.people.iter().position(|person| person.email == email).expect("one of the people");
        (
            members.into_iter().map(|(email, standing)| (who(&email), standing)).collect(),
            waiting.into_iter().map(|(email, role)| (who(&email), role)).collect(),
        )
    }
}

fn origin() -> Origin {
    Origin {
        address: std::net::IpAddr::from([127, 0, 0, 1]),
        request_id: "model".into(),
        app_id: None,
        user_agent: None,
        impersonator: None,
    }
}

async fn play(world: &World, case: usize, acts: &[Act]) {
    let mut real = Real::new(world, case).await;
    let mut model = Model { members: BTreeMap::from([(0, (3, "active"))]), ..Model::default() };
    for (step, act) in acts.iter().enumerate() {
        let told = || format!("case {case}, step {step}: {act:?} after {:#?}", &acts[..step]);
        let expected = model.act(act);
        assert_eq!(real.act(act).await, expected, "{}: {model:#?}", told());
        let (members, waiting) = real.state().await;
        let wanted: BTreeMap<usize, (String, String)> = model
            .members
            .iter()
            .map(|(who, (role, state))| (*who, (ROLES[*role].to_owned(), (*state).to_owned())))
            .collect();
        let wanted_waiting: BTreeMap<usize, String> =
            model.waiting.iter().map(|(who, waiting)| (*who, ROLES[waiting.role].to_owned())).collect();
        assert_eq!(members, wanted, "{}", told());
        assert_eq!(waiting, wanted_waiting, "{}", told());
        let active = members.values().filter(|(_, state)| state == "active").count();
        assert!(active + waiting.len() <= SEATS, "{}", told());
    }
}

each_engine! {
    async fn every_order_of_acts_ends_as_the_model_says(world: &World) {
        let plan = json!({"product": "booking", "code": "small", "name": "Small", "trial_days": 0, "limits": {"seats": SEATS},
            "prices": [{"interval": "year", "currency": "RWF", "amount_minor": 0}]});
        world.superuser().await.post("/api/v1/plans/").json(&plan).await.expect_status(201);
        // The same cases on both engines and at every run; `PROPTEST_RNG_SEED` is not read, so that a failure can be told by its number.
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        for case in 0..12 {
            let acts = acts().new_tree(&mut runner).expect("acts can be made").current();
            play(world, case, &acts).await;
        }
    }
}
