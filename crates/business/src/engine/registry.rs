//! [`Registry`]: every module and resource of this installation, ready to be worked with. Made once at start.

use std::collections::HashMap;
use std::sync::Arc;

use loopd_kernel::erasure::records::Records;
use loopd_kernel::kernel::PeopleColumn;
use loopd_kernel::{Product, SettingsSection};
use loopd_store::ddl::TableDef;

use super::audience::AudienceSql;
use super::count::Counting;
use super::personal;
use super::runtime::ResourceRuntime;
use super::tables;
use crate::define::{Field, Flaw, Kind, Module, RollUp, settings, soundness};

/// Every module and resource.
#[derive(Debug)]
pub struct Registry {
    modules: Vec<Module>,
    resources: Vec<Arc<ResourceRuntime>>,
    by_path: HashMap<String, usize>,
    /// How far lists count.
    pub counting: Counting,
}

impl Registry {
    /// Makes sound definitions ready.
    ///
    /// # Errors
    /// Everything wrong with them.
    pub fn build(modules: Vec<Module>) -> Result<Self, Vec<Flaw>> {
        let flaws = soundness(&modules);
        if !flaws.is_empty() {
            return Err(flaws);
        }
        let mut resources: Vec<ResourceRuntime> = modules
            .iter()
            .flat_map(|module| {
                module.resources.iter().map(|resource| ResourceRuntime::compile(module, resource, &modules))
            })
            .collect();
        let by_path: HashMap<String, usize> =
            resources.iter().enumerate().map(|(index, runtime)| (runtime.path.clone(), index)).collect();
        // who sums up whom: the child must know its parents, because it is the child's write that changes the sum
        let mut links = Vec::new();
        for parent in &resources {
            for field in &parent.resource.fields {
                if let Some(RollUp::Records { resource: child, by, .. }) = &field.rollup {
                    let child = by_path[child];
                    let place = resources[child].place(by).unwrap_or_default();
                    links.push((child, parent.path.clone(), place));
                }
            }
        }
        links.sort();
        links.dedup();
        for (child, parent, place) in links {
            resources[child].parents.push((parent, place));
        }
        for at in 0..resources.len() {
            resources[at].audience = AudienceSql::compile(&resources[at].resource.audience, &resources[at], &resources);
        }
        Ok(Self {
            modules,
            resources: resources.into_iter().map(Arc::new).collect(),
            by_path,
            counting: Counting::default(),
        })
    }

    pub fn modules(&self) -> &[Module] {
        &self.modules
    }
    pub fn resources(&self) -> &[Arc<ResourceRuntime>] {
        &self.resources
    }
    /// The resource behind `module/resource`.
    pub fn find(&self, path: &str) -> Option<&Arc<ResourceRuntime>> {
        self.by_path.get(path).map(|index| &self.resources[*index])
    }

    /// Where records name people by a field of their own; who made and changed a record is history and not among them.
    pub fn people_columns(&self) -> Vec<PeopleColumn> {
        let named = |table: &str, fields: &[Field], is_record: bool| -> Vec<PeopleColumn> {
            let people = fields.iter().filter(|field| field.kind == Kind::User);
            people
                .map(|field| PeopleColumn { table: table.to_owned(), column: field.name.clone(), is_record })
                .collect()
        };
        let of = |runtime: &Arc<ResourceRuntime>| {
            let mut all = named(&runtime.table, &runtime.resource.fields, true);
            all.extend(runtime.lines.iter().flat_map(|lines| named(&lines.table, &lines.lines.fields, false)));
            all
        };
        self.resources.iter().flat_map(of).collect()
    }

    /// What every table tells of people, by the definitions.
    pub fn personal_records(&self) -> Vec<Records> {
        personal::records(self)
    }

    /// The tables of all resources and the modules' own, each after those it links to. For `store::ddl` at start.
    pub fn tables(&self) -> Vec<TableDef> {
        let table_of = |path: &str| self.find(path).map(|runtime| runtime.table.clone());
        let mut defs = tables::shared_tables();
        defs.extend(self.resources.iter().flat_map(|runtime| tables::tables(runtime, &table_of)));
        let name_of = |path: &str| table_of(path).unwrap_or_default();
        defs.extend(self.modules.iter().filter_map(|module| module.tables).flat_map(|tables| tables(&name_of)));
        sorted_by_links(defs)
    }

    /// What can be subscribed to, for the kernel's catalogue.
    pub fn products(&self, version: &str) -> Vec<Product> {
        let product = |module: &Module| Product {
            slug: module.slug.clone(),
            name: module.name.clone(),
            description: module.description.clone(),
            resources: module.resources.iter().map(|resource| resource.slug.clone()).collect(),
            actions: module
                .resources
                .iter()
                .flat_map(|resource| resource.actions.iter().map(|action| format!("{}.{}", resource.slug, action.name)))
                .collect(),
            version: version.to_owned(),
            settings: (!module.settings.is_empty()).then(|| {
                let fields = module.settings.clone();
                let schema = settings::schema_of(&fields);
                SettingsSection::new(schema, move |section| settings::check(&fields, section))
            }),
        };
        self.modules.iter().map(product).collect()
    }
}

/// A table after the tables it links to. Where tables link in a circle the order of definition stays; the store adds such links last.
fn sorted_by_links(mut waiting: Vec<TableDef>) -> Vec<TableDef> {
    let mut sorted: Vec<TableDef> = Vec::with_capacity(waiting.len());
    while !waiting.is_empty() {
        let is_ready = |table: &TableDef| {
            table
                .foreign_keys
                .iter()
                .all(|key| key.table == table.name || !waiting.iter().any(|other| other.name == key.table))
        };
        let next = waiting.iter().position(is_ready).unwrap_or(0);
        sorted.push(waiting.remove(next));
    }
    sorted
}
