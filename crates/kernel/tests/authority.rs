//! Whatever members do to roles and to each other, in any order: nobody gives what they do not hold, nobody takes from who holds more,
//! and somebody owns the company. Acts go through the same permissions as over HTTP.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use loopd_kernel::account::{self, Registration};
use loopd_kernel::{
    Caller, Catalogue, Environment, Kernel, Need, Origin, Presented, Settings, Tenant, membership, workspace,
};
use loopd_store::{Config, Db, Tx, View, migrate, params};
use loopd_types::{ManualClock, OsRng, Result, Timestamp, Uuid};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Permissions that stand for their kinds.
const ASKED: [&str; 10] = [
    "booking.appointments.view",
    "booking.appointments.delete",
    "booking.appointments.action:confirm",
    "payments.invoices.view",
    "core.memberships.view",
    "core.memberships.update",
    "core.roles.update",
    "core.workspaces.action:add-member",
    "core.billing.view",
    "core.companies.delete",
];
/// What roles are made of.
const PATTERNS: [&str; 12] = [
    "*",
    "!core.billing.*",
    "!core.companies.delete",
    "!core.*",
    "core.memberships.*",
    "core.roles.*",
    "core.workspaces.*",
    "core.billing.*",
    "*.*.view",
    "booking.*",
    "!booking.appointments.delete",
    "payments.invoices.view",
];
const PEOPLE: usize = 5;
const ROLES: usize = 4;
const BUILT_IN: [&str; 6] = ["owner", "admin", "manager", "staff", "viewer", "developer"];

#[derive(Clone, Debug)]
enum Act {
    SaveRole { role: usize, patterns: Vec<usize> },
    DeleteRole { role: usize },
    Give { to: usize, role: usize },
    GiveInWorkspace { to: usize, workspace: usize, role: Option<usize> },
    TakeFromWorkspace { from: usize, workspace: usize },
    Reach { of: usize, all: bool },
    Move { of: usize, action: &'static str },
    Admit { who: usize, role: usize },
}

fn act() -> impl Strategy<Value = (usize, Option<usize>, Act)> {
    let role = || 0..ROLES + BUILT_IN.len();
    let person = || 0..PEOPLE;
    let patterns = || prop::collection::vec(0..PATTERNS.len(), 1..4);
    let act = prop_oneof![
        3 => (0..ROLES, patterns()).prop_map(|(role, patterns)| Act::SaveRole { role, patterns }),
        1 => (0..ROLES).prop_map(|role| Act::DeleteRole { role }),
        4 => (person(), role()).prop_map(|(to, role)| Act::Give { to, role }),
        3 => (person(), 0..2_usize, prop::option::of(role())).prop_map(|(to, workspace, role)| Act::GiveInWorkspace { to, workspace, role }),
        1 => (person(), 0..2_usize).prop_map(|(from, workspace)| Act::TakeFromWorkspace { from, workspace }),
        1 => (person(), any::<bool>()).prop_map(|(of, all)| Act::Reach { of, all }),
        2 => (person(), prop::sample::select(vec!["suspend", "reactivate", "leave", "remove"])).prop_map(|(of, action)| Act::Move { of, action }),
        1 => (person(), role()).prop_map(|(who, role)| Act::Admit { who, role }),
    ];
    (person(), prop::option::of(0..2_usize), act)
}

/// What everybody may do, in the company (`None`) and in each workspace they may enter.
type Powers = BTreeMap<(usize, Option<usize>), Vec<bool>>;

struct World {
    kernel: Arc<Kernel>,
    people: Vec<(Uuid, String)>,
    memberships: Vec<Uuid>,
    workspaces: Vec<Uuid>,
    /// Ids by place; `None` until it is made, or after it was deleted.
    roles: Vec<Option<Uuid>>,
}

static NUMBER: AtomicUsize = AtomicUsize::new(0);

impl World {
    async fn new() -> (Self, std::path::PathBuf) {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("loopd-authority-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000_000)));
        let db = Db::open(&Config::new(format!("sqlite://{}", folder.join("loop.db").display()))).await.unwrap();
        migrate::run(&db, clock.as_ref()).await.unwrap();
        let mut settings = Settings::new(Environment::Development, "x".repeat(40));
        settings.password_memory_kib = 64;
        settings.rate_limits = false;
        let kernel = Kernel::new(db, clock, Arc::new(OsRng), settings, Catalogue::default()).unwrap();
        let mut world = Self {
            kernel,
            people: Vec::new(),
            memberships: Vec::new(),
            workspaces: Vec::new(),
            roles: vec![None; ROLES],
        };
        for number in 0..PEOPLE {
            world.register(number).await;
        }
        let boss = world.enter(0, None).await.expect("the owner enters");
        world.memberships.push(world.own_membership().await);
        for (number, role) in [(1, "admin"), (2, "manager"), (3, "staff"), (4, "viewer")] {
            let body = json!({"user": world.people[number].0.to_string(), "role": role});
            let id = world.run(&boss, move |tx, kernel, tenant| membership::create(tx, kernel, tenant, body.clone()));
            let id = id.await.unwrap();
            world.memberships.push(id);
        }
        for name in ["North", "South"] {
            let make = move |tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant| {
                workspace::create(tx, kernel, tenant, json!({"name": name}))
            };
            let id = world.run(&boss, make).await.unwrap();
            world.workspaces.push(id);
        }
        (world, folder)
    }

    async fn register(&mut self, number: usize) {
        let name = format!("person{number}");
        let body = json!({"email": format!("{name}@example.com"), "username": name, "password": "strongpass123", "company_name": name});
        let registration = Registration::parse(&self.kernel, body).await.unwrap();
        let kernel = self.kernel.clone();
        let made =
            self.kernel.db.write(View::System, move |tx| account::register(tx, &kernel, &registration, &origin()));
        let made = made.await.unwrap();
        self.people.push((made.user_id, made.tokens.access));
    }

    async fn own_membership(&self) -> Uuid {
        let user = self.people[0].0;
        let read = move |reader: &mut loopd_store::Reader<'_>| {
            let sql = "SELECT id FROM memberships WHERE company_id = 1 AND user_id = $1";
            Ok(reader.one(sql, &params![user], |row| row.uuid(0))?)
        };
        self.kernel.db.read(View::System, read).await.unwrap()
    }

    async fn caller(&self, person: usize) -> Caller {
        let header = format!("Bearer {}", self.people[person].1);
        let presented = Presented { api_key: None, authorization: Some(&header) };
        self.kernel.authenticate(presented, origin()).await.unwrap()
    }

    async fn enter(&self, person: usize, workspace: Option<usize>) -> Option<Arc<Tenant>> {
        let workspace = workspace.map(|at| self.workspaces[at].to_string());
        let need = Need { company: Some("001"), workspace: workspace.as_deref(), ..Need::default() };
        self.kernel.enter(&self.caller(person).await, need).await.ok()
    }

    async fn run<T, F>(&self, tenant: &Arc<Tenant>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>, &Kernel, &Tenant) -> Result<T> + Send + 'static,
    {
        let (kernel, tenant) = (self.kernel.clone(), tenant.clone());
        self.kernel.db.write(tenant.view(), move |tx| work(tx, &kernel, &tenant)).await
    }

    async fn powers(&self) -> Powers {
        let mut powers = Powers::new();
        for person in 0..PEOPLE {
            for workspace in [None, Some(0), Some(1)] {
                let tenant = self.enter(person, workspace).await;
                let may = ASKED.map(|permission| tenant.as_ref().is_some_and(|tenant| tenant.may(permission)));
                powers.insert((person, workspace), may.to_vec());
            }
        }
        powers
    }

    async fn owners(&self) -> i64 {
        let sql = "SELECT count(*) FROM memberships WHERE company_id = 1 AND role = 'owner' AND status = 'active'";
        self.kernel.db.read(View::System, move |reader| Ok(reader.one(sql, &[], |row| row.i64(0))?)).await.unwrap()
    }

    fn slug(&self, role: usize) -> String {
        BUILT_IN.get(role).map_or_else(|| format!("own-{}", role - BUILT_IN.len()), |slug| (*slug).to_owned())
    }

    /// Does the act as this person, if their role lets them at all; whether it was done.
    async fn act(&mut self, person: usize, workspace: Option<usize>, act: &Act) -> bool {
        let Some(tenant) = self.enter(person, workspace).await else { return false };
        let needed = match act {
            Act::SaveRole { role, .. } if self.roles[*role].is_none() => "core.roles.create",
            Act::SaveRole { .. } => "core.roles.update",
            Act::DeleteRole { .. } => "core.roles.delete",
            Act::Give { .. } | Act::Reach { .. } => "core.memberships.update",
            Act::GiveInWorkspace { .. } => "core.workspaces.action:add-member",
            Act::TakeFromWorkspace { .. } => "core.workspaces.action:remove-member",
            Act::Move { action: "leave", .. } => "core.memberships.view",
            Act::Move { .. } => "core.memberships.action:suspend",
            Act::Admit { .. } => "core.memberships.create",
        };
        if !tenant.may(needed) {
            return false;
        }
        match act.clone() {
            Act::SaveRole { role, patterns } => {
                let patterns: Vec<&str> = patterns.into_iter().map(|at| PATTERNS[at]).collect();
                let known = self.roles[role];
                let mut body = json!({"name": format!("Own {role}"), "permissions": patterns});
                if known.is_none() {
                    body["slug"] = Value::from(format!("own-{role}"));
                }
                let save = move |tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant| {
                    membership::save_role(tx, kernel, tenant, known, body.clone(), known.is_some())
                };
                let saved = self.run(&tenant, save).await;
                if let Ok(id) = saved {
                    self.roles[role] = Some(id);
                    return true;
                }
                false
            }
            Act::DeleteRole { role } => {
                let Some(id) = self.roles[role] else { return false };
                let deleted =
                    self.run(&tenant, move |tx, kernel, tenant| membership::delete_role(tx, kernel, tenant, id)).await;
                if deleted.is_ok() {
                    self.roles[role] = None;
                }
                deleted.is_ok()
            }
            Act::Give { to, role } => {
                let (id, body) = (self.memberships[to], json!({"role": self.slug(role)}));
                self.run(&tenant, move |tx, kernel, tenant| {
                    membership::update(tx, kernel, tenant, id, body.clone(), true)
                })
                .await
                .is_ok()
            }
            Act::Reach { of, all } => {
                let (id, body) = (self.memberships[of], json!({"all_workspaces": all}));
                self.run(&tenant, move |tx, kernel, tenant| {
                    membership::update(tx, kernel, tenant, id, body.clone(), true)
                })
                .await
                .is_ok()
            }
            Act::GiveInWorkspace { to, workspace, role } => {
                let mut body = json!({"membership": self.memberships[to].to_string()});
                if let Some(role) = role {
                    body["role"] = Value::from(self.slug(role));
                }
                let workspace = self.workspaces[workspace];
                self.run(&tenant, move |tx, kernel, tenant| {
                    workspace::set_member(tx, kernel, tenant, workspace, body.clone(), true)
                })
                .await
                .is_ok()
            }
            Act::TakeFromWorkspace { from, workspace } => {
                let body = json!({"membership": self.memberships[from].to_string()});
                let workspace = self.workspaces[workspace];
                self.run(&tenant, move |tx, kernel, tenant| {
                    workspace::set_member(tx, kernel, tenant, workspace, body.clone(), false)
                })
                .await
                .is_ok()
            }
            Act::Move { of, action } => {
                let id = self.memberships[of];
                self.run(&tenant, move |tx, kernel, tenant| membership::act(tx, kernel, tenant, id, action))
                    .await
                    .is_ok()
            }
            Act::Admit { who, role } => {
                let body = json!({"user": self.people[who].0.to_string(), "role": self.slug(role)});
                self.run(&tenant, move |tx, kernel, tenant| membership::create(tx, kernel, tenant, body.clone()))
                    .await
                    .is_ok()
            }
        }
    }
}

fn origin() -> Origin {
    Origin {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        request_id: "test".into(),
        app_id: None,
        user_agent: None,
        impersonator: None,
    }
}

/// What a person may anywhere: the ceiling of what they may give or take.
fn anywhere(powers: &Powers, person: usize) -> Vec<bool> {
    let of = |workspace| &powers[&(person, workspace)];
    (0..ASKED.len()).map(|at| of(None)[at] || of(Some(0))[at] || of(Some(1))[at]).collect()
}

async fn play(acts: Vec<(usize, Option<usize>, Act)>) -> std::result::Result<(), TestCaseError> {
    let (mut world, folder) = World::new().await;
    let mut before = world.powers().await;
    for (person, workspace, act) in acts {
        if !world.act(person, workspace, &act).await {
            continue;
        }
        let after = world.powers().await;
        // A role in one workspace is no ceiling: what is given must be held in the whole company.
        let held = before[&(person, None)].clone();
        for other in 0..PEOPLE {
            let (had, has) = (anywhere(&before, other), anywhere(&after, other));
            for at in 0..ASKED.len() {
                prop_assert!(
                    had[at] || !has[at] || held[at],
                    "{person} gave {other} {} without holding it: {act:?}",
                    ASKED[at]
                );
                // `reactivate` gives back what was there; taking away needs as much as the other holds.
                prop_assert!(
                    other == person || !had[at] || has[at] || held[at],
                    "{person} took {} from {other} without holding it: {act:?}",
                    ASKED[at]
                );
            }
        }
        prop_assert!(world.owners().await >= 1, "nobody owns the company after {act:?}");
        before = after;
    }
    world.kernel.db.close().await;
    std::fs::remove_dir_all(&folder).unwrap();
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nobody_gives_or_takes_beyond_what_they_hold(acts in prop::collection::vec(act(), 10..40)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(play(acts))?;
    }
}
