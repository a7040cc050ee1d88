//! Writing one record: what is derived, the row and its lines, then history, audit, event and the sums of others, all in one transaction.

use loopd_kernel::{audit, counter, event};
use loopd_store::{Engine as Database, StoreError, Value, params};
use loopd_types::{NON_FIELD, Problem, Result};

use super::condition::Where;
use super::cx::{Cx, runtime};
use super::read;
use super::record::{Record, fits};
use super::runtime::{ResourceRuntime, changeable};
use crate::define::base::{COMPANY, DELETED_AT, EXTERNAL_ID, ID, STATUS, UPDATED_AT, UPDATED_BY, VERSION};
use crate::define::parse::not_unique;
use crate::define::{RollUp, Rule};

/// How a write is told: in the audit log and as an event.
pub(crate) struct Told<'a> {
    /// `update`, `delete`, an action's name.
    pub audit: &'a str,
    /// Last part of the event's name.
    pub event: &'a str,
}

/// Computes what follows from the rest: lines, sums of lines, derived fields. Then checks that what rules left behind can be stored.
pub(crate) fn settle(record: &mut Record) -> Result<()> {
    let definition = record.runtime.clone();
    for (list, lines) in definition.lines.iter().enumerate() {
        let Some(Rule { run: Some(each), .. }) = lines.lines.each else { continue };
        let mut rows = std::mem::take(&mut record.lines[list]);
        for (index, row) in rows.iter_mut().enumerate() {
            let before = (!record.lines_changed).then(|| row.clone());
            each(record, row).map_err(|problem| problem.within(&format!("{}.{index}", lines.name)))?;
            record.lines_changed |= before.is_some_and(|before| before != *row);
        }
        record.lines[list] = rows;
    }
    for (place, field) in definition.fields() {
        if let Some(RollUp::Lines { lines, field: summed }) = &field.rollup {
            record.values[place] = Value::Int(sum_of_lines(record, lines, summed)?);
        }
    }
    for (place, field) in definition.fields() {
        if let Some(Rule { run: Some(derive), .. }) = field.derived {
            record.values[place] = derive(record);
        }
    }
    if !definition.resource.states.iter().any(|state| state == record.status()) {
        return Err(Problem::internal(format!("{} has no status {}", definition.path, record.status())));
    }
    for (value, column) in record.values.iter().zip(&definition.columns) {
        if !fits(value, column.stored) {
            return Err(Problem::internal(format!("{}.{} cannot hold {value:?}", definition.path, column.name)));
        }
    }
    Ok(())
}

fn sum_of_lines(record: &Record, lines: &str, field: &str) -> Result<i64> {
    let definition = &record.runtime;
    let Some(list) = definition.lines.iter().position(|known| known.name == lines) else { return Ok(0) };
    let Some(place) = definition.lines[list].places.get(field) else { return Ok(0) };
    let mut sum = 0i64;
    for line in &record.lines[list] {
        if let Value::Int(value) = line.values[*place] {
            sum = sum
                .checked_add(value)
                .ok_or_else(|| Problem::field(lines, "max_value", "The sum of the lines is too large."))?;
        }
    }
    Ok(sum)
}

/// Inserts a settled record with its lines and tells of it. The number and the count come from one counter row.
///
/// Answers with the record's JSON, which is also the event's payload.
pub(crate) fn insert(cx: &mut Cx<'_, '_>, record: &mut Record) -> Result<Vec<u8>> {
    let definition = record.runtime.clone();
    let number = counter::next_live(cx.tx, cx.tenant.company, &definition.counter)?;
    if let Some(prefix) = &definition.resource.prefix {
        record.values[crate::define::base::NUMBER] = Value::Text(format!("{prefix}-{number:06}"));
    }
    let can_collide = definition.can_collide || record.values[EXTERNAL_ID] != Value::Null;
    // On PostgreSQL a pushed statement travels with the next one; only where a refusal must be put into words is it waited for.
    if can_collide || cx.tx.engine() == Database::Sqlite {
        let done = cx.tx.execute(&definition.sql.insert, &record.values);
        done.map_err(|error| blame_unique(&definition, error))?;
    } else {
        cx.tx.push(&definition.sql.insert, record.values.clone())?;
    }
    write_lines(cx, record)?;
    let json = record.render()?;
    let target = record.id().to_string();
    audit::record_creation(cx.tx, cx.kernel(), cx.tenant, record.id(), entry(record, "create", &target, None))?;
    emit(cx, record, "created", &json)?;
    meet(cx, record)?;
    Ok(json)
}

/// Writes the changes of a settled record over `before` and tells of them. Without any change nothing is written and `false` is answered.
pub(crate) fn write_changes(
    cx: &mut Cx<'_, '_>,
    before: &Record,
    record: &mut Record,
    told: &Told<'_>,
) -> Result<bool> {
    let definition = record.runtime.clone();
    if !record.lines_changed && before.values == record.values {
        return Ok(false);
    }
    record.values[UPDATED_AT] = Value::from(cx.now());
    record.values[UPDATED_BY] = Value::from(cx.user());
    record.values[VERSION] = Value::Int(before.version() + 1);
    let mut params = vec![record.values[COMPANY].clone(), record.values[ID].clone(), Value::Int(before.version())];
    params.extend(changeable(record.values.len()).map(|place| record.values[place].clone()));
    let changed = cx.tx.execute(&definition.sql.update, &params).map_err(|error| blame_unique(&definition, error))?;
    if changed != 1 {
        // The row was read in this transaction; on PostgreSQL somebody may have been quicker between the two statements.
        return Err(StoreError::Serialization.into());
    }
    if record.lines_changed {
        for lines in &definition.lines {
            cx.tx.push(&lines.clear, params![&record.values[COMPANY], &record.values[ID]])?;
        }
        write_lines(cx, record)?;
    }
    let changes = changes(before, record)?;
    if before.status() != record.status() {
        write_status_change(cx, before.status(), record, told.audit)?;
    }
    let json = record.render()?;
    tell(cx, record, told, Some(changes), &json)?;
    if definition.phone.is_some_and(|place| before.values[place] != record.values[place]) {
        meet(cx, record)?;
    }
    // A status that rules set by themselves is news of its own: payments.invoices.paid.
    if before.status() != record.status() && told.audit == "update" {
        let kind = definition.event(record.status());
        event::emit(cx.tx, cx.kernel(), cx.tenant, &kind, &record.subject(), text(json)?)?;
    }
    Ok(true)
}

/// Lets the messenger know whose telephone number this is.
fn meet(cx: &mut Cx<'_, '_>, record: &Record) -> Result<()> {
    let Some(Value::Text(phone)) = record.runtime.phone.map(|place| &record.values[place]) else { return Ok(()) };
    let Some(messenger) = cx.kernel().messenger() else { return Ok(()) };
    messenger.met(cx.tx, cx.kernel(), cx.tenant, phone)
}

fn write_lines(cx: &mut Cx<'_, '_>, record: &Record) -> Result<()> {
    for (definition, lines) in record.runtime.lines.iter().zip(&record.lines) {
        for (position, line) in lines.iter().enumerate() {
            if let Some((value, column)) =
                line.values.iter().zip(&definition.columns).find(|(value, column)| !fits(value, column.stored))
            {
                return Err(Problem::internal(format!("{}.{} cannot hold {value:?}", definition.table, column.name)));
            }
            let mut params =
                vec![record.values[COMPANY].clone(), record.values[ID].clone(), Value::Int(position as i64)];
            params.extend(line.values.iter().cloned());
            cx.tx.push(&definition.insert, params)?;
        }
    }
    Ok(())
}

fn write_status_change(cx: &mut Cx<'_, '_>, from: &str, record: &Record, action: &str) -> Result<()> {
    let definition = &record.runtime;
    cx.tx.push(
        "INSERT INTO status_changes (company_id, id, module, resource, record_id, action, from_status, to_status, actor_user_id, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        params![
            cx.tenant.company,
            cx.new_id(),
            &definition.module,
            &definition.resource.slug,
            record.id(),
            action,
            from,
            record.status(),
            cx.user(),
            cx.now()
        ],
    )?;
    Ok(())
}

/// The audit row and the event of one write.
fn tell(cx: &mut Cx<'_, '_>, record: &Record, told: &Told<'_>, changes: Option<String>, json: &[u8]) -> Result<()> {
    let target = record.id().to_string();
    audit::record(cx.tx, cx.kernel(), cx.tenant, entry(record, told.audit, &target, changes))?;
    emit(cx, record, told.event, json)
}

fn entry<'a>(record: &'a Record, action: &'a str, target: &'a str, changes: Option<String>) -> audit::Entry<'a> {
    let definition = &record.runtime;
    audit::Entry {
        action,
        module: &definition.module,
        resource: &definition.resource.slug,
        target,
        label: record.label(),
        changes,
    }
}

fn emit(cx: &mut Cx<'_, '_>, record: &Record, told: &str, json: &[u8]) -> Result<()> {
    let kind = record.runtime.event(told);
    event::emit(cx.tx, cx.kernel(), cx.tenant, &kind, &record.subject(), text(json.to_vec())?)
}

fn text(json: Vec<u8>) -> Result<String> {
    String::from_utf8(json).map_err(Problem::internal)
}

/// `{"title": ["Old", "New"]}`; of lines only their number is told.
fn changes(before: &Record, after: &Record) -> Result<String> {
    let mut out = Vec::with_capacity(256);
    for (place, column) in after.runtime.columns.iter().enumerate() {
        if [UPDATED_AT, UPDATED_BY, VERSION].contains(&place) || before.values[place] == after.values[place] {
            continue;
        }
        out.extend_from_slice(&column.key);
        out.push(b'[');
        column.style.write(before.values.as_slice(), place, None, &mut out)?;
        out.push(b',');
        column.style.write(after.values.as_slice(), place, None, &mut out)?;
        out.push(b']');
    }
    if after.lines_changed {
        for (list, lines) in
            after.runtime.lines.iter().enumerate().filter(|(list, _)| before.lines[*list] != after.lines[*list])
        {
            let numbers = format!(",\"{}\":[{},{}]", lines.name, before.lines[list].len(), after.lines[list].len());
            out.extend_from_slice(numbers.as_bytes());
        }
    }
    if out.is_empty() {
        return Ok("{}".into());
    }
    out[0] = b'{';
    out.push(b'}');
    text(out)
}

/// A rule changed a record: checks, row, history, audit, event, sums.
pub(crate) fn save_changed(cx: &mut Cx<'_, '_>, record: &mut Record) -> Result<()> {
    let runtime = record.runtime.clone();
    let before =
        read::find_any(cx.tx, &runtime, cx.tenant.company, record.id(), true)?.ok_or_else(Problem::not_found)?;
    if before.version() != record.version() {
        return Err(Problem::internal(format!("a rule saves {} over a newer version", record.subject())));
    }
    read::load_lines(cx.tx, record)?;
    finish_update(cx, &before, record, &Told { audit: "update", event: "updated" })?;
    Ok(())
}

/// The second half of every update: hooks, derived values, the write, the sums of others. Answers whether anything was written.
pub(crate) fn finish_update(
    cx: &mut Cx<'_, '_>,
    before: &Record,
    record: &mut Record,
    told: &Told<'_>,
) -> Result<bool> {
    let definition = record.runtime.clone();
    let hooks = &definition.resource.hooks;
    if let Some(Rule { run: Some(hook), .. }) = hooks.before_update {
        hook(cx, before, record)?;
    }
    settle(record)?;
    if let Some(Rule { run: Some(check), .. }) = hooks.check {
        check(cx, record)?;
    }
    let is_written = write_changes(cx, before, record, told)?;
    if is_written {
        record.lines_changed = false;
        if let Some(Rule { run: Some(hook), .. }) = hooks.after_update {
            hook(cx, before, record)?;
        }
        sum_up(cx, Some(before), record)?;
    }
    Ok(is_written)
}

/// Brings the sums of the records up to date that count this one in.
pub(crate) fn sum_up(cx: &mut Cx<'_, '_>, before: Option<&Record>, after: &Record) -> Result<()> {
    let child = after.runtime.clone();
    for (parent_path, place) in &child.parents {
        let mut owners = Vec::with_capacity(2);
        for record in [before, Some(after)].into_iter().flatten() {
            if let Some(id) = record.id_at(*place)
                && !owners.contains(&id)
            {
                owners.push(id);
            }
        }
        let parent_runtime = runtime(cx.engine, parent_path)?.clone();
        for owner in owners {
            let Some(mut parent) = read::find(cx.tx, &parent_runtime, cx.tenant.company, owner, true)? else {
                continue;
            };
            let unchanged = parent.values.clone();
            for (field_place, field) in parent_runtime.fields() {
                let Some(RollUp::Records { resource, by, field: summed, statuses }) = &field.rollup else { continue };
                if *resource != child.path {
                    continue;
                }
                let mut which = Where::new().eq(by, owner);
                if !statuses.is_empty() {
                    which = which.is_in("status", statuses.iter().map(String::as_str));
                }
                let sum = match summed {
                    Some(summed) => read::sum(cx.tx, &child, cx.tenant.company, summed, &which)?,
                    None => read::count(cx.tx, &child, cx.tenant.company, &which)?,
                };
                parent.values[field_place] = Value::Int(sum);
            }
            if parent.values != unchanged {
                cx.save(&mut parent)?;
            }
        }
    }
    Ok(())
}

/// A refusal of a unique index in DRF's words, on the fields to blame.
pub(crate) fn blame_unique(definition: &ResourceRuntime, error: StoreError) -> Problem {
    let StoreError::Unique { columns, .. } = &error else { return error.into() };
    match definition.unique_rules.iter().find(|rule| rule.is_meant(columns)).map(|rule| rule.blamed.as_slice()) {
        Some([field]) => {
            let complaint = not_unique();
            Problem::field(field, complaint.code, complaint.message)
        }
        Some(fields) => {
            let message = format!("The fields {} must make a unique set.", fields.join(", "));
            Problem::field(NON_FIELD, "unique", message)
        }
        None => error.into(),
    }
}

/// Marks a record deleted or living again.
pub(crate) fn set_deleted(cx: &Cx<'_, '_>, record: &mut Record, deleted: bool) {
    record.values[DELETED_AT] = if deleted { Value::from(cx.now()) } else { Value::Null };
}

/// The first status of a new record.
pub(crate) fn set_initial_status(record: &mut Record) {
    record.values[STATUS] = Value::Text(record.runtime.resource.initial.clone());
}
