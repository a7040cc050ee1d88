//! What records tell of people, as the kernel's erasures read it: it follows from the marks in the definitions.

use std::sync::Arc;

use loopd_kernel::erasure::records::{Blank, Blanked, Holder, Records};
use loopd_store::Value;
use loopd_store::ddl::TableDef;

use super::registry::Registry;
use super::runtime::ResourceRuntime;
use super::{import, tables};
use crate::define::base::{DATA, DESCRIPTION, EXTERNAL_ID, NUMBER, STATUS, TAGS, TITLE};
use crate::define::{Field, Kind, Personal, Resource, Stored};

/// What every table with rows of companies tells of people. One where nobody has marked anything is searched for them all the same.
pub fn records(registry: &Registry) -> Vec<Records> {
    let marked: Vec<Records> = registry.resources().iter().flat_map(|runtime| of_resource(runtime, registry)).collect();
    let of_table = |table: TableDef| match marked.iter().find(|records| records.table.name == table.name) {
        Some(records) => Records { table, ..records.clone() },
        None => {
            let lists = import::lists_of_rows(&table.name).iter().map(|column| (*column).to_owned()).collect();
            Records { lists, ..of_fields(table, &[], &[]) }
        }
    };
    // What is the installation's own is no company's to erase from.
    let tables = registry.tables().into_iter();
    tables.filter(|table| table.columns.iter().any(|column| column.name == "company_id")).map(of_table).collect()
}

/// A resource's own table and those of its lines; whoever asks puts the tables' whole definitions in.
fn of_resource(runtime: &Arc<ResourceRuntime>, registry: &Registry) -> Vec<Records> {
    let resource = &runtime.resource;
    let mut defs = tables::tables(runtime, &|_| None).into_iter();
    let mut all = Vec::new();
    let Some(table) = defs.next() else { return all };
    let mut own = Records {
        path: runtime.path.clone(),
        event: format!("{}.{}", runtime.module, resource.singular),
        kept_by: resource.kept_by.clone(),
        holders: holders(runtime, registry),
        ..of_fields(table, &resource.fields, &unique_together(resource))
    };
    own.about.insert(0, "id".to_owned());
    own.fixed.extend([NUMBER, STATUS].map(|place| runtime.columns[place].sql.trim_matches('"').to_owned()));
    if resource.is_personal && resource.kept_by.is_none() {
        own.blanks.extend(whole(runtime));
    }
    own.told.clone_from(&own.blanks);
    for (table, lines) in defs.zip(&runtime.lines) {
        let mut of_lines = of_fields(table, &lines.lines.fields, &[]);
        of_lines.about.push("parent_id".to_owned());
        of_lines.kept_by.clone_from(&resource.kept_by);
        own.told.extend(of_lines.blanks.iter().cloned());
        all.push(of_lines);
    }
    all.insert(0, own);
    all
}

/// What goes from a record that is a person's altogether, besides the marked fields.
fn whole(runtime: &ResourceRuntime) -> Vec<Blanked> {
    let blanks = [
        (TITLE, Blank::Name),
        (DESCRIPTION, Blank::To(Value::from(""))),
        (DATA, Blank::To(Value::Json("{}".into()))),
        (TAGS, Blank::To(Value::Json("[]".into()))),
        (EXTERNAL_ID, Blank::To(Value::Null)),
    ];
    let column = |place: usize| runtime.columns[place].sql.trim_matches('"').to_owned();
    let blanked = |(place, with)| Blanked { column: column(place), with, is_particular: place == TITLE };
    blanks.into_iter().map(blanked).collect()
}

/// Documents that are kept, and whom they are about is a record of this kind.
fn holders(of: &ResourceRuntime, registry: &Registry) -> Vec<Holder> {
    let mut all = Vec::new();
    for document in registry.resources() {
        let Some(ground) = &document.resource.kept_by else { continue };
        let is_of =
            |field: &&Field| field.personal == Some(Personal::Subject) && field.kind.target() == Some(of.path.as_str());
        let columns = document.resource.fields.iter().filter(is_of);
        all.extend(columns.map(|field| Holder {
            table: document.table.clone(),
            column: field.name.clone(),
            ground: ground.clone(),
        }));
    }
    all
}

/// Fields that may not be alike in two records, alone or together with others.
fn unique_together(resource: &Resource) -> Vec<&str> {
    resource.uniques.iter().flat_map(|set| &set.fields).map(String::as_str).collect()
}

fn of_fields(table: TableDef, fields: &[Field], unique: &[&str]) -> Records {
    let named = |what: Personal| {
        let marked = fields.iter().filter(move |field| field.personal == Some(what));
        marked.map(|field| field.name.clone()).collect::<Vec<String>>()
    };
    let goes = fields.iter().filter(|field| field.personal.is_some_and(|what| what != Personal::Subject));
    let blanked = |field: &Field| Blanked {
        column: field.name.clone(),
        with: blank(field, field.unique || unique.contains(&field.name.as_str())),
        is_particular: matches!(field.personal, Some(Personal::Name | Personal::Particular)),
    };
    let fixed = fields.iter().filter(|field| field.personal.is_none() && is_fixed(&field.kind));
    Records {
        table,
        path: String::new(),
        event: String::new(),
        about: named(Personal::Subject),
        contacts: named(Personal::Contact),
        names: named(Personal::Name),
        blanks: goes.map(blanked).collect(),
        told: Vec::new(),
        fixed: fixed.map(|field| field.name.clone()).collect(),
        lists: Vec::new(),
        kept_by: None,
        holders: Vec::new(),
        sent: None,
    }
}

/// Whether values of this kind are the definition's words or numbers, and none of people's: a telephone number may have the digits of a day.
fn is_fixed(kind: &Kind) -> bool {
    matches!(
        kind,
        Kind::Choice { .. }
            | Kind::Currency
            | Kind::Language
            | Kind::Timezone
            | Kind::Date
            | Kind::TimeOfDay
            | Kind::Reference { .. }
            | Kind::References { .. }
    )
}

/// What a value becomes: nothing, where nothing may be said; else the least that the field takes.
fn blank(field: &Field, is_unique: bool) -> Blank {
    let is_text = field.kind.stored() == Stored::Text;
    match (field.personal, &field.kind) {
        (_, kind) if is_unique && is_text => Blank::Own { is_email: *kind == Kind::Email },
        (Some(Personal::Name), _) => Blank::Name,
        _ if field.allows_null() => Blank::To(Value::Null),
        (_, Kind::Email) => Blank::Email,
        (_, kind) => Blank::To(match kind.stored() {
            Stored::Json => Value::Json(if matches!(kind, Kind::Tags) { "[]" } else { "{}" }.into()),
            Stored::Text => Value::from(""),
            Stored::Integer | Stored::Boolean | Stored::Uuid => Value::Null,
        }),
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::define::{date, date_time, email, object, phone, tags, text};
    use crate::modules;

    fn blank_of(field: Field) -> Blank {
        blank(&field, field.unique)
    }

    #[test]
    fn a_value_becomes_the_least_that_its_field_takes() {
        let contact = |field: Field| field.personal(Personal::Contact);
        assert_eq!(blank_of(contact(email("x"))), Blank::To(Value::Null));
        assert_eq!(blank_of(contact(email("x").required())), Blank::Email);
        assert_eq!(blank_of(contact(email("x").unique())), Blank::Own { is_email: true });
        assert_eq!(blank_of(contact(phone("x").required())), Blank::To(Value::from("")));
        assert_eq!(blank_of(contact(phone("x").required().unique())), Blank::Own { is_email: false });
        assert_eq!(blank_of(text("x", 9).personal(Personal::Name)), Blank::Name);
        let other = |field: Field| blank_of(field.required().personal(Personal::Other));
        assert_eq!(other(tags("x")), Blank::To(Value::Json("[]".into())));
        assert_eq!(other(object("x")), Blank::To(Value::Json("{}".into())));
        assert_eq!(other(date("x")), Blank::To(Value::from("")));
        assert_eq!(other(date_time("x")), Blank::To(Value::Null));
    }

    #[test]
    fn documents_that_the_law_keeps_hold_whom_they_are_about() {
        let registry = Registry::build(modules::all()).expect("modules are sound");
        let records = records(&registry);
        let of = |path: &str| records.iter().find(|records| records.path == path).expect("a resource");
        let holders: Vec<&str> = of("payments/customers").holders.iter().map(|one| one.table.as_str()).collect();
        for table in
            ["payments_invoices", "payments_payments", "payments_refunds", "payments_credit_notes", "payments_receipts"]
        {
            assert!(holders.contains(&table), "{holders:?}");
        }
        assert_eq!(of("booking/customers").holders.len(), 0);
        assert!(of("payments/ledger-entries").kept_by.is_some());
        let without_company =
            |records: &Records| !records.table.columns.iter().any(|column| column.name == "company_id");
        assert!(!records.iter().any(without_company), "the installation's own tables are no company's");
    }

    /// What sounds of a person and is nobody's: `module/resource.field`.
    const OF_NOBODY: [&str; 0] = [];

    #[test]
    fn whoever_adds_an_address_or_a_number_says_whose_it_is() {
        for module in modules::all() {
            for resource in &module.resources {
                let lines = resource.lines.iter().flat_map(|lines| &lines.fields);
                for field in resource.fields.iter().chain(lines) {
                    let sounds = matches!(field.kind, Kind::Email | Kind::Phone)
                        || ["birth", "passport", "national_id", "contact"].iter().any(|word| field.name.contains(word))
                        || (resource.is_personal && field.name == "name");
                    let name = format!("{}/{}.{}", module.slug, resource.slug, field.name);
                    assert!(
                        !sounds || field.personal.is_some() || OF_NOBODY.contains(&name.as_str()),
                        "{name} tells of a person: mark it with .personal(Personal::…), or name it in OF_NOBODY"
                    );
                }
            }
        }
    }
}
