//! What the hot path knows of a user and a company, read in a few statements and kept in the cache.

use std::sync::Arc;

use loopd_store::{Engine, Reader, Row, StoreError, View, params};
use loopd_types::{CompanyId, Network, Result, Timestamp, Uuid};

use super::bounds::{Bounds, Impersonation};
use super::caller::KeyAccess;
use crate::Kernel;
use crate::billing::exact::{self, Hard};
use crate::billing::usage::{self, Passed};
use crate::credential::Kind;
use crate::permission::PermissionSet;
use crate::subscription::rules::{self, Openness, State, Status};

/// A user with everything that decides what they may do.
#[derive(Debug)]
pub struct UserAccess {
    pub id: Uuid,
    pub email: String,
    pub username: String,
    pub language: String,
    pub is_active: bool,
    pub is_staff: bool,
    pub is_superuser: bool,
    pub memberships: Vec<MembershipAccess>,
    /// Whether the person has a second factor that was confirmed.
    pub has_two_factor: bool,
    /// Sessions that live.
    sessions: Vec<SessionAccess>,
}

/// A living session.
#[derive(Debug)]
struct SessionAccess {
    id: Uuid,
    expires_at: Timestamp,
    /// Whether it has shown two factors.
    has_two_factor: bool,
    /// Whether a trusted provider of identity has asked for them, so that the person need not have one here.
    is_trusted: bool,
    bounds: Option<Arc<Bounds>>,
}

impl UserAccess {
    pub fn has_session(&self, id: Uuid, now: Timestamp) -> bool {
        self.sessions.iter().any(|session| session.id == id && session.expires_at > now)
    }
    /// Whether the session has shown a second factor that the person still has, or that is asked for elsewhere.
    pub(crate) fn session_has_two_factor(&self, id: Uuid) -> bool {
        self.sessions.iter().any(|session| {
            // An operator shows their own factor, which the person need not have.
            let is_theirs = session.bounds.as_ref().is_some_and(|bounds| bounds.impersonation.is_some());
            session.id == id && session.has_two_factor && (self.has_two_factor || session.is_trusted || is_theirs)
        })
    }
    pub(crate) fn bounds_of(&self, id: Uuid) -> Option<Arc<Bounds>> {
        self.sessions.iter().find(|session| session.id == id).and_then(|session| session.bounds.clone())
    }
    /// The membership of a company, whatever its state.
    pub fn membership(&self, company: CompanyId) -> Option<&MembershipAccess> {
        self.memberships.iter().find(|m| m.company == company)
    }
}

#[derive(Debug)]
pub struct MembershipAccess {
    pub company: CompanyId,
    pub id: Uuid,
    pub role: Arc<str>,
    pub is_active: bool,
    pub permissions: Arc<PermissionSet>,
    /// `None`: every workspace.
    limit: Option<Arc<[Uuid]>>,
    /// Further roles by workspace.
    further: Vec<(Uuid, Arc<PermissionSet>)>,
}

impl MembershipAccess {
    pub(crate) fn workspace_ids(&self) -> Option<Arc<[Uuid]>> {
        self.limit.clone()
    }
    pub(crate) fn role_in(&self, workspace: Uuid) -> Option<Arc<PermissionSet>> {
        self.further.iter().find(|(id, _)| *id == workspace).map(|(_, set)| set.clone())
    }
}

/// A company with what decides who may do what in it.
#[derive(Debug)]
pub struct CompanyAccess {
    pub company: CompanyId,
    pub id: Uuid,
    pub code: String,
    pub name: String,
    pub status: String,
    pub currency: String,
    pub timezone: String,
    pub language: String,
    /// Setting `known_apps_only`: refuse app ids that nobody registered.
    pub known_apps_only: bool,
    /// Setting `require_two_factor`: refuse members who have not shown a second factor.
    pub requires_two_factor: bool,
    /// What the company chose about strangers, by module: `public` of the module's section of the settings, where it stands.
    pub doors: Vec<(String, bool)>,
    pub products: Vec<ProductAccess>,
    /// Meters that have passed a limit of the company's plans in this month.
    pub passed: Vec<Passed>,
    /// Meters with a hard limit.
    pub hard: Vec<Hard>,
    pub workspaces: Vec<WorkspaceAccess>,
}

#[derive(Debug)]
pub struct ProductAccess {
    pub slug: String,
    pub state: State,
}

#[derive(Debug)]
pub struct WorkspaceAccess {
    pub id: Uuid,
    pub is_default: bool,
}

impl CompanyAccess {
    /// What is open of a product now; a product without a subscription is closed.
    pub fn openness(&self, slug: &str, now: Timestamp) -> Openness {
        let product = self.products.iter().find(|product| product.slug == slug);
        product.map_or(Openness::Closed, |product| rules::openness(&product.state, now))
    }
    /// Subscribed, so that at least its records can be read: a suspended subscription closes writes only.
    pub fn has_product(&self, slug: &str, now: Timestamp) -> bool {
        self.openness(slug, now) != Openness::Closed
    }
}

impl ProductAccess {
    pub fn is_open(&self, now: Timestamp) -> bool {
        rules::openness(&self.state, now) == Openness::Open
    }
}

impl Kernel {
    /// The user behind `id` with memberships and living sessions; from the cache when it is fresh.
    pub async fn user_access(&self, id: Uuid) -> Result<Option<Arc<UserAccess>>> {
        if let Some(known) = self.cache.users.get(&id) {
            return Ok(Some(known));
        }
        self.load_user_access(id).await
    }

    /// As [`Kernel::user_access`], asked by whoever shows a session of theirs: another node may have begun it a moment ago.
    pub(super) async fn user_access_of(
        &self,
        id: Uuid,
        session: Uuid,
        now: Timestamp,
    ) -> Result<Option<Arc<UserAccess>>> {
        let known = self.user_access(id).await?;
        let lacks_it = known.as_ref().is_some_and(|user| !user.has_session(session, now));
        if lacks_it && self.db.engine() == Engine::Postgres {
            return self.load_user_access(id).await;
        }
        Ok(known)
    }

    async fn load_user_access(&self, id: Uuid) -> Result<Option<Arc<UserAccess>>> {
        let ticket = self.cache.users.ticket();
        let now = self.now();
        let loaded = self.db.read(View::System, move |reader| Ok(load_user(reader, id, now)?)).await?.map(Arc::new);
        if let Some(user) = &loaded {
            self.cache.users.put(ticket, id, user.clone());
        }
        Ok(loaded)
    }

    /// The company behind `company`; from the cache when it is fresh.
    pub async fn company_access(&self, company: CompanyId) -> Result<Option<Arc<CompanyAccess>>> {
        if let Some(known) = self.cache.companies.get(&company) {
            return Ok(Some(known));
        }
        let ticket = self.cache.companies.ticket();
        let now = self.now();
        let loaded =
            self.db.read(View::System, move |reader| Ok(load_company(reader, company, now)?)).await?.map(Arc::new);
        if let Some(access) = &loaded {
            self.cache.companies.put(ticket, company, access.clone());
        }
        Ok(loaded)
    }

    /// As [`Kernel::company_access`], as this transaction sees it; for who is told something inside of one.
    ///
    /// # Errors
    /// The database's.
    pub fn company_access_within(
        &self,
        reader: &mut Reader<'_>,
        company: CompanyId,
    ) -> Result<Option<Arc<CompanyAccess>>> {
        Ok(load_company(reader, company, self.now())?.map(Arc::new))
    }

    /// The stored key of this kind whose secret this is, unless it is revoked or over. The one look-up for every kind; who uses the
    /// key is noted by [`Kernel::used_key`].
    ///
    /// # Errors
    /// 503 when the database cannot be asked.
    pub async fn find_key(&self, kind: &Kind, secret: &str) -> Result<Option<Arc<KeyAccess>>> {
        // What cannot be a key of ours is not looked for.
        if !kind.claims(secret) {
            return Ok(None);
        }
        let is_alive = |key: &Arc<KeyAccess>| {
            key.kind == kind.slug && key.expires_at.is_none_or(|expires_at| expires_at > self.now())
        };
        let hash = loopd_types::sha256_hex(secret.as_bytes());
        if let Some(known) = self.cache.keys.get(&hash) {
            return Ok(Some(known).filter(is_alive));
        }
        let ticket = self.cache.keys.ticket();
        let (wanted, now) = (hash.clone(), self.now());
        let loaded = self.db.read(View::System, move |reader| Ok(load_key(reader, &wanted, now)?)).await?.map(Arc::new);
        if let Some(key) = &loaded {
            self.cache.keys.put(ticket, hash, key.clone());
        }
        Ok(loaded.filter(is_alive))
    }
}

fn load_user(reader: &mut Reader<'_>, id: Uuid, now: Timestamp) -> Result<Option<UserAccess>, StoreError> {
    let user = reader.first(
        "SELECT id, email, username, language, is_active, is_staff, is_superuser, two_factor_since FROM users WHERE id = $1",
        &params![id],
        |row| {
            Ok(UserAccess {
                id: row.uuid(0)?,
                email: row.text(1)?.to_owned(),
                username: row.text(2)?.to_owned(),
                language: row.text(3)?.to_owned(),
                is_active: row.bool(4)?,
                is_staff: row.bool(5)?,
                is_superuser: row.bool(6)?,
                memberships: Vec::new(),
                has_two_factor: row.opt_time(7)?.is_some(),
                sessions: Vec::new(),
            })
        },
    )?;
    let Some(mut user) = user else { return Ok(None) };
    user.sessions = reader.query(
        "SELECT id, expires_at, second_factor_at, impersonator_id, impersonation_reason, withheld, confined_company_id, method FROM sessions WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2",
        &params![id, now],
        |row| {
            Ok(SessionAccess {
                id: row.uuid(0)?,
                expires_at: row.time(1)?,
                has_two_factor: row.opt_time(2)?.is_some(),
                is_trusted: row.text(7)? == crate::oidc::TRUSTED_METHOD,
                bounds: bounds(row)?,
            })
        },
    )?;
    let further = reader.query(
        "SELECT w.company_id, w.workspace_id, r.slug, r.permissions, r.is_system \
         FROM memberships m \
         JOIN membership_workspaces w ON w.company_id = m.company_id AND w.membership_id = m.id \
         LEFT JOIN roles r ON r.company_id = w.company_id AND r.slug = w.role \
         WHERE m.user_id = $1 ORDER BY w.company_id, w.workspace_id",
        &params![id],
        |row| {
            let role = match row.opt_text(2)? {
                Some(slug) => Some(Arc::new(crate::role::permissions_of(slug, row.bool(4)?, row.json(3)?))),
                None => None,
            };
            Ok((CompanyId(row.i64(0)?), row.uuid(1)?, role))
        },
    )?;
    user.memberships = reader.query(
        "SELECT m.company_id, m.id, m.role, m.status, m.all_workspaces, r.permissions, r.is_system \
         FROM memberships m JOIN roles r ON r.company_id = m.company_id AND r.slug = m.role \
         WHERE m.user_id = $1 ORDER BY m.company_id",
        &params![id],
        |row| membership(row, &further),
    )?;
    Ok(Some(user))
}

/// What a session may less than its person; `None` for one of their own.
fn bounds(row: &Row<'_>) -> Result<Option<Arc<Bounds>>, StoreError> {
    let impersonation = match row.opt_uuid(3)? {
        Some(by) => Some(Impersonation {
            by,
            reason: row.opt_text(4)?.unwrap_or_default().to_owned(),
            expires_at: row.time(1)?,
            withheld: row.opt_json(5)?.map(crate::role::parse_patterns).unwrap_or_default(),
        }),
        None => None,
    };
    let confined_to = row.opt_i64(6)?.map(CompanyId);
    let is_bound = impersonation.is_some() || confined_to.is_some();
    Ok(is_bound.then(|| Arc::new(Bounds { impersonation, confined_to })))
}

fn membership(
    row: &Row<'_>,
    further: &[(CompanyId, Uuid, Option<Arc<PermissionSet>>)],
) -> Result<MembershipAccess, StoreError> {
    let company = CompanyId(row.i64(0)?);
    let role = row.text(2)?;
    let permissions = crate::role::permissions_of(role, row.bool(6)?, row.json(5)?);
    let mine = || further.iter().filter(|(of, ..)| *of == company);
    Ok(MembershipAccess {
        company,
        id: row.uuid(1)?,
        role: role.into(),
        is_active: row.text(3)? == "active",
        limit: if row.bool(4)? { None } else { Some(mine().map(|(_, id, _)| *id).collect()) },
        further: mine().filter_map(|(_, id, role)| Some((*id, role.clone()?))).collect(),
        permissions: Arc::new(permissions),
    })
}

fn load_company(
    reader: &mut Reader<'_>,
    company: CompanyId,
    now: Timestamp,
) -> Result<Option<CompanyAccess>, StoreError> {
    let access = reader.first(
        "SELECT id, code, name, status, currency, timezone, language, settings FROM companies WHERE company_id = $1",
        &params![company],
        |row| {
            let settings: serde_json::Value = serde_json::from_str(row.json(7)?).unwrap_or_default();
            Ok(CompanyAccess {
                company,
                id: row.uuid(0)?,
                code: row.text(1)?.to_owned(),
                name: row.text(2)?.to_owned(),
                status: row.text(3)?.to_owned(),
                currency: row.text(4)?.to_owned(),
                timezone: row.text(5)?.to_owned(),
                language: row.text(6)?.to_owned(),
                known_apps_only: settings["known_apps_only"] == true,
                requires_two_factor: settings["require_two_factor"] == true,
                doors: doors(&settings),
                products: Vec::new(),
                passed: Vec::new(),
                hard: Vec::new(),
                workspaces: Vec::new(),
            })
        },
    )?;
    let Some(mut access) = access else { return Ok(None) };
    access.products = reader.query(
        "SELECT product, status, trial_ends_at, ends_at, grace_ends_at, plan_id IS NOT NULL, by_operator FROM product_subscriptions \
         WHERE company_id = $1 ORDER BY product",
        &params![company],
        |row| {
            let state = State {
                status: Status::parse(row.text(1)?).unwrap_or(Status::Expired),
                trial_ends_at: row.opt_time(2)?,
                ends_at: row.opt_time(3)?,
                grace_ends_at: row.opt_time(4)?,
                is_sold: row.bool(5)?,
                by_operator: row.bool(6)?,
            };
            Ok(ProductAccess { slug: row.text(0)?.to_owned(), state })
        },
    )?;
    access.passed = usage::passed(reader, company, now)?;
    access.hard = exact::load(reader, company)?;
    access.workspaces = reader.query(
        "SELECT id, is_default FROM workspaces WHERE company_id = $1 AND status = 'active' ORDER BY id",
        &params![company],
        |row| Ok(WorkspaceAccess { id: row.uuid(0)?, is_default: row.bool(1)? }),
    )?;
    Ok(Some(access))
}

fn doors(settings: &serde_json::Value) -> Vec<(String, bool)> {
    let sections = settings.as_object().into_iter().flatten();
    sections.filter_map(|(module, section)| Some((module.clone(), section["public"].as_bool()?))).collect()
}

fn load_key(reader: &mut Reader<'_>, hash: &str, now: Timestamp) -> Result<Option<KeyAccess>, StoreError> {
    reader.first(
        "SELECT id, user_id, companies, scopes, expires_at, kind, subject, allowed_networks, workspaces, rate_limit_per_minute \
         FROM credentials WHERE hash = $1 AND revoked_at IS NULL AND disabled_at IS NULL AND (expires_at IS NULL OR expires_at > $2)",
        &params![hash, now],
        |row| {
            let companies = row.opt_json(2)?.map(|text| {
                let numbers: Vec<i64> = serde_json::from_str(text).unwrap_or_default();
                numbers.into_iter().map(CompanyId).collect()
            });
            Ok(KeyAccess {
                id: Some(row.uuid(0)?),
                kind: row.text(5)?.to_owned(),
                user_id: row.opt_uuid(1)?,
                subject: row.opt_text(6)?.map(str::to_owned),
                allowed_networks: row.opt_json(7)?.map(parse_networks),
                workspaces: row.opt_json(8)?.map(parse_workspaces),
                rate_limit: row.opt_i64(9)?.and_then(|limit| u32::try_from(limit).ok()),
                companies,
                scopes: PermissionSet::parse(crate::role::parse_patterns(row.json(3)?)).unwrap_or_default(),
                words: crate::role::parse_patterns(row.json(3)?),
                expires_at: row.opt_time(4)?,
            })
        },
    )
}

/// What cannot be read allows nothing: a limit that was set must never be lost.
fn parse_networks(text: &str) -> Vec<Network> {
    let list: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    list.iter().filter_map(|network| network.parse().ok()).collect()
}

fn parse_workspaces(text: &str) -> Arc<[Uuid]> {
    let list: Vec<String> = serde_json::from_str(text).unwrap_or_default();
    list.iter().filter_map(|id| Uuid::parse_str(id).ok()).collect()
}
