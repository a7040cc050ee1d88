//! Bringing a company in: all of it or nothing.
//!
//! One transaction for everything, however large. Chunks would let others write in between, but a company that is half there is seen
//! by sign-in, schedules and reports, and what a killed import leaves behind would have to be told from what was there before; the
//! database does that better. The price is paid on SQLite, whose one writer is taken meanwhile, and in its log, which grows by as much
//! as comes in. What can be known of the archive is therefore looked at before ([`check`](super::check)).
//!
//! What files hold comes first and outside of it: as with every file, content is durable in the store before its row is, and is given
//! back when the row does not come.

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};

use loopd_store::ddl::TableDef;
use loopd_store::{Tx, Value, View, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde::Serialize;

use super::archive::Source;
use super::contents::{self, Arrived, Contents};
use super::people::People;
use super::rows::{Rows, Target};
use super::{
    COMPANY, Company, MANIFEST, Manifest, Member, STEP_ROWS, Step, USERS, Watcher, archive, check, refused, row, schema,
};
use crate::access::Actor;
use crate::{Kernel, audit, company, counter, file};

const FILES: &str = "files";

/// What came in.
#[derive(Clone, Debug, Serialize)]
pub struct Imported {
    #[serde(skip)]
    pub company: CompanyId,
    pub id: String,
    pub code: String,
    pub name: String,
    pub slug: String,
    /// The code that it had where it came from; another one when that is taken here.
    pub code_before: String,
    pub rows: u64,
    pub files: u64,
    /// What its files hold.
    pub bytes: u64,
    /// People who were known here by their email address.
    pub people_known: u64,
    /// People who were made; they have no password yet.
    pub people_made: u64,
    /// People who were known by an address alone that nobody has proved to read; their memberships are suspended.
    pub people_unproved: u64,
}

/// What is done last in the transaction that brings a company in; a refusal takes all of it back.
pub type Settle = Arc<dyn Fn(&mut Tx<'_>, &Imported) -> Result<()> + Send + Sync>;

/// Reads the archive at `from` into the database and the file store. The company keeps its number, and so its code, when that is free,
/// and gets the next one otherwise; its slug gets a number when somebody has it.
///
/// # Errors
/// `archive_invalid` as [`check`](super::check) says; 409 `company_exists` when it is here already, `archive_conflict` when a row of it
/// has what may exist once in an installation and does (a site's domain); 507 `storage_full`; 503. Nothing was written then.
pub async fn import(
    kernel: &Arc<Kernel>,
    defined: Vec<TableDef>,
    from: Source,
    actor: &Actor,
    watcher: Watcher,
    settle: Option<Settle>,
) -> Result<Imported> {
    let (mut arriving, contents) = Arriving::look(defined, from, watcher).await?;
    arriving.settle = settle;
    if contents.is_empty() {
        return arriving.write(kernel, actor).await;
    }
    let number = Number::take(kernel, &arriving.manifest.company).await?;
    let (from, hears) = (arriving.from.clone(), arriving.watcher.clone());
    let (arrived, outcome) = contents::arrive(kernel, number.company, from, contents, hears).await;
    let arrived = Arc::new(arrived);
    (arriving.number, arriving.contents) = (Some(number.company), arrived.clone());
    let outcome = match outcome {
        Ok(()) => arriving.write(kernel, actor).await,
        Err(problem) => Err(problem),
    };
    if outcome.is_err() {
        for content in arrived.values() {
            file::discard(kernel, content).await;
        }
        number.give_back(kernel).await;
    }
    outcome
}

/// Does all that [`import`] does to the database and takes it back; gives what would have come. Nothing goes into the file store.
///
/// # Errors
/// As [`import`].
pub async fn rehearse(
    kernel: &Arc<Kernel>,
    defined: Vec<TableDef>,
    from: Source,
    actor: &Actor,
    watcher: Watcher,
) -> Result<Imported> {
    let (mut arriving, contents) = Arriving::look(defined, from, watcher).await?;
    arriving.contents = Arc::new(contents.imagined());
    arriving.is_rehearsal = true;
    let came = Arc::new(Mutex::new(None));
    let would = came.clone();
    arriving.settle = Some(Arc::new(move |_, imported| {
        *would.lock().unwrap_or_else(PoisonError::into_inner) = Some(imported.clone());
        // Takes the transaction back.
        Err(Problem::conflict(REHEARSED, "It would have come."))
    }));
    match arriving.write(kernel, actor).await {
        Err(problem) if problem.code() == REHEARSED => {
            let came = came.lock().unwrap_or_else(PoisonError::into_inner).take();
            came.ok_or_else(|| Problem::internal("a rehearsal without an end"))
        }
        Err(problem) => Err(problem),
        Ok(_) => Err(Problem::internal("a rehearsal was written")),
    }
}

const REHEARSED: &str = "rehearsed";

/// A number that is kept for a company before it is there: contents lie under its code.
struct Number {
    company: CompanyId,
    /// The counter of companies before and since.
    before: i64,
    since: i64,
}

impl Number {
    async fn take(kernel: &Kernel, about: &Company) -> Result<Self> {
        let about = about.clone();
        let taken = kernel.db.write(View::System, move |tx| {
            let before = counter::last(tx, audit::INSTALLATION, COUNTER)?;
            let company = number(tx, &about)?;
            Ok(Self { company, before, since: counter::last(tx, audit::INSTALLATION, COUNTER)? })
        });
        taken.await
    }

    /// Nobody got it: it is the next one again, unless others were given out meanwhile.
    async fn give_back(&self, kernel: &Kernel) {
        let (before, since) = (self.before, self.since);
        let given = kernel
            .db
            .write(View::System, move |tx| Ok(counter::lower(tx, audit::INSTALLATION, COUNTER, since, before)?));
        if let Err(problem) = given.await {
            tracing::warn!(cause = problem.cause(), "the number of a company that did not come is left out");
        }
    }
}

const COUNTER: &str = "companies";

/// The number that the company had if it is free, else the next one. The counter's row is the lock on both.
fn number(tx: &mut Tx<'_>, about: &Company) -> Result<CompanyId> {
    counter::raise(tx, audit::INSTALLATION, COUNTER, about.number)?;
    let here =
        tx.first("SELECT code FROM companies WHERE id = $1", &params![id(about)?], |row| Ok(row.text(0)?.to_owned()))?;
    if let Some(code) = here {
        return Err(Problem::conflict("company_exists", format!("This company is here already, as {code}.")));
    }
    if is_free(tx, CompanyId(about.number))? {
        return Ok(CompanyId(about.number));
    }
    Ok(CompanyId(counter::next(tx, audit::INSTALLATION, COUNTER)?))
}

fn is_free(tx: &mut Tx<'_>, company: CompanyId) -> Result<bool> {
    Ok(tx.first("SELECT 1 FROM companies WHERE company_id = $1", &params![company], |_| Ok(()))?.is_none())
}

fn id(about: &Company) -> Result<Uuid> {
    Uuid::parse_str(&about.id).map_err(|_| refused("its company has no id"))
}

#[derive(Clone)]
struct Arriving {
    manifest: Manifest,
    tables: Vec<schema::Table>,
    from: Source,
    watcher: Watcher,
    /// The number that its contents lie under; `None` when there are none.
    number: Option<CompanyId>,
    contents: Arc<Arrived>,
    settle: Option<Settle>,
    /// Its contents are imagined.
    is_rehearsal: bool,
}

impl Arriving {
    /// Looks the archive through; gives the contents that its files need, too.
    async fn look(defined: Vec<TableDef>, from: Source, watcher: Watcher) -> Result<(Self, Contents)> {
        let (source, tables, hears) = (from.clone(), defined.clone(), watcher.clone());
        let looked = tokio::task::spawn_blocking(move || check::look(&source, tables, &hears)).await;
        let (manifest, contents) = looked.map_err(Problem::internal)??;
        let tables = schema::tables(defined);
        let (number, settle, is_rehearsal) = (None, None, false);
        let arriving = Self { manifest, tables, from, watcher, number, contents: Arc::default(), settle, is_rehearsal };
        Ok((arriving, contents))
    }

    async fn write(self, kernel: &Arc<Kernel>, actor: &Actor) -> Result<Imported> {
        let (shared, actor) = (kernel.clone(), actor.clone());
        kernel.db.write_unlimited(move |tx| self.arrive(tx, &shared, &actor)).await
    }

    fn arrive(&self, tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor) -> Result<Imported> {
        let about = &self.manifest.company;
        let company = self.company(tx)?;
        let slug = company::free_slug(tx, &about.slug)?;
        let mut targets = Vec::new();
        for member in &self.manifest.members {
            if let Some(table) = self.tables.iter().find(|table| Some(&table.name) == member.table.as_ref()) {
                targets.push(Target::new(table, check::columns(member, table)?));
            }
        }
        let people = std::cell::RefCell::new(People::default());
        let adapt = |target: &Target<'_>, values: &mut Vec<Value>| {
            let place = target.place(COMPANY).ok_or_else(|| Problem::internal("a table without a company"))?;
            if values[place] != Value::Int(about.number) {
                return Err(refused(format!("a row of {} is not this company's", target.table.name)));
            }
            values[place] = company.into();
            if target.table.name == "companies" {
                self.rename(company, &slug, target, values)?;
            }
            if target.table.name == FILES {
                self.fill(target, values)?;
            }
            values.iter_mut().for_each(|value| row::rename(value, &people.borrow().renamed));
            if target.table.name == "memberships"
                && let Some((person, status)) = target.place("user_id").zip(target.place("status"))
            {
                let person = values[person].clone();
                people.borrow().hold_back(&person, &mut values[status]);
            }
            Ok(())
        };
        let mut rows = Rows::new(&targets, company, &adapt);
        let (of, mut done, mut count) = (targets.len() as u64, 0, 0);
        let of_rows = self.manifest.members.iter().filter(|member| member.table.is_some());
        let of_rows = of_rows.filter_map(|member| member.rows).sum();
        // Read a second time: what goes in is what these digests are of, whatever was looked at before.
        let mut found = archive::each(&self.from, |name, lines| {
            if contents::digest_of(name).is_some() {
                // They stand behind the rows, and are in the store.
                return Ok(ControlFlow::Break(()));
            }
            if name == USERS {
                people.borrow_mut().arrive(tx, lines, || kernel.new_id())?;
            }
            let Some(target) = targets.iter().position(|target| format!("tables/{}.ndjson", target.table.name) == name)
            else {
                return Ok(ControlFlow::Continue(()));
            };
            let table = &targets[target].table.name;
            let mut step =
                Step { phase: "read", at: table.clone(), done, of, all_rows: count, of_rows, ..Step::default() };
            rows.arrive(tx, target, |line| {
                if !lines.next(line)? {
                    return Ok(false);
                }
                step.rows += 1;
                if step.rows.is_multiple_of(STEP_ROWS) {
                    (self.watcher)(&step)?;
                }
                Ok(true)
            })?;
            count += step.rows;
            done += 1;
            (self.watcher)(&step)?;
            Ok(ControlFlow::Continue(()))
        })?;
        rows.finish(tx)?;
        found.retain(|member| member.name != MANIFEST);
        let said = self.manifest.members.iter().filter(|member| contents::digest_of(&member.name).is_none());
        check::compare(&said.cloned().collect::<Vec<Member>>(), &found)?;
        if !self.contents.is_empty() && !self.is_rehearsal {
            file::settle_arrived(tx, company, self.contents.values())?;
        }
        // What happened elsewhere was billed there.
        tx.execute(
            "INSERT INTO usage_cursors (company_id, position) \
             SELECT CAST($1 AS BIGINT), COALESCE(MAX(position), 0) FROM events WHERE company_id = $1",
            &params![company],
        )?;
        let people = people.into_inner();
        let code = company.code().to_string();
        let entry = audit::Entry {
            action: "import",
            module: "core",
            resource: "companies",
            target: &about.id,
            label: &code,
            changes: None,
        };
        // In the installation's log: the company's own is as it came.
        kernel.audit_installation(tx, actor, entry)?;
        // Whoever is known here may be let in at once.
        kernel.cache.users.clear_on_commit(tx);
        let imported = Imported {
            company,
            id: about.id.clone(),
            code,
            name: about.name.clone(),
            slug,
            code_before: about.code.clone(),
            rows: count,
            files: self.contents.len() as u64,
            bytes: self.contents.values().map(|content| content.size_bytes).sum(),
            people_known: people.known,
            people_made: people.made,
            people_unproved: people.unproved.len() as u64,
        };
        if let Some(settle) = &self.settle {
            settle(tx, &imported)?;
        }
        Ok(imported)
    }

    /// The number that it gets, or has been kept for it.
    fn company(&self, tx: &mut Tx<'_>) -> Result<CompanyId> {
        let Some(kept) = self.number else { return number(tx, &self.manifest.company) };
        let here =
            tx.first("SELECT 1 FROM companies WHERE id = $1", &params![id(&self.manifest.company)?], |_| Ok(()))?;
        if here.is_none() && is_free(tx, kept)? {
            return Ok(kept);
        }
        Err(Problem::conflict(
            "company_exists",
            "This company, or another one with its number, came in meanwhile. Try again.",
        ))
    }

    /// Leads a file's row to its content.
    fn fill(&self, target: &Target<'_>, values: &mut [Value]) -> Result<()> {
        let place = |column: &str| target.place(column).ok_or_else(|| refused(format!("its files have no {column}")));
        let key = target.emptied_place("blob_key").ok_or_else(|| Problem::internal("files without a blob_key"))?;
        let (id, content_type) = (place("id")?, place("content_type")?);
        let content = match &values[id] {
            Value::Uuid(id) => self.contents.get(id),
            _ => None,
        };
        let content = content.ok_or_else(|| refused("it was altered while it was read"))?;
        values[key] = content.blob_key.as_str().into();
        values[content_type] = content.content_type.as_str().into();
        Ok(())
    }

    /// Gives the company's own row what it is known by here.
    fn rename(&self, company: CompanyId, slug: &str, target: &Target<'_>, values: &mut [Value]) -> Result<()> {
        let mut set = |column: &str, value: Value| match target.place(column) {
            Some(place) => Ok(std::mem::replace(&mut values[place], value)),
            None => Err(refused(format!("its company has no {column}"))),
        };
        let id = id(&self.manifest.company)?;
        if set("id", id.into())? != Value::Uuid(id) {
            return Err(refused("it holds another company than it says"));
        }
        set("code", company.code().to_string().into())?;
        set("slug", slug.into())?;
        Ok(())
    }
}
