//! The first transaction of an erasure: from its commit on nobody can be the person any more, and the database calls them by an id.

use loopd_store::{Tx, Value, dialect, params};
use loopd_types::{CompanyId, Problem, Result, SECOND_US, Uuid};
use serde_json::{Value as Json, json};

use super::places::{self, Fate, PLACES};
use super::report::{self, Line};
use super::wanted::{Scope, Wanted};
use super::work::{self, Progress};
use crate::access::Actor;
use crate::account::retire;
use crate::audit::INSTALLATION;
use crate::mail::{self, Letter, Template};
use crate::membership::{self, lock_company};
use crate::{Kernel, audit, credential, event};

/// From the first transaction to the job.
pub(super) const PAUSE_US: i64 = 3 * SECOND_US;

/// By whom an erasure was asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Through {
    /// The person themselves, by a link in a letter.
    Person,
    /// A superuser.
    Operator,
    CommandLine,
}

impl Through {
    fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Operator => "operator",
            Self::CommandLine => "command line",
        }
    }
}

/// Who asks, and how.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub actor: &'a Actor,
    pub through: Through,
}

/// Whoever erases an account names its address, so that no wrong id is erased. An account that was erased has none to name.
///
/// # Errors
/// 400 on `email`; 404.
pub fn require_email(tx: &mut Tx<'_>, user: Uuid, email: &str) -> Result<()> {
    let person = find(tx, user)?;
    if person.is_erased || person.email == email.to_lowercase() {
        return Ok(());
    }
    Err(Problem::field("email", "invalid", "This is not the account's address."))
}

/// An account, as it still is.
struct Person {
    email: String,
    language: String,
    is_superuser: bool,
    is_erased: bool,
}

/// One of their memberships.
struct Membership {
    company: CompanyId,
    id: Uuid,
    status: String,
}

/// Erases the person of an account, all but what stands in logs: the job that this writes goes through those. Gives the erasure's id;
/// repeating it changes nothing and gives the same.
///
/// # Errors
/// 404; 409 `last_owner` with the `companies` whose members would be left without an owner, `last_superuser`.
pub fn begin(tx: &mut Tx<'_>, kernel: &Kernel, asked: Asked<'_>, user: Uuid) -> Result<Uuid> {
    tx.lock("superusers")?;
    let person = find(tx, user)?;
    if person.is_erased {
        let sql = "SELECT id FROM erasures WHERE subject = $1 ORDER BY id LIMIT 1";
        return tx.first(sql, &params![user], |row| row.uuid(0))?.ok_or_else(Problem::not_found);
    }
    require_other_superuser(tx, user, &person)?;
    let memberships = memberships_of(tx, user)?;
    let abandoned = require_owners(tx, user, &memberships)?;
    let people = accounts_of(tx, user)?;
    let mut wanted = Wanted::new(format!("erased-{user}"));
    for one in &people {
        identify(tx, *one, &mut wanted)?;
    }
    let companies = companies_of(tx, &people, &wanted)?;
    let about = rows_about(tx, &people, &wanted)?;
    let quiet =
        Actor { origin: asked.actor.origin.clone().filter(|_| asked.actor.user != Some(user)), ..asked.actor.clone() };
    let mut lines = Vec::new();

    end_memberships(tx, kernel, &quiet, &memberships, &mut lines)?;
    for company in &companies {
        let subject = format!("core/users/{user}");
        event::emit_by(
            tx,
            kernel,
            *company,
            &quiet,
            "core.user.erased",
            &subject,
            json!({"user": user.to_string()}).to_string(),
        )?;
    }
    for company in abandoned {
        close(tx, kernel, &quiet, company)?;
    }
    for one in &people {
        credential::revoke_all_of(tx, kernel, &quiet, *one)?;
        remove_own(tx, *one, &mut lines)?;
    }
    forget_addresses(tx, kernel, &companies, &wanted, &mut lines)?;
    for one in &people {
        retire(tx, kernel, *one, "erased")?;
        tx.execute(
            "UPDATE users SET first_name = 'Erased', last_name = 'person', erased_at = $2, last_login_at = NULL, two_factor_since = NULL \
             WHERE id = $1",
            &params![*one, kernel.now()],
        )?;
        report::add(&mut lines, "users", places::ground("users"), |line| line.pseudonymised += 1);
    }

    let letter =
        Letter { company: INSTALLATION, to: &person.email, language: &person.language, template: Template::DataErased };
    let letter = mail::queue(tx, kernel, &letter)?;
    let erasure = kernel.new_id();
    let companies = companies.into_iter().map(|company| company.0).collect();
    let progress = Progress { people, companies, about, letter: Some(letter), done: Vec::new(), at: None };
    let row = Row {
        company: INSTALLATION,
        id: erasure,
        kind: "account",
        subject: Some(user),
        through: asked.through.as_str(),
    };
    write(tx, kernel, &row, asked.actor.user, &wanted, &progress, &lines)?;
    // Requests that were let in before this may still write their rows.
    work::enqueue(tx, kernel, INSTALLATION, erasure, kernel.now().plus(PAUSE_US))?;
    let (target, changes) = (user.to_string(), json!({"erasure": erasure.to_string()}).to_string());
    let entry = audit::Entry {
        action: "erase",
        module: "core",
        resource: "users",
        target: &target,
        label: "",
        changes: Some(changes),
    };
    kernel.audit_installation(tx, &quiet, entry)?;
    Ok(erasure)
}

/// What a row of the table says of an erasure from its beginning on.
pub(super) struct Row {
    pub company: CompanyId,
    pub id: Uuid,
    pub kind: &'static str,
    pub subject: Option<Uuid>,
    pub through: &'static str,
}

pub(super) fn write(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    row: &Row,
    asked_by: Option<Uuid>,
    wanted: &Wanted,
    progress: &Progress,
    lines: &[Line],
) -> Result<()> {
    let plain = serde_json::to_vec(wanted).map_err(Problem::internal)?;
    let sealed = kernel.vault.seal(kernel.rng.as_ref(), &work::context(row.id), &plain)?;
    let json = |value: serde_json::Result<String>| value.map(Value::Json).map_err(Problem::internal);
    tx.execute(
        "INSERT INTO erasures (company_id, id, kind, subject, asked_through, asked_by, state, wanted, progress, report, created_at) \
         VALUES ($1, $2, $3, $4, $5, $6, 'running', $7, $8, $9, $10)",
        &params![
            row.company,
            row.id,
            row.kind,
            row.subject,
            row.through,
            asked_by,
            sealed,
            json(serde_json::to_string(progress))?,
            json(serde_json::to_string(lines))?,
            kernel.now()
        ],
    )?;
    Ok(())
}

fn find(tx: &mut Tx<'_>, user: Uuid) -> Result<Person> {
    let lock = dialect::for_update(tx.engine());
    let sql = format!("SELECT email, language, is_superuser, erased_at FROM users WHERE id = $1{lock}");
    tx.first(&sql, &params![user], |row| {
        Ok(Person {
            email: row.text(0)?.to_owned(),
            language: row.text(1)?.to_owned(),
            is_superuser: row.bool(2)?,
            is_erased: row.opt_time(3)?.is_some(),
        })
    })?
    .ok_or_else(Problem::not_found)
}

fn require_other_superuser(tx: &mut Tx<'_>, user: Uuid, person: &Person) -> Result<()> {
    let sql = "SELECT count(*) FROM users WHERE is_superuser AND is_active AND id <> $1";
    if person.is_superuser && tx.one(sql, &params![user], |row| row.i64(0))? == 0 {
        return Err(Problem::conflict("last_superuser", "The last active superuser cannot be erased."));
    }
    Ok(())
}

fn memberships_of(tx: &mut Tx<'_>, user: Uuid) -> Result<Vec<Membership>> {
    let sql = "SELECT company_id, id, status FROM memberships WHERE user_id = $1 ORDER BY company_id";
    Ok(tx.query(sql, &params![user], |row| {
        Ok(Membership { company: CompanyId(row.i64(0)?), id: row.uuid(1)?, status: row.text(2)?.to_owned() })
    })?)
}

/// Nobody else's company is left without an owner. Gives the companies that are left without anybody.
fn require_owners(tx: &mut Tx<'_>, user: Uuid, memberships: &[Membership]) -> Result<Vec<CompanyId>> {
    let (mut orphans, mut abandoned) = (Vec::new(), Vec::new());
    for Membership { company, .. } in memberships {
        lock_company(tx, *company)?;
        let (code, name, status) =
            tx.one("SELECT code, name, status FROM companies WHERE company_id = $1", &params![*company], |row| {
                Ok((row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.text(2)?.to_owned()))
            })?;
        let (own, owners, others) = tx.one(
            "SELECT (SELECT count(*) FROM memberships WHERE company_id = $1 AND user_id = $2 AND role = 'owner' AND status = 'active'), \
             (SELECT count(*) FROM memberships WHERE company_id = $1 AND user_id <> $2 AND role = 'owner' AND status = 'active'), \
             (SELECT count(*) FROM memberships WHERE company_id = $1 AND user_id <> $2 AND status <> 'left')",
            &params![*company, user],
            |row| Ok((row.i64(0)?, row.i64(1)?, row.i64(2)?)),
        )?;
        match (own > 0 && owners == 0 && status != "closed", others) {
            (false, _) => {}
            (true, 0) => abandoned.push(*company),
            (true, _) => orphans.push(json!({"code": code, "name": name})),
        }
    }
    if orphans.is_empty() {
        return Ok(abandoned);
    }
    let words = "Members of these companies would be left without an owner. Transfer the ownership, or close the company, first.";
    Err(Problem::conflict("last_owner", words).with_extra("companies", orphans))
}

/// The account, and those that it absorbed.
fn accounts_of(tx: &mut Tx<'_>, user: Uuid) -> Result<Vec<Uuid>> {
    let (mut all, mut at) = (vec![user], 0);
    while let Some(one) = all.get(at).copied() {
        let sql = "SELECT id FROM users WHERE merged_into = $1 ORDER BY id";
        for absorbed in tx.query(sql, &params![one], |row| row.uuid(0))? {
            if !all.contains(&absorbed) {
                all.push(absorbed);
            }
        }
        at += 1;
    }
    Ok(all)
}

/// Collects what the person is and was called: from the account, and from what the log says that it was changed from.
fn identify(tx: &mut Tx<'_>, user: Uuid, wanted: &mut Wanted) -> Result<()> {
    let sql = "SELECT email, username, first_name, last_name, phone FROM users WHERE id = $1";
    let own = tx.one(sql, &params![user], |row| {
        Ok([
            row.text(0)?.to_owned(),
            row.text(1)?.to_owned(),
            row.text(2)?.to_owned(),
            row.text(3)?.to_owned(),
            row.text(4)?.to_owned(),
        ])
    })?;
    let [email, username, first, last, phone] = &own;
    wanted.add_email(email);
    wanted.add_word(username);
    wanted.add_name(first, last);
    wanted.add_phone(phone);
    let sql = "SELECT email FROM invitations WHERE user_id = $1";
    for email in tx.query(sql, &params![user], |row| Ok(row.text(0)?.to_owned()))? {
        wanted.add_email(&email);
    }
    let sql = "SELECT target_label, changes FROM audit_logs WHERE company_id = $1 AND target_id = $2 AND NOT is_creation AND resource = 'users'";
    let told = tx.query(sql, &params![INSTALLATION, user.to_string()], |row| {
        Ok((row.text(0)?.to_owned(), row.opt_json(1)?.map(str::to_owned)))
    })?;
    for (label, changes) in told {
        if label.contains('@') {
            wanted.add_email(&label)
        } else {
            wanted.add_word(&label)
        }
        let changes: Json = changes.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
        let values = |name: &str| -> Vec<String> {
            let texts = changes.get(name).and_then(Json::as_array).into_iter().flatten();
            texts.filter_map(|value| value.as_str().map(str::to_owned)).collect()
        };
        values("email").iter().for_each(|email| wanted.add_email(email));
        values("phone").iter().for_each(|phone| wanted.add_phone(phone));
        values("username").iter().for_each(|word| wanted.add_word(word));
        for (at, was) in values("first_name").iter().enumerate() {
            wanted.add_name(was, values("last_name").get(at).unwrap_or(last));
        }
        for (at, was) in values("last_name").iter().enumerate() {
            wanted.add_name(values("first_name").get(at).unwrap_or(first), was);
        }
    }
    Ok(())
}

/// Where something of theirs may stand: companies in which they are or were members, or to which they were invited.
fn companies_of(tx: &mut Tx<'_>, people: &[Uuid], wanted: &Wanted) -> Result<Vec<CompanyId>> {
    let mut all = std::collections::BTreeSet::new();
    for user in people {
        let sql = "SELECT company_id FROM memberships WHERE user_id = $1 UNION SELECT company_id FROM invitations WHERE user_id = $1";
        all.extend(tx.query(sql, &params![*user], |row| row.i64(0))?);
    }
    for email in &wanted.emails {
        all.extend(tx.query("SELECT company_id FROM invitations WHERE email = $1", &params![email], |row| row.i64(0))?);
    }
    Ok(all.into_iter().map(CompanyId).collect())
}

/// How logs name what is about them: the account, its memberships, its invitations.
fn rows_about(tx: &mut Tx<'_>, people: &[Uuid], wanted: &Wanted) -> Result<Vec<String>> {
    let mut all = Vec::new();
    let mut both = |noun: &str, id: Uuid| all.extend([id.to_string(), format!("core/{noun}/{id}")]);
    for user in people {
        both("users", *user);
        for id in tx.query("SELECT id FROM memberships WHERE user_id = $1", &params![*user], |row| row.uuid(0))? {
            both("memberships", id);
        }
        for id in tx.query("SELECT id FROM invitations WHERE user_id = $1", &params![*user], |row| row.uuid(0))? {
            both("invitations", id);
        }
    }
    for email in &wanted.emails {
        for id in tx.query("SELECT id FROM invitations WHERE email = $1", &params![email], |row| row.uuid(0))? {
            both("invitations", id);
        }
    }
    all.sort();
    all.dedup();
    Ok(all)
}

fn end_memberships(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    actor: &Actor,
    memberships: &[Membership],
    lines: &mut Vec<Line>,
) -> Result<()> {
    for Membership { company, id, status } in memberships {
        tx.execute(
            "UPDATE memberships SET status = 'left', title = '', updated_at = $3, version = version + 1 WHERE company_id = $1 AND id = $2",
            &params![*company, *id, kernel.now()],
        )?;
        tx.execute(
            "DELETE FROM oidc_memberships WHERE company_id = $1 AND membership_id = $2",
            &params![*company, *id],
        )?;
        report::add(lines, "memberships", places::ground("memberships"), |line| line.pseudonymised += 1);
        if status != "left" {
            let changes = json!({"status": [status, "left"]});
            membership::written_by(tx, kernel, *company, actor, "leave", "core.membership.left", *id, &changes)?;
        }
    }
    Ok(())
}

/// A company without anybody is closed: nobody could do it later.
fn close(tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor, company: CompanyId) -> Result<()> {
    let (id, code, status) =
        tx.one("SELECT id, code, status FROM companies WHERE company_id = $1", &params![company], |row| {
            Ok((row.uuid(0)?.to_string(), row.text(1)?.to_owned(), row.text(2)?.to_owned()))
        })?;
    tx.execute(
        "UPDATE companies SET status = 'closed', updated_at = $2, version = version + 1 WHERE company_id = $1",
        &params![company, kernel.now()],
    )?;
    let changes = json!({"status": [status, "closed"]}).to_string();
    let entry = audit::Entry {
        action: "close",
        module: "core",
        resource: "companies",
        target: &id,
        label: &code,
        changes: Some(changes.clone()),
    };
    audit::record_by(tx, kernel, company, actor, entry)?;
    event::emit_by(tx, kernel, company, actor, "core.company.closed", &format!("core/companies/{id}"), changes)?;
    kernel.forget_company(tx, company);
    Ok(())
}

/// Removes what is one account's alone.
fn remove_own(tx: &mut Tx<'_>, user: Uuid, lines: &mut Vec<Line>) -> Result<()> {
    let mut gone = |table: &str, rows: u64| report::add(lines, table, "", |line| line.erased += rows);
    for place in PLACES {
        let (Fate::Removed(columns) | Fate::Opens(columns)) = place.fate else { continue };
        for column in columns {
            let sql = format!("DELETE FROM {} WHERE {column} = $1", place.table);
            gone(place.table, tx.execute(&sql, &params![user])?);
        }
    }
    gone("sessions", tx.execute("DELETE FROM sessions WHERE user_id = $1", &params![user])?);
    gone("credentials", tx.execute("DELETE FROM credentials WHERE user_id = $1", &params![user])?);
    let scopes = format!("%:{user}");
    gone("idempotency_keys", tx.execute("DELETE FROM idempotency_keys WHERE scope LIKE $1", &params![scopes])?);
    tx.execute("UPDATE api_client_apps SET owner_id = NULL WHERE owner_id = $1", &params![user])?;
    // An operator's sessions in other people's names are history of those people.
    tx.execute("UPDATE sessions SET address = '', user_agent = '' WHERE impersonator_id = $1", &params![user])?;
    Ok(())
}

/// Letters to them, invitations that wait for them, bills that go to them.
fn forget_addresses(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    companies: &[CompanyId],
    wanted: &Wanted,
    lines: &mut Vec<Line>,
) -> Result<()> {
    for email in &wanted.emails {
        let letters = tx.execute("DELETE FROM mail_messages WHERE recipient = $1", &params![email])?;
        report::add(lines, "mail_messages", "", |line| line.erased += letters);
        withdraw_invitations(tx, kernel, None, email)?;
    }
    for company in companies {
        forget_payer(tx, kernel, *company, wanted, lines)?;
    }
    Ok(())
}

/// Invitations that wait for this address, of one company or of all.
pub(super) fn withdraw_invitations(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: Option<CompanyId>,
    email: &str,
) -> Result<()> {
    let mut sql = "UPDATE invitations SET status = 'revoked', token_hash = NULL, answered_at = $2, updated_at = $2, version = version + 1 \
                   WHERE email = $1 AND status = 'pending'"
        .to_owned();
    let mut values = params![email, kernel.now()].to_vec();
    if let Some(company) = company {
        sql.push_str(" AND company_id = $3");
        values.push(company.into());
    }
    tx.execute(&sql, &values)?;
    Ok(())
}

/// A company's bills that go to them. Nothing is sent to a pseudonym: without an address bills go to the company's owners.
pub(super) fn forget_payer(
    tx: &mut Tx<'_>,
    kernel: &Kernel,
    company: CompanyId,
    wanted: &Wanted,
    lines: &mut Vec<Line>,
) -> Result<()> {
    let sql = "SELECT email, name, address, payer FROM billing_accounts WHERE company_id = $1";
    let found = tx.first(sql, &params![company], |row| {
        Ok([row.text(0)?.to_owned(), row.text(1)?.to_owned(), row.text(2)?.to_owned(), row.text(3)?.to_owned()])
    })?;
    let Some(now) = found else { return Ok(()) };
    let blank = now.each_ref().map(|text| match wanted.replace(text, Scope::Anywhere) {
        Some(_) => String::new(),
        None => text.clone(),
    });
    if blank != now {
        let [email, name, address, payer] = &blank;
        tx.execute(
            "UPDATE billing_accounts SET email = $2, name = $3, address = $4, payer = $5, \
             payment_method = CASE WHEN payer <> $5 THEN 'manual' ELSE payment_method END, updated_at = $6, version = version + 1 \
             WHERE company_id = $1",
            &params![company, email, name, address, payer, kernel.now()],
        )?;
        report::add(lines, "billing_accounts", places::ground("billing_accounts"), |line| line.pseudonymised += 1);
    }
    Ok(())
}
