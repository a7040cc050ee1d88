//! [`Resource`]: one kind of record, with its fields, lines, life cycle and rules.

use super::action::Action;
use super::field::{Field, owned};
use super::kind::Kind;
use super::rule::{ChangeFn, HookFn, LineFn, Rule};

/// One kind of record: `booking/appointments`. Besides its own fields every record has those of [`super::base`].
#[derive(Clone, Debug)]
pub struct Resource {
    /// As in the address, plural: `time-off`, `appointments`.
    pub slug: String,
    /// One of them: `appointment`. Names the schema (`Appointment`) and stands in messages.
    pub singular: String,
    /// For people: `Appointments`.
    pub title: String,
    /// One sentence: what a record of this kind is.
    pub help: String,
    /// Prefix of the number that people quote (`APT` gives `APT-000001`); no number when `None`.
    pub prefix: Option<String>,
    /// Where a record's title comes from.
    pub titled: Titled,
    pub fields: Vec<Field>,
    pub lines: Vec<Lines>,
    pub uniques: Vec<UniqueSet>,
    /// Fields whose values are looked up together, in this order; each set gets an index.
    pub indexes: Vec<Vec<String>>,
    /// The values of `status`. With actions that move, only those change it; without, a client may.
    pub states: Vec<String>,
    /// The status of a new record; the first of `states` when not said otherwise.
    pub initial: String,
    pub actions: Vec<Action>,
    /// States that rules lead to by themselves (`paid` when the last payment came), besides those that actions end in.
    pub automatic: Vec<String>,
    /// Fields that `?search=` looks into.
    pub search: Vec<String>,
    /// Order of a list without `?ordering=`: a field, with `-` for descending. Newest first when `None`.
    pub ordering: Option<String>,
    /// Records can be made but never changed or deleted.
    pub append_only: bool,
    /// Records are made by rules only; clients read.
    pub read_only: bool,
    pub hooks: Hooks,
    pub public: Vec<Public>,
    /// Who finds the records, among those who may view them.
    pub audience: Audience,
    /// What a record says is a person's: with them go its title, description, tags, data and external id too.
    pub is_personal: bool,
    /// On what ground records stay with the names in them when a person is erased; addresses and numbers go all the same. Whom they are
    /// about keeps name and particulars with them.
    pub kept_by: Option<String>,
}

/// Who finds records of a kind, among those who may view them. Rules, the system and superusers find all.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Audience {
    #[default]
    Everyone,
    /// Everybody where `field` is `open`; elsewhere the users whose ids stand in the tags field `members`.
    Members { field: String, open: String, members: String },
    /// Whoever finds the record that this reference names; everybody where it is empty.
    Through(String),
    /// Whoever made it.
    Author,
}

/// Where a record's title comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Titled {
    /// A client gives it.
    Required,
    /// A client may give it; otherwise it is empty.
    Optional,
    /// A client may give it; otherwise these fields, joined by blanks, make it.
    From(Vec<String>),
}

/// Rows that belong to one record and are written with it, such as the lines of an invoice. They stand in the record's JSON as a list, and in a
/// table of their own. A list sent by a client replaces the list: a row with a known `id` is changed, one without is made, a missing one goes.
#[derive(Clone, Debug)]
pub struct Lines {
    /// Name on the wire: `lines`, `items`.
    pub name: String,
    pub help: String,
    pub fields: Vec<Field>,
    pub min: usize,
    pub max: usize,
    /// Computes the read-only fields of one line; runs on every line at every write, before the sums are taken.
    pub each: Option<Rule<LineFn>>,
}

/// Fields that together may occur once among a company's live records.
#[derive(Clone, Debug, PartialEq)]
pub struct UniqueSet {
    pub fields: Vec<String>,
    /// Counts only records in one of these states; all when empty.
    pub statuses: Vec<String>,
}

/// Functions run in the transaction of a write.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    pub before_create: Option<Rule<HookFn>>,
    pub after_create: Option<Rule<HookFn>>,
    pub before_update: Option<Rule<ChangeFn>>,
    pub after_update: Option<Rule<ChangeFn>>,
    pub before_delete: Option<Rule<HookFn>>,
    pub after_delete: Option<Rule<HookFn>>,
    pub after_restore: Option<Rule<HookFn>>,
    /// Before a create, an update and an action: the one place for a rule that must always hold.
    pub check: Option<Rule<HookFn>>,
}

/// A door without credentials: `/api/v1/<module>/public/{company}/<resource>/…`.
#[derive(Clone, Debug)]
pub struct Public {
    pub what: PublicVerb,
    /// What is shown (list, retrieve) or accepted (create); nothing else is.
    pub fields: Vec<String>,
    /// Only records in these states are shown; all when empty.
    pub statuses: Vec<String>,
}

/// What a stranger may do.
#[derive(Clone, Debug, PartialEq)]
pub enum PublicVerb {
    List,
    /// By the value of this field: `…/{slug}/`.
    Retrieve {
        by: String,
    },
    Create,
}

impl Resource {
    /// A resource with a number series: `Resource::new("appointments", "APT")`. Its singular and title follow from the slug.
    pub fn new(slug: &str, prefix: &str) -> Self {
        Self {
            slug: slug.to_owned(),
            singular: singular_of(slug),
            title: title_of(slug),
            help: String::new(),
            prefix: (!prefix.is_empty()).then(|| prefix.to_owned()),
            titled: Titled::Required,
            fields: Vec::new(),
            lines: Vec::new(),
            uniques: Vec::new(),
            indexes: Vec::new(),
            states: owned(&["active", "archived"]),
            initial: String::from("active"),
            actions: Vec::new(),
            automatic: Vec::new(),
            search: owned(&["title", "description"]),
            ordering: None,
            is_personal: false,
            kept_by: None,
            append_only: false,
            read_only: false,
            hooks: Hooks::default(),
            public: Vec::new(),
            audience: Audience::Everyone,
        }
    }
    /// A resource whose records nobody quotes by number.
    pub fn unnumbered(slug: &str) -> Self {
        Self::new(slug, "")
    }
    pub fn singular(mut self, word: &str) -> Self {
        self.singular = word.to_owned();
        self
    }
    pub fn title(mut self, words: &str) -> Self {
        self.title = words.to_owned();
        self
    }
    pub fn help(mut self, help: &str) -> Self {
        self.help = help.to_owned();
        self
    }
    pub fn title_optional(mut self) -> Self {
        self.titled = Titled::Optional;
        self
    }
    /// Makes the title from these fields when none is given: `title_from(&["first_name", "last_name"])`.
    pub fn title_from(mut self, fields: &[&str]) -> Self {
        self.titled = Titled::From(owned(fields));
        self
    }
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }
    pub fn lines(mut self, lines: Lines) -> Self {
        self.lines.push(lines);
        self
    }
    /// No two live records of a company share all of these. An empty field counts as a value here: one page without a site for each slug.
    pub fn unique(mut self, fields: &[&str]) -> Self {
        self.uniques.push(UniqueSet { fields: owned(fields), statuses: Vec::new() });
        self
    }
    /// No two records in one of `statuses` share all of these fields: one open session per register.
    pub fn unique_while(mut self, fields: &[&str], statuses: &[&str]) -> Self {
        self.uniques.push(UniqueSet { fields: owned(fields), statuses: owned(statuses) });
        self
    }
    /// An index over these fields, for rules that look for some of the first within a range of the last: `index(&["staff", "starts_at"])`.
    /// Records in which a reference or sparse field of it is empty cost nothing there.
    pub fn index(mut self, fields: &[&str]) -> Self {
        self.indexes.push(owned(fields));
        self
    }
    /// The values of `status`; the first is a new record's.
    pub fn states(mut self, states: &[&str]) -> Self {
        self.states = owned(states);
        self.initial = self.states.first().cloned().unwrap_or_default();
        self
    }
    pub fn initial(mut self, state: &str) -> Self {
        self.initial = state.to_owned();
        self
    }
    pub fn action(mut self, action: Action) -> Self {
        self.actions.push(action);
        self
    }
    /// Declares states that rules set by themselves with `record.set_status`.
    pub fn automatic(mut self, states: &[&str]) -> Self {
        self.automatic = owned(states);
        self
    }
    /// Replaces the fields that `?search=` looks into.
    pub fn search(mut self, fields: &[&str]) -> Self {
        self.search = owned(fields);
        self
    }
    pub fn ordering(mut self, field: &str) -> Self {
        self.ordering = Some(field.to_owned());
        self
    }
    /// Says that a record is a person's altogether: its title, description, tags, data and external id too.
    pub fn personal(mut self) -> Self {
        self.is_personal = true;
        self
    }
    /// Keeps names when a person is erased, on this ground: a sentence for the report.
    pub fn kept_by(mut self, ground: &str) -> Self {
        self.kept_by = Some(ground.to_owned());
        self
    }
    pub fn append_only(mut self) -> Self {
        self.append_only = true;
        self
    }
    pub fn read_only(mut self) -> Self {
        self.read_only = true;
        self
    }
    /// Everybody finds records whose `field` is `open`; the others exist for the users in the tags field `members` only.
    pub fn seen_by_members(mut self, field: &str, open: &str, members: &str) -> Self {
        self.audience = Audience::Members { field: field.into(), open: open.into(), members: members.into() };
        self
    }
    /// Records are found by whoever finds the record that `reference` names.
    pub fn seen_through(mut self, reference: &str) -> Self {
        self.audience = Audience::Through(reference.into());
        self
    }
    /// Records are found by whoever made them.
    pub fn seen_by_author(mut self) -> Self {
        self.audience = Audience::Author;
        self
    }
    pub fn before_create(mut self, rule: HookFn) -> Self {
        self.hooks.before_create = Some(Rule::of(rule));
        self
    }
    pub fn after_create(mut self, rule: HookFn) -> Self {
        self.hooks.after_create = Some(Rule::of(rule));
        self
    }
    pub fn before_update(mut self, rule: ChangeFn) -> Self {
        self.hooks.before_update = Some(Rule::of(rule));
        self
    }
    pub fn after_update(mut self, rule: ChangeFn) -> Self {
        self.hooks.after_update = Some(Rule::of(rule));
        self
    }
    pub fn before_delete(mut self, rule: HookFn) -> Self {
        self.hooks.before_delete = Some(Rule::of(rule));
        self
    }
    pub fn after_delete(mut self, rule: HookFn) -> Self {
        self.hooks.after_delete = Some(Rule::of(rule));
        self
    }
    pub fn after_restore(mut self, rule: HookFn) -> Self {
        self.hooks.after_restore = Some(Rule::of(rule));
        self
    }
    /// A rule that must hold after every create, update and action; runs last before the record is written.
    pub fn check(mut self, rule: HookFn) -> Self {
        self.hooks.check = Some(Rule::of(rule));
        self
    }
    /// Lets strangers list these fields of the records in `statuses` (all when empty).
    pub fn public_list(mut self, fields: &[&str], statuses: &[&str]) -> Self {
        self.public.push(Public { what: PublicVerb::List, fields: owned(fields), statuses: owned(statuses) });
        self
    }
    /// Lets strangers read these fields of one record, found by the value of the field `by`.
    pub fn public_retrieve(mut self, by: &str, fields: &[&str], statuses: &[&str]) -> Self {
        self.public.push(Public {
            what: PublicVerb::Retrieve { by: by.to_owned() },
            fields: owned(fields),
            statuses: owned(statuses),
        });
        self
    }
    /// Lets strangers make a record from these fields and nothing else.
    pub fn public_create(mut self, fields: &[&str]) -> Self {
        self.public.push(Public { what: PublicVerb::Create, fields: owned(fields), statuses: Vec::new() });
        self
    }

    /// With what the engine adds: a resource with money needs to know its currency and gets a field for it when it declares none.
    pub fn completed(mut self) -> Self {
        let needs = |fields: &[Field]| {
            fields.iter().any(|f| f.kind == Kind::Money { currency: "currency".into() })
                && !fields.iter().any(|f| f.name == "currency")
        };
        let in_lines = self.lines.iter().any(|lines| needs(&lines.fields));
        if (needs(&self.fields) || in_lines) && self.find_field("currency").is_none() {
            self.fields.push(super::currency("currency"));
        }
        self
    }
    /// Its tables: the records' own, then one for each list of lines.
    pub fn tables(&self, module: &super::Module) -> Vec<String> {
        let own = format!("{}_{}", module.slug, self.slug).replace('-', "_");
        let lines = self.lines.iter().map(|lines| format!("{own}_{}", lines.name));
        std::iter::once(own.clone()).chain(lines).collect()
    }
    /// Whether only actions may change the status.
    pub fn has_life_cycle(&self) -> bool {
        !self.automatic.is_empty() || self.actions.iter().any(|action| !action.to.is_empty())
    }
    pub fn find_field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
    pub fn find_action(&self, name: &str) -> Option<&Action> {
        self.actions.iter().find(|action| action.name == name)
    }
}

/// Name of a resource's schema in the API reference: `Appointment`, `WaitlistEntry`; with the module in front (`BookingCustomer`) when several
/// modules have such a thing.
pub fn schema_name(module: &super::Module, resource: &Resource, all: &[super::Module]) -> String {
    let plain = camel(&resource.singular);
    let same = all.iter().flat_map(|m| &m.resources).filter(|other| camel(&other.singular) == plain).count();
    if same > 1 { format!("{}{plain}", camel(&module.slug)) } else { plain }
}

pub(crate) fn camel(words: &str) -> String {
    words.split(['-', '_']).map(capitalized).collect()
}

impl Lines {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), help: String::new(), fields: Vec::new(), min: 0, max: 500, each: None }
    }
    pub fn help(mut self, help: &str) -> Self {
        self.help = help.to_owned();
        self
    }
    pub fn field(mut self, field: Field) -> Self {
        self.fields.push(field);
        self
    }
    /// Computes the read-only fields of one line, given the record it belongs to.
    pub fn each(mut self, rule: LineFn) -> Self {
        self.each = Some(Rule::of(rule));
        self
    }
    pub fn at_least(mut self, min: usize) -> Self {
        self.min = min;
        self
    }
    pub fn at_most(mut self, max: usize) -> Self {
        self.max = max;
        self
    }
}

pub(crate) fn capitalized(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// `waitlist-entries` → `waitlist-entry`; a slug that is no plural stays as it is.
pub(crate) fn singular_of(slug: &str) -> String {
    for (plural, singular) in [("ies", "y"), ("sses", "ss"), ("xes", "x"), ("ches", "ch"), ("shes", "sh")] {
        if let Some(stem) = slug.strip_suffix(plural) {
            return format!("{stem}{singular}");
        }
    }
    match slug.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') => stem.to_owned(),
        _ => slug.to_owned(),
    }
}

/// `check-in` → `Check in`.
pub(crate) fn title_words(slug: &str) -> String {
    title_of(slug)
}

/// `waitlist-entries` → `Waitlist entries`.
pub(crate) fn title_of(slug: &str) -> String {
    capitalized(&slug.replace('-', " "))
}
