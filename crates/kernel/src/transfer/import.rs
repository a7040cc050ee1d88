//! Bringing a company in: all of it or nothing.
//!
//! One transaction for everything, however large. Chunks would let others write in between, but a company that is half there is seen
//! by sign-in, schedules and reports, and what a killed import leaves behind would have to be told from what was there before; the
//! database does that better. The price is paid on SQLite, whose one writer is taken meanwhile, and in its log, which grows by as much
//! as comes in. What can be known of the archive is therefore looked at before ([`check`](super::check)).

use std::path::{Path, PathBuf};

use loopd_store::ddl::TableDef;
use loopd_store::{Tx, Value, params};
use loopd_types::{CompanyId, Problem, Result, Uuid};
use serde::Serialize;

use super::people::People;
use super::rows::{Rows, Target};
use super::{COMPANY, Manifest, STEP_ROWS, Step, USERS, Watcher, archive, check, refused, row, schema};
use crate::access::Actor;
use crate::{Kernel, audit, company, counter};

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
    /// People who were known here by their email address.
    pub people_known: u64,
    /// People who were made; they have no password yet.
    pub people_made: u64,
}

/// Reads the archive at `from` into the database. The company keeps its number, and so its code, when that is free, and gets the next
/// one otherwise; its slug gets a number when somebody has it.
///
/// # Errors
/// `archive_invalid` as [`check`](super::check) says; 409 `company_exists` when it is here already, `archive_conflict` when a row of it
/// has what may exist once in an installation and does (a site's domain). Nothing was written then.
pub async fn import(
    kernel: &std::sync::Arc<Kernel>,
    defined: Vec<TableDef>,
    from: &Path,
    actor: &Actor,
    watcher: Watcher,
) -> Result<Imported> {
    let (path, tables, hears) = (from.to_owned(), defined.clone(), watcher.clone());
    let checked = tokio::task::spawn_blocking(move || check(&path, tables, &hears)).await;
    let manifest = checked.map_err(Problem::internal)??;
    let (shared, from, actor) = (kernel.clone(), from.to_owned(), actor.clone());
    let arriving = Arriving { manifest, tables: schema::tables(defined), from, watcher };
    kernel.db.write_unlimited(move |tx| arriving.arrive(tx, &shared, &actor)).await
}

struct Arriving {
    manifest: Manifest,
    tables: Vec<schema::Table>,
    from: PathBuf,
    watcher: Watcher,
}

impl Arriving {
    fn arrive(&self, tx: &mut Tx<'_>, kernel: &Kernel, actor: &Actor) -> Result<Imported> {
        let about = &self.manifest.company;
        let id = Uuid::parse_str(&about.id).map_err(|_| refused("its company has no id"))?;
        let company = self.number(tx, id)?;
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
                self.rename(id, company, &slug, target, values)?;
            }
            values.iter_mut().for_each(|value| row::rename(value, &people.borrow().renamed));
            Ok(())
        };
        let mut rows = Rows::new(&targets, company, &adapt);
        let (of, mut done, mut count) = (targets.len() as u64, 0, 0);
        // Read a second time: what goes in is what these digests are of, whatever was looked at before.
        let mut found = archive::each(&self.from, |name, lines| {
            if name == USERS {
                return people.borrow_mut().arrive(tx, lines, || kernel.new_id());
            }
            let Some(target) = targets.iter().position(|target| format!("tables/{}.ndjson", target.table.name) == name)
            else {
                return Ok(());
            };
            let table = &targets[target].table.name;
            let mut step = Step { phase: "read", at: table.clone(), rows: 0, done, of };
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
            (self.watcher)(&step)
        })?;
        rows.finish(tx)?;
        // the manifest itself
        found.pop();
        check::compare(&self.manifest.members, &found)?;
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
        Ok(Imported {
            company,
            id: about.id.clone(),
            code,
            name: about.name.clone(),
            slug,
            code_before: about.code.clone(),
            rows: count,
            people_known: people.known,
            people_made: people.made,
        })
    }

    /// The number that the company had if it is free, else the next one. The counter's row is the lock on both.
    fn number(&self, tx: &mut Tx<'_>, id: Uuid) -> Result<CompanyId> {
        let about = &self.manifest.company;
        counter::raise(tx, audit::INSTALLATION, "companies", about.number)?;
        let here =
            tx.first("SELECT code FROM companies WHERE id = $1", &params![id], |row| Ok(row.text(0)?.to_owned()))?;
        if let Some(code) = here {
            return Err(Problem::conflict("company_exists", format!("This company is here already, as {code}.")));
        }
        let taken = tx.first("SELECT 1 FROM companies WHERE company_id = $1", &params![about.number], |_| Ok(()))?;
        match taken {
            None => Ok(CompanyId(about.number)),
            Some(()) => Ok(CompanyId(counter::next(tx, audit::INSTALLATION, "companies")?)),
        }
    }

    /// Gives the company's own row what it is known by here.
    fn rename(
        &self,
        id: Uuid,
        company: CompanyId,
        slug: &str,
        target: &Target<'_>,
        values: &mut [Value],
    ) -> Result<()> {
        let mut set = |column: &str, value: Value| match target.place(column) {
            Some(place) => Ok(std::mem::replace(&mut values[place], value)),
            None => Err(refused(format!("its company has no {column}"))),
        };
        if set("id", id.into())? != Value::Uuid(id) {
            return Err(refused("it holds another company than it says"));
        }
        set("code", company.code().to_string().into())?;
        set("slug", slug.into())?;
        Ok(())
    }
}
