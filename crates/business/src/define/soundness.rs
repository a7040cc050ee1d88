//! [`soundness`]: whether definitions hold together. Run at start and in a test, so that a slip is found before a request finds it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::base::{COLUMNS, LINE_COLUMNS, NAMES};
use super::field::{Field, Personal, Preset, RollUp};
use super::kind::{Kind, Stored};
use super::module::{CustomAccess, Method, Module, Run};
use super::parse::parse;
use super::resource::{Audience, PublicVerb, Resource, Titled};

/// One thing wrong with a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    pub module: String,
    pub resource: Option<String>,
    /// A field, an action, a list of lines.
    pub member: Option<String>,
    pub reason: String,
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.module)?;
        for part in [&self.resource, &self.member].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// First path parts under `/api/v1/` that belong to the core or to the sibling surfaces.
const CORE_PATHS: [&str; 46] = [
    "auth",
    "companies",
    "workspaces",
    "memberships",
    "invitations",
    "roles",
    "permissions",
    "products",
    "plans",
    "product-subscriptions",
    "billing",
    "developer-profiles",
    "api-client-apps",
    "internal-api-keys",
    "webhook-endpoints",
    "webhook-deliveries",
    "platform-events",
    "files",
    "notifications",
    "notification-preferences",
    "comments",
    "tags",
    "custom-fields",
    "saved-views",
    "audit-logs",
    "data-subjects",
    "search",
    "jobs",
    "import",
    "imports",
    "export",
    "schema",
    "health",
    "messages",
    "chats",
    "contacts",
    "media",
    "tickets",
    "broadcasts",
    "loopwave",
    "loomal",
    "core",
    "mcp",
    "console",
    "public",
    "webhooks",
];

/// Second path parts that the engine itself answers.
const ENGINE_PATHS: [&str; 1] = ["public"];

/// Third path parts, or last parts of operation ids, that the engine itself has; no action may have such a name. An action `restore` may be
/// declared: the same address then serves both, because a deleted record cannot be acted on otherwise.
const ENGINE_VERBS: [&str; 13] = [
    "actions",
    "history",
    "bulk",
    "export",
    "import",
    "by-external-id",
    "list",
    "create",
    "retrieve",
    "update",
    "partial-update",
    "destroy",
    "upsert",
];

/// The kernel's tables with a name that a module and a resource could make together.
const CORE_TABLES: [&str; 10] = [
    "api_client_apps",
    "audit_logs",
    "developer_profiles",
    "idempotency_keys",
    "login_failures",
    "membership_workspaces",
    "product_subscriptions",
    "schema_migrations",
    "status_changes",
    "transaction_locks",
];

/// Everything wrong with these modules taken together; empty when they are sound.
pub fn soundness(modules: &[Module]) -> Vec<Flaw> {
    let complete = |module: &Module| {
        let mut module = module.clone();
        module.resources = module.resources.into_iter().map(Resource::completed).collect();
        module
    };
    let modules = &modules.iter().map(complete).collect::<Vec<Module>>()[..];
    let mut check = Check {
        flaws: Vec::new(),
        at: (String::new(), None),
        resources: modules
            .iter()
            .flat_map(|module| {
                module.resources.iter().map(move |resource| (format!("{}/{}", module.slug, resource.slug), resource))
            })
            .collect(),
    };
    let mut slugs = BTreeSet::new();
    let mut schemas = BTreeMap::new();
    let mut tables: BTreeSet<String> = CORE_TABLES.iter().map(|name| (*name).to_owned()).collect();
    for module in modules {
        check.at = (module.slug.clone(), None);
        check.module(module);
        if !slugs.insert(&module.slug) {
            check.flaw(None, "another module has the same slug");
        }
        for resource in &module.resources {
            check.at.1 = Some(resource.slug.clone());
            for table in resource.tables(module) {
                if !tables.insert(table.clone()) {
                    check.flaw(None, format!("there is already a table {table}"));
                }
            }
            let name = super::schema_name(module, resource, modules);
            if let Some(other) = schemas.insert(name.clone(), format!("{}/{}", module.slug, resource.slug)) {
                check.flaw(None, format!("its schema {name} is also that of {other}"));
            }
        }
    }
    check.flaws
}

struct Check<'m> {
    flaws: Vec<Flaw>,
    at: (String, Option<String>),
    resources: BTreeMap<String, &'m Resource>,
}

impl Check<'_> {
    fn flaw(&mut self, member: Option<&str>, reason: impl Into<String>) {
        let (module, resource) = self.at.clone();
        self.flaws.push(Flaw { module, resource, member: member.map(str::to_owned), reason: reason.into() });
    }

    fn module(&mut self, module: &Module) {
        if !is_slug(&module.slug) {
            self.flaw(None, "the slug must be lower-case letters, digits and hyphens, beginning with a letter");
        }
        if CORE_PATHS.contains(&module.slug.as_str()) {
            self.flaw(None, format!("/api/v1/{}/ belongs to the core", module.slug));
        }
        if module.name.is_empty() || module.description.is_empty() {
            self.flaw(None, "name and description must be given");
        }
        let mut slugs = BTreeSet::new();
        for resource in &module.resources {
            self.at.1 = Some(resource.slug.clone());
            if !slugs.insert(&resource.slug) {
                self.flaw(None, "another resource of the module has the same slug");
            }
            self.resource(module, resource);
        }
        self.at.1 = None;
        let mut names = BTreeSet::new();
        for field in &module.settings {
            let at = Some(field.name.as_str());
            if !names.insert(&field.name) {
                self.flaw(at, "another setting of the module has the same name");
            }
            if field.required || !super::settings::may_hold(&field.kind) {
                self.flaw(at, "a setting is not required, and no amount, reference or user");
            }
            self.field(field, &module.settings);
        }
        let mut names = BTreeSet::new();
        for custom in &module.operations {
            let at = Some(custom.name.as_str());
            if !names.insert(&custom.name) {
                self.flaw(at, "another operation of the module has the same name");
            }
            if !is_name(&custom.name) {
                self.flaw(at, "the name must be lower-case letters, digits and _");
            }
            if !custom.path.ends_with('/') || custom.path.starts_with('/') {
                self.flaw(at, "the path must end, and must not begin, with a slash");
            }
            if custom.summary.is_empty() {
                self.flaw(at, "a summary must be given");
            }
            let path = custom.path.trim_end_matches('/');
            let taken = module.resources.iter().any(|resource| match path.split_once('/') {
                None => path == resource.slug,
                Some((first, rest)) => {
                    first == resource.slug && custom.method == Method::Get && ENGINE_VERBS.contains(&rest)
                }
            });
            if taken {
                self.flaw(at, format!("the path {} is already a resource's", custom.path));
            }
            let is_public = custom.access == CustomAccess::Public;
            if is_public && !custom.path.contains("{company}") && !matches!(custom.run, Run::Call(_)) {
                self.flaw(at, "a public operation needs {company} in its path, or a handler of its own (Run::Call)");
            }
            for field in &custom.input {
                self.field(field, &custom.input);
            }
        }
    }

    fn resource(&mut self, module: &Module, resource: &Resource) {
        if !is_slug(&resource.slug) {
            self.flaw(None, "the slug must be lower-case letters, digits and hyphens, beginning with a letter");
        }
        if ENGINE_PATHS.contains(&resource.slug.as_str()) {
            self.flaw(None, "the slug belongs to the engine");
        }
        // PostgreSQL cuts names at 63 bytes; indexes are named after table and columns
        if module.slug.len() + resource.slug.len() > 48 {
            self.flaw(None, "module and resource slug together must not exceed 48 characters");
        }
        if resource.help.is_empty() {
            self.flaw(None, "a help text must be given");
        }
        if resource.prefix.as_ref().is_some_and(|p| p.len() > 8 || !p.bytes().all(|b| b.is_ascii_uppercase())) {
            self.flaw(None, "the number prefix must be up to eight capital letters");
        }
        let mut names = BTreeSet::new();
        for field in &resource.fields {
            if !names.insert(&field.name) {
                self.flaw(Some(&field.name), "another field has the same name");
            }
            if is_reserved(&field.name) {
                self.flaw(Some(&field.name), "the name is reserved");
            }
            self.field(field, &resource.fields);
            self.rollup(module, resource, field);
        }
        for lines in &resource.lines {
            if !names.insert(&lines.name) {
                self.flaw(Some(&lines.name), "a field has the same name");
            }
            if !is_name(&lines.name) || is_reserved(&lines.name) {
                self.flaw(Some(&lines.name), "the name is no valid name, or reserved");
            }
            let mut line_names = BTreeSet::new();
            for field in &lines.fields {
                if !line_names.insert(&field.name) {
                    self.flaw(Some(&field.name), "another field of the lines has the same name");
                }
                if LINE_COLUMNS.contains(&field.name.as_str()) {
                    self.flaw(Some(&field.name), "the name is reserved in lines");
                }
                self.field(field, &lines.fields);
            }
        }
        self.words(resource);
        self.life_cycle(resource);
        self.doors(resource);
        self.audience(resource);
    }

    fn field(&mut self, field: &Field, siblings: &[Field]) {
        let at = Some(field.name.as_str());
        if !is_name(&field.name) {
            self.flaw(at, "the name must be lower-case letters, digits and _, beginning with a letter");
        }
        if super::filter::split(&field.name).1 != super::filter::Test::Equals {
            self.flaw(at, "the name ends like a filter's suffix");
        }
        if field.help.is_empty() {
            self.flaw(at, "a help text must be given");
        }
        if field.required && field.read_only {
            self.flaw(at, "a field cannot be required and read-only");
        }
        match (field.personal, &field.kind) {
            (None, _) | (Some(Personal::Subject), Kind::Reference { .. }) => {}
            (Some(Personal::Subject), _) => self.flaw(at, "only a reference says whom a record is about"),
            (Some(Personal::Contact | Personal::Name), kind) if kind.stored() != Stored::Text => {
                self.flaw(at, "a name, or what a person is found by, is a text")
            }
            (Some(_), Kind::Reference { .. } | Kind::References { .. } | Kind::User) => {
                self.flaw(at, "a link tells nothing of a person but whom a record is about: subject")
            }
            (Some(_), _) => {}
        }
        if let Some(target) = field.kind.target()
            && !self.resources.contains_key(target)
        {
            self.flaw(at, format!("there is no resource {target}"));
        }
        match &field.kind {
            Kind::Choice { choices } if choices.is_empty() => self.flaw(at, "a choice needs values"),
            Kind::Integer { min, max } if min > max => self.flaw(at, "no number lies between its bounds"),
            Kind::Decimal { scale } if *scale > 12 => self.flaw(at, "a decimal has at most 12 digits after the point"),
            Kind::Text { max } if *max == 0 || *max > 20_000 => {
                self.flaw(at, "a text has 1 to 20000 characters; longer is long_text")
            }
            Kind::Money { currency } if currency != "currency" => match siblings.iter().find(|f| f.name == *currency) {
                Some(other) if other.kind == Kind::Currency => {}
                _ => self.flaw(at, format!("there is no currency field {currency}")),
            },
            _ => {}
        }
        let rwf = loopd_types::Currency::parse("RWF");
        for (what, value) in [
            (
                "default",
                match &field.default {
                    Some(Preset::Value(value)) => Some(value),
                    _ => None,
                },
            ),
            ("example", field.example.as_ref()),
        ] {
            let Some(value) = value.filter(|value| !value.is_null()) else { continue };
            if let Err(error) = parse(&field.kind, value, rwf) {
                self.flaw(at, format!("its {what} is not valid: {}", error.message));
            }
        }
        for (preset, kind) in [
            (Preset::CompanyCurrency, Kind::Currency),
            (Preset::CompanyTimezone, Kind::Timezone),
            (Preset::CompanyLanguage, Kind::Language),
            (Preset::Caller, Kind::User),
        ] {
            if field.default.as_ref() == Some(&preset) && field.kind != kind {
                self.flaw(at, format!("the default {preset:?} does not fit the kind"));
            }
        }
        if field.default == Some(Preset::Now) && !matches!(field.kind, Kind::DateTime | Kind::Date) {
            self.flaw(at, "the default Now fits date-times and dates only");
        }
        if field.derived.as_ref().is_some_and(|rule| rule.run.is_none()) {
            self.flaw(at, "its rule is not known");
        }
    }

    fn rollup(&mut self, module: &Module, resource: &Resource, field: &Field) {
        let at = Some(field.name.as_str());
        match &field.rollup {
            None => {}
            Some(RollUp::Lines { lines, field: summed }) => {
                let found = resource.lines.iter().find(|known| known.name == *lines);
                if !found.is_some_and(|lines| lines.fields.iter().any(|f| f.name == *summed)) {
                    self.flaw(at, format!("there is no {lines}.{summed} to sum up"));
                }
            }
            Some(RollUp::Records { resource: child, by, field: summed, statuses }) => {
                let Some(child_resource) = self.resources.get(child.as_str()).copied() else {
                    return self.flaw(at, format!("there is no resource {child}"));
                };
                let own = format!("{}/{}", module.slug, resource.slug);
                if child_resource.find_field(by).and_then(|f| f.kind.target()) != Some(&own) {
                    self.flaw(at, format!("{child}.{by} is no reference to {own}"));
                }
                if let Some(summed) = summed
                    && child_resource.find_field(summed).is_none()
                {
                    self.flaw(at, format!("there is no {child}.{summed} to sum up"));
                }
                for status in statuses.iter().filter(|status| !child_resource.states.contains(status)) {
                    self.flaw(at, format!("{child} has no status {status}"));
                }
            }
        }
    }

    fn words(&mut self, resource: &Resource) {
        let is_column = |name: &str| NAMES.contains(&name) || resource.find_field(name).is_some();
        if let Titled::From(fields) = &resource.titled {
            for name in fields.iter().filter(|name| resource.find_field(name).is_none()) {
                self.flaw(Some(name), "the title is to be made from a field that is not there");
            }
        }
        for name in &resource.search {
            let searchable = ["title", "description", "number", "external_id"].contains(&name.as_str())
                || resource.find_field(name).is_some_and(|field| field.kind.is_words());
            if !searchable {
                self.flaw(Some(name), "search looks into a field that is not there or holds no words");
            }
        }
        if let Some(order) = &resource.ordering
            && !is_column(order.trim_start_matches('-'))
        {
            self.flaw(Some(order), "the list is to be ordered by a field that is not there");
        }
        for fields in &resource.indexes {
            for name in fields.iter().filter(|name| !is_column(name)) {
                self.flaw(Some(name), "an index names a field that is not there");
            }
            if fields.len() < 2 {
                self.flaw(None, "an index over one field is the field's own: indexed() or sparse()");
            }
        }
        for set in &resource.uniques {
            for name in set.fields.iter().filter(|name| !is_column(name)) {
                self.flaw(Some(name), "a unique set names a field that is not there");
            }
            let nullable =
                set.fields.iter().filter(|name| resource.find_field(name).is_some_and(Field::allows_null)).count();
            if nullable > 2 {
                self.flaw(None, "a unique set may hold at most two fields that can be null");
            }
            for status in set.statuses.iter().filter(|status| !resource.states.contains(status)) {
                self.flaw(None, format!("a unique set names the status {status}, which is not declared"));
            }
        }
    }

    fn life_cycle(&mut self, resource: &Resource) {
        let known: BTreeSet<&String> = resource.states.iter().collect();
        if known.len() != resource.states.len() {
            self.flaw(None, "a state is declared twice");
        }
        for state in resource.states.iter().filter(|state| !is_name(state)) {
            self.flaw(Some(state), "a state must be lower-case letters, digits and _");
        }
        if !known.contains(&resource.initial) {
            self.flaw(None, format!("the initial state {} is not declared", resource.initial));
        }
        let mut names = BTreeSet::new();
        for action in &resource.actions {
            let at = Some(action.name.as_str());
            if !names.insert(&action.name) {
                self.flaw(at, "another action has the same name");
            }
            if !is_slug(&action.name) || ENGINE_VERBS.contains(&action.name.as_str()) {
                self.flaw(at, "the name is no valid name, or belongs to the engine");
            }
            if action.help.is_empty() {
                self.flaw(at, "a help text must be given");
            }
            for state in action.from.iter().chain(&action.to).filter(|state| !known.contains(state)) {
                self.flaw(at, format!("the state {state} is not declared"));
            }
            for name in action.needs.iter().chain(&action.stamps).filter(|name| resource.find_field(name).is_none()) {
                self.flaw(at, format!("there is no field {name}"));
            }
            for name in action.stamps.iter().filter_map(|name| resource.find_field(name)) {
                if name.kind != Kind::DateTime {
                    self.flaw(at, format!("{} is to be stamped but is no date-time", name.name));
                }
            }
            for field in &action.input {
                self.field(field, &action.input);
                if field.input_only && field.goes_to.is_some() {
                    self.flaw(at, format!("the input {} goes to a field and to none", field.name));
                }
                if let Some(to) = &field.goes_to
                    && resource.find_field(to).is_none_or(|target| target.kind.stored() != field.kind.stored())
                {
                    self.flaw(
                        at,
                        format!("the input {} goes to {to}, which is not there or of another kind", field.name),
                    );
                }
            }
            let missing = [&action.guard, &action.effect, &action.after].into_iter().flatten().any(|r| r.run.is_none());
            if missing {
                self.flaw(at, "one of its rules is not known");
            }
        }
        if resource.has_life_cycle() {
            let reachable = reachable(resource);
            for state in resource.states.iter().filter(|state| !reachable.contains(state.as_str())) {
                self.flaw(Some(state), "no action leads to this state");
            }
        }
    }

    fn audience(&mut self, resource: &Resource) {
        let has = |name: &String| resource.find_field(name).is_some();
        let is_sound = match &resource.audience {
            Audience::Everyone | Audience::Author => true,
            Audience::Members { field, members, .. } => has(field) && has(members),
            Audience::Through(field) => {
                resource.find_field(field).is_some_and(|f| matches!(f.kind, Kind::Reference { .. }))
            }
        };
        if !is_sound {
            self.flaw(None, "its audience names a field that is not there, or no reference");
        }
    }

    fn doors(&mut self, resource: &Resource) {
        let is_shown = |name: &String| {
            NAMES.contains(&name.as_str())
                || resource.find_field(name).is_some()
                || resource.lines.iter().any(|lines| lines.name == *name)
        };
        for door in &resource.public {
            for name in door.fields.iter().filter(|name| !is_shown(name)) {
                self.flaw(Some(name), "a public route names a field that is not there");
            }
            for status in door.statuses.iter().filter(|status| !resource.states.contains(status)) {
                self.flaw(None, format!("a public route names the status {status}, which is not declared"));
            }
            if let PublicVerb::Retrieve { by } = &door.what
                && resource.find_field(by).is_none()
                && by != "id"
                && by != "number"
            {
                self.flaw(Some(by), "a public route looks records up by a field that is not there");
            }
        }
    }
}

/// The states that a record can get into, from the initial one.
fn reachable(resource: &Resource) -> BTreeSet<&str> {
    let mut seen = BTreeSet::from([resource.initial.as_str()]);
    loop {
        let more: Vec<&str> = resource
            .actions
            .iter()
            .filter(|action| action.from.is_empty() || action.from.iter().any(|from| seen.contains(from.as_str())))
            .flat_map(|action| action.to.iter().map(String::as_str))
            .chain(resource.automatic.iter().map(String::as_str))
            .filter(|state| !seen.contains(state))
            .collect();
        if more.is_empty() {
            return seen;
        }
        seen.extend(more);
    }
}

fn is_reserved(name: &str) -> bool {
    NAMES.contains(&name) || COLUMNS.contains(&name) || name.starts_with("data__")
}

/// `starts_at`
fn is_name(text: &str) -> bool {
    text.len() <= 48
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// `waitlist-entries`
fn is_slug(text: &str) -> bool {
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.ends_with('-')
        && !text.contains("--")
}
