//! Nobody gets more than they were given: by roles, by keys, by workspaces, by coming back.

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use loopd_kernel::account::{self, Registration};
use loopd_kernel::{
    Caller, Catalogue, Environment, Kernel, Need, Origin, Presented, Settings, Tenant, app, credential, idempotency,
    membership, workspace,
};
use loopd_store::{Config, Db, Tx, View, migrate};
use loopd_types::{DAY_US, ManualClock, OsRng, Result, Timestamp, Uuid};
use serde_json::json;

struct World {
    kernel: Arc<Kernel>,
    clock: Arc<ManualClock>,
    folder: PathBuf,
}

struct Person {
    id: Uuid,
    access: String,
    code: String,
}

impl World {
    async fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("loopd-escalation-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp(1_800_000_000_000_000)));
        let db = Db::open(&Config::new(format!("sqlite://{}", folder.join("loop.db").display()))).await.unwrap();
        migrate::run(&db, clock.as_ref()).await.unwrap();
        let mut settings = Settings::new(Environment::Development, "x".repeat(40));
        settings.password_memory_kib = 64;
        settings.rate_limits = false;
        let kernel = Kernel::new(db, clock.clone(), Arc::new(OsRng), settings, Catalogue::default()).unwrap();
        Self { kernel, clock, folder }
    }

    async fn close(self) {
        self.kernel.db.close().await;
        std::fs::remove_dir_all(&self.folder).unwrap();
    }

    async fn register(&self, name: &str) -> Person {
        let body = json!({"email": format!("{name}@example.com"), "username": name, "password": "strongpass123", "company_name": name});
        let registration = Registration::parse(&self.kernel, body).await.unwrap();
        let kernel = self.kernel.clone();
        let work = move |tx: &mut Tx<'_>| account::register(tx, &kernel, &registration, &origin(None));
        let made = self.kernel.db.write(View::System, work).await.unwrap();
        Person { id: made.user_id, access: made.tokens.access, code: made.company.code }
    }

    async fn caller(&self, person: &Person, app_id: Option<&str>) -> Caller {
        let header = format!("Bearer {}", person.access);
        let presented = Presented { api_key: None, authorization: Some(&header) };
        self.kernel.authenticate(presented, origin(app_id)).await.unwrap()
    }

    async fn enter(&self, person: &Person, code: &str, workspace: Option<&str>) -> Arc<Tenant> {
        let need = Need { company: Some(code), workspace, ..Need::default() };
        self.kernel.enter(&self.caller(person, None).await, need).await.unwrap()
    }

    async fn enter_by_key(&self, secret: &str, code: &str) -> Arc<Tenant> {
        let presented = Presented { api_key: Some(secret), authorization: None };
        let caller = self.kernel.authenticate(presented, origin(None)).await.unwrap();
        self.kernel.enter(&caller, Need { company: Some(code), ..Need::default() }).await.unwrap()
    }

    /// Runs `work` as `tenant`.
    async fn act<T, F>(&self, tenant: &Arc<Tenant>, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: Fn(&mut Tx<'_>, &Kernel, &Tenant) -> Result<T> + Send + 'static,
    {
        let (kernel, tenant) = (self.kernel.clone(), tenant.clone());
        self.kernel.db.write(tenant.view(), move |tx| work(tx, &kernel, &tenant)).await
    }

    async fn join(&self, boss: &Arc<Tenant>, person: &Person, role: &'static str) -> Uuid {
        let id = person.id;
        let body = json!({"user": id.to_string(), "role": role});
        self.act(boss, move |tx, kernel, tenant| membership::create(tx, kernel, tenant, body.clone())).await.unwrap()
    }
}

fn origin(app_id: Option<&str>) -> Origin {
    Origin {
        address: IpAddr::V4(Ipv4Addr::LOCALHOST),
        request_id: "test".into(),
        app_id: app_id.map(Into::into),
        user_agent: None,
        impersonator: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn roles_cannot_be_made_or_given_beyond_ones_own() {
    let world = World::new("roles").await;
    let (owner, admin) = (world.register("owner").await, world.register("admin").await);
    let boss = world.enter(&owner, &owner.code, None).await;
    let membership = world.join(&boss, &admin, "admin").await;
    let tenant = world.enter(&admin, &owner.code, None).await;
    // The denials come first here, so that `*` undoes them.
    let all = json!({"name": "All", "permissions": [
        "!core.billing.*", "!core.companies.delete", "!core.companies.action:transfer-ownership", "*",
    ]});
    let made = world
        .act(&tenant, move |tx, kernel, tenant| membership::save_role(tx, kernel, tenant, None, all.clone(), false));
    assert_eq!(made.await.unwrap_err().status(), 403);
    for role in ["owner", "admin", "staff"] {
        let given = world.act(&tenant, move |tx, kernel, tenant| {
            membership::update(tx, kernel, tenant, membership, json!({"role": role}), true)
        });
        assert_eq!(given.await.err().map(|problem| problem.status()), (role == "owner").then_some(403), "{role}");
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_shuts_out_whoever_may_do_more() {
    let world = World::new("ranks").await;
    let (owner, admin, clerk) =
        (world.register("owner").await, world.register("admin").await, world.register("clerk").await);
    let boss = world.enter(&owner, &owner.code, None).await;
    let role = json!({"name": "Clerk", "slug": "clerk", "permissions": ["core.memberships.*", "core.workspaces.*"]});
    world
        .act(&boss, move |tx, kernel, tenant| membership::save_role(tx, kernel, tenant, None, role.clone(), false))
        .await
        .unwrap();
    let above = world.join(&boss, &admin, "admin").await;
    let own = world.join(&boss, &clerk, "clerk").await;
    let tenant = world.enter(&clerk, &owner.code, None).await;
    for action in ["suspend", "remove"] {
        let acted =
            world.act(&tenant, move |tx, kernel, tenant| membership::act(tx, kernel, tenant, above, action)).await;
        assert_eq!(acted.unwrap_err().code(), "permission_denied", "{action}");
    }
    for body in [json!({"role": "clerk"}), json!({"all_workspaces": false})] {
        let changed = world
            .act(&tenant, move |tx, kernel, tenant| membership::update(tx, kernel, tenant, above, body.clone(), true));
        assert_eq!(changed.await.unwrap_err().code(), "permission_denied");
    }
    let titled = world.act(&tenant, move |tx, kernel, tenant| {
        membership::update(tx, kernel, tenant, above, json!({"title": "Boss", "all_workspaces": true}), true)
    });
    titled.await.unwrap();
    world.act(&boss, move |tx, kernel, tenant| membership::act(tx, kernel, tenant, above, "suspend")).await.unwrap();
    world.act(&tenant, move |tx, kernel, tenant| membership::act(tx, kernel, tenant, own, "leave")).await.unwrap();
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_workspaces_can_be_given_back() {
    let world = World::new("reach").await;
    let (owner, staff) = (world.register("owner").await, world.register("staff").await);
    let boss = world.enter(&owner, &owner.code, None).await;
    let membership = world.join(&boss, &staff, "admin").await;
    let set = async |tenant: &Arc<Tenant>, all: bool| {
        let change = move |tx: &mut Tx<'_>, kernel: &Kernel, tenant: &Tenant| {
            membership::update(tx, kernel, tenant, membership, json!({"all_workspaces": all}), true)
        };
        world.act(tenant, change).await
    };
    set(&boss, false).await.unwrap();
    let limited = world.enter(&staff, &owner.code, None).await;
    assert_eq!(limited.workspace_limit(), Some(&[][..]));
    assert_eq!(set(&limited, true).await.unwrap_err().code(), "permission_denied", "nobody widens themselves");
    set(&boss, true).await.unwrap();
    assert!(world.enter(&staff, &owner.code, None).await.workspace_limit().is_none());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_s_end_can_be_taken_away() {
    let world = World::new("expiry").await;
    let owner = world.register("owner").await;
    let boss = world.enter(&owner, &owner.code, None).await;
    let body = json!({"name": "k", "expires_at": "2030-01-01T00:00:00Z"});
    let made = world.act(&boss, move |tx, kernel, tenant| credential::create(tx, kernel, tenant, body.clone()));
    let id = made.await.unwrap().id;
    let expiry = || {
        world.kernel.db.read(View::System, move |reader| {
            let row = credential::LISTING.find(reader, id, None, Default::default())?;
            Ok(serde_json::from_slice::<serde_json::Value>(&row.unwrap()).unwrap()["expires_at"].clone())
        })
    };
    for (body, is_set) in [(json!({"name": "l"}), true), (json!({"expires_at": null}), false)] {
        let changed =
            world.act(&boss, move |tx, kernel, tenant| credential::update(tx, kernel, tenant, id, body.clone(), true));
        changed.await.unwrap();
        assert_eq!(expiry().await.unwrap().is_string(), is_set);
    }
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn managing_keys_is_not_enough_to_act_as_their_users() {
    let world = World::new("keys").await;
    let (owner, developer) = (world.register("owner").await, world.register("developer").await);
    let boss = world.enter(&owner, &owner.code, None).await;
    world.join(&boss, &developer, "developer").await;
    let narrow = |scopes: serde_json::Value| {
        world.act(&boss, move |tx, kernel, tenant| {
            credential::create(tx, kernel, tenant, json!({"name": "k", "scopes": scopes}))
        })
    };
    let key = narrow(json!(["core.internal-api-keys.*", "booking.*"])).await.unwrap();
    let id = key.id;
    let tenant = world.enter(&developer, &owner.code, None).await;
    let rotated = world.act(&tenant, move |tx, kernel, tenant| credential::rotate(tx, kernel, tenant, id, None));
    assert_eq!(rotated.await.unwrap_err().status(), 403, "the new secret would act as the owner");
    let widened = world.act(&tenant, move |tx, kernel, tenant| {
        credential::update(tx, kernel, tenant, id, json!({"scopes": ["*"]}), true)
    });
    assert_eq!(widened.await.unwrap_err().status(), 403);
    let own = world.act(&tenant, |tx, kernel, tenant| credential::create(tx, kernel, tenant, json!({"name": "mine"})));
    let own = own.await.unwrap().id;
    world.act(&tenant, move |tx, kernel, tenant| credential::rotate(tx, kernel, tenant, own, None)).await.unwrap();

    let by_key = world.enter_by_key(&key.secret, &owner.code).await;
    for (scopes, allowed) in [(json!(["*"]), false), (json!(["crm.*"]), false), (json!(["booking.*.view"]), true)] {
        let body = json!({"name": "child", "scopes": scopes});
        let child = world.act(&by_key, move |tx, kernel, tenant| credential::create(tx, kernel, tenant, body.clone()));
        assert_eq!(child.await.is_ok(), allowed, "a limited key makes no wider one: {scopes}");
    }
    let id = developer.id;
    let invited = world.act(&by_key, move |tx, kernel, tenant| {
        membership::create(tx, kernel, tenant, json!({"user": id.to_string(), "role": "owner"}))
    });
    assert_eq!(invited.await.unwrap_err().status(), 403, "a limited key gives no role beyond its scopes");
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_role_in_a_workspace_ends_at_its_walls_and_with_its_membership() {
    let world = World::new("workspaces").await;
    let (owner, staff) = (world.register("owner").await, world.register("staff").await);
    let boss = world.enter(&owner, &owner.code, None).await;
    let membership = world.join(&boss, &staff, "staff").await;
    let branch =
        world.act(&boss, |tx, kernel, tenant| workspace::create(tx, kernel, tenant, json!({"name": "Branch"})));
    let branch = branch.await.unwrap();
    let body = json!({"membership": membership.to_string(), "role": "admin"});
    world
        .act(&boss, move |tx, kernel, tenant| workspace::set_member(tx, kernel, tenant, branch, body.clone(), true))
        .await
        .unwrap();
    let inside = world.enter(&staff, &owner.code, Some(&branch.to_string())).await;
    assert!(inside.may("booking.appointments.delete"));
    assert!(!inside.may("core.memberships.update"), "members are the whole company's");
    assert_eq!(inside.workspace_limit(), Some(&[branch][..]));
    let outside = world.enter(&staff, &owner.code, None).await;
    assert!(!outside.may("booking.appointments.delete"));

    world
        .act(&boss, move |tx, kernel, tenant| membership::act(tx, kernel, tenant, membership, "remove"))
        .await
        .unwrap();
    assert_eq!(world.join(&boss, &staff, "viewer").await, membership);
    let back = world.enter(&staff, &owner.code, Some(&branch.to_string())).await;
    assert!(!back.may("booking.appointments.delete") && back.workspace_limit().is_none());
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_company_s_app_shuts_nobody_out() {
    let world = World::new("apps").await;
    let (owner, squatter) = (world.register("owner").await, world.register("squatter").await);
    let theirs = world.enter(&squatter, &squatter.code, None).await;
    let body = json!({"app_id": "popular-web", "name": "Mine now"});
    let id = world.act(&theirs, move |tx, kernel, tenant| app::save(tx, kernel, tenant, None, body.clone(), false));
    let id = id.await.unwrap();
    world.act(&theirs, move |tx, kernel, tenant| app::set_enabled(tx, kernel, tenant, id, false)).await.unwrap();
    for (person, allowed) in [(&owner, true), (&squatter, false)] {
        let caller = world.caller(person, Some("popular-web")).await;
        let need = Need { company: Some(&person.code), ..Need::default() };
        assert_eq!(world.kernel.enter(&caller, need).await.is_ok(), allowed);
    }
    let seen = || {
        world.kernel.db.read(View::System, |reader| {
            let sql = "SELECT last_seen_at FROM api_client_apps WHERE app_id = 'popular-web'";
            Ok(reader.one(sql, &[], |row| row.opt_time(0))?)
        })
    };
    world.kernel.flush_usage().await.unwrap();
    assert_eq!(seen().await.unwrap(), None, "another company's callers are not seen by it");
    world.act(&theirs, move |tx, kernel, tenant| app::set_enabled(tx, kernel, tenant, id, true)).await.unwrap();
    world.kernel.enter(&world.caller(&squatter, Some("popular-web")).await, Need::default()).await.unwrap();
    world.kernel.flush_usage().await.unwrap();
    assert_eq!(seen().await.unwrap(), Some(world.kernel.now()));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_over_is_taken_over_once() {
    let world = World::new("idempotency").await;
    let claim = |fingerprint: &str| idempotency::Claim {
        scope: "user:1".into(),
        key: "k".into(),
        fingerprint: fingerprint.into(),
    };
    let held = |begun: idempotency::Begun| match begun {
        idempotency::Begun::Held(held) => held,
        idempotency::Begun::Known(known) => panic!("{known:?} is remembered"),
    };
    let first = held(idempotency::claim(&world.kernel, &claim("a")).await.unwrap());
    assert_eq!(idempotency::claim(&world.kernel, &claim("a")).await.unwrap_err().status(), 409, "the lease runs");
    world.clock.advance(3 * DAY_US);
    let second = held(idempotency::claim(&world.kernel, &claim("b")).await.unwrap());
    assert_eq!(idempotency::claim(&world.kernel, &claim("b")).await.unwrap_err().status(), 409);
    // The first comes back late: it neither frees the key nor answers for the second.
    idempotency::release(&world.kernel, &first).await.unwrap();
    let finish = |held: &idempotency::Held, status: u16| {
        let (kernel, held) = (world.kernel.clone(), held.clone());
        let answer = idempotency::Remembered { status, answer: b"{}".to_vec() };
        world.kernel.db.write(View::System, move |tx| idempotency::finish_in_tx(tx, &kernel, &held, &answer))
    };
    finish(&first, 500).await.unwrap();
    assert_eq!(idempotency::claim(&world.kernel, &claim("b")).await.unwrap_err().status(), 409, "still the second's");
    finish(&second, 201).await.unwrap();
    finish(&first, 500).await.unwrap();
    match idempotency::claim(&world.kernel, &claim("b")).await.unwrap() {
        idempotency::Begun::Known(known) => assert_eq!(known.status, 201),
        idempotency::Begun::Held(_) => panic!("the answer is lost"),
    }
    world.close().await;
}
