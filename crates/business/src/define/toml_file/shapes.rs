//! The shapes of a module file, and how they become definition values. Unknown keys are refused, so a slip of the pen is found.

use serde::Deserialize;
use serde_json::Value as Json;

use crate::define::rule::Rule;
use crate::define::{
    Action, Field, Hooks, Kind, Lines, Module, Personal, Preset, Public, PublicVerb, Resource, RollUp, Titled,
    UniqueSet, resource,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ModuleFile {
    slug: String,
    name: String,
    description: String,
    #[serde(default)]
    resources: Vec<ResourceFile>,
    #[serde(default)]
    settings: Vec<FieldFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ResourceFile {
    slug: String,
    singular: Option<String>,
    title: Option<String>,
    help: String,
    number: Option<String>,
    #[serde(default)]
    title_optional: bool,
    title_from: Option<Vec<String>>,
    #[serde(default)]
    fields: Vec<FieldFile>,
    #[serde(default)]
    lines: Vec<LinesFile>,
    #[serde(default)]
    unique: Vec<UniqueFile>,
    #[serde(default)]
    indexes: Vec<Vec<String>>,
    states: Option<Vec<String>>,
    initial: Option<String>,
    #[serde(default)]
    automatic: Vec<String>,
    #[serde(default)]
    actions: Vec<ActionFile>,
    search: Option<Vec<String>>,
    ordering: Option<String>,
    #[serde(default)]
    append_only: bool,
    /// What a record says is a person's altogether.
    #[serde(default)]
    personal: bool,
    /// On what ground names stay when a person is erased.
    kept_by: Option<String>,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    hooks: HooksFile,
    #[serde(default)]
    public: Vec<PublicFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LinesFile {
    name: String,
    #[serde(default)]
    help: String,
    fields: Vec<FieldFile>,
    each: Option<String>,
    min: Option<usize>,
    max: Option<usize>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UniqueFile {
    fields: Vec<String>,
    #[serde(default)]
    statuses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ActionFile {
    name: String,
    #[serde(default)]
    from: Vec<String>,
    #[serde(default)]
    to: Vec<String>,
    help: String,
    #[serde(default)]
    input: Vec<FieldFile>,
    #[serde(default)]
    needs: Vec<String>,
    #[serde(default)]
    stamps: Vec<String>,
    guard: Option<String>,
    effect: Option<String>,
    after: Option<String>,
    #[serde(default)]
    routine: bool,
    event: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct HooksFile {
    before_create: Option<String>,
    after_create: Option<String>,
    before_update: Option<String>,
    after_update: Option<String>,
    before_delete: Option<String>,
    after_delete: Option<String>,
    after_restore: Option<String>,
    check: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublicFile {
    /// `list`, `retrieve` or `create`.
    what: PublicWord,
    by: Option<String>,
    fields: Vec<String>,
    #[serde(default)]
    statuses: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PublicWord {
    List,
    Retrieve,
    Create,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FieldFile {
    name: String,
    kind: KindWord,
    max: Option<i64>,
    min: Option<i64>,
    scale: Option<u32>,
    choices: Option<Vec<String>>,
    target: Option<String>,
    currency_in: Option<String>,
    #[serde(default)]
    required: bool,
    nullable: Option<bool>,
    default: Option<Json>,
    default_from: Option<PresetWord>,
    #[serde(default)]
    unique: bool,
    help: String,
    #[serde(default)]
    read_only: bool,
    #[serde(default)]
    fixed: bool,
    filterable: Option<bool>,
    #[serde(default)]
    indexed: bool,
    #[serde(default)]
    sparse: bool,
    /// `contact`, `name`, `particular`, `other` or `subject`.
    personal: Option<Personal>,
    example: Option<Json>,
    goes_to: Option<String>,
    #[serde(default)]
    input_only: bool,
    derived: Option<String>,
    sum_of_lines: Option<SumOfLines>,
    sum_of: Option<SumOf>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SumOfLines {
    lines: String,
    field: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SumOf {
    resource: String,
    by: String,
    /// Counts records when absent.
    field: Option<String>,
    #[serde(default)]
    statuses: Vec<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum PresetWord {
    CompanyCurrency,
    CompanyTimezone,
    CompanyLanguage,
    Now,
    Caller,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KindWord {
    Text,
    LongText,
    Slug,
    Email,
    Url,
    Phone,
    Boolean,
    Integer,
    Decimal,
    Money,
    Currency,
    Percent,
    Date,
    DateTime,
    TimeOfDay,
    Minutes,
    Choice,
    Language,
    Timezone,
    Reference,
    References,
    User,
    Json,
    Object,
    Tags,
    Code,
}

impl ModuleFile {
    pub(super) fn into_module(self) -> Module {
        let ModuleFile { slug, name, description, resources, settings } = self;
        Module {
            slug,
            name,
            description,
            resources: resources.into_iter().map(ResourceFile::into_resource).collect(),
            operations: Vec::new(),
            settings: settings.into_iter().map(FieldFile::into_field).collect(),
            tables: None,
            install: None,
        }
    }
}

impl ResourceFile {
    fn into_resource(self) -> Resource {
        let ResourceFile {
            slug,
            singular,
            title,
            help,
            number,
            title_optional,
            title_from,
            fields,
            lines,
            unique,
            indexes,
            states,
            initial,
            automatic,
            actions,
            search,
            ordering,
            append_only,
            personal,
            kept_by,
            read_only,
            hooks,
            public,
        } = self;
        let mut made = Resource::new(&slug, number.as_deref().unwrap_or_default());
        made.singular = singular.unwrap_or(made.singular);
        made.title = title.unwrap_or_else(|| resource::title_of(&slug));
        made.help = help;
        made.titled = match title_from {
            Some(fields) => Titled::From(fields),
            None if title_optional => Titled::Optional,
            None => Titled::Required,
        };
        made.fields = fields.into_iter().map(FieldFile::into_field).collect();
        made.lines = lines.into_iter().map(LinesFile::into_lines).collect();
        made.indexes = indexes;
        made.uniques =
            unique.into_iter().map(|UniqueFile { fields, statuses }| UniqueSet { fields, statuses }).collect();
        if let Some(states) = states {
            made.initial = states.first().cloned().unwrap_or_default();
            made.states = states;
        }
        made.initial = initial.unwrap_or(made.initial);
        made.automatic = automatic;
        made.actions = actions.into_iter().map(ActionFile::into_action).collect();
        made.search = search.unwrap_or(made.search);
        made.ordering = ordering;
        made.append_only = append_only;
        made.is_personal = personal;
        made.kept_by = kept_by;
        made.read_only = read_only;
        made.hooks = hooks.into_hooks();
        made.public = public.into_iter().map(PublicFile::into_public).collect();
        made
    }
}

impl LinesFile {
    fn into_lines(self) -> Lines {
        let LinesFile { name, help, fields, each, min, max } = self;
        let plain = Lines::new(&name);
        Lines {
            help,
            fields: fields.into_iter().map(FieldFile::into_field).collect(),
            min: min.unwrap_or(plain.min),
            max: max.unwrap_or(plain.max),
            each: rule(each),
            name,
        }
    }
}

impl ActionFile {
    fn into_action(self) -> Action {
        let ActionFile { name, from, to, help, input, needs, stamps, guard, effect, after, routine, event } = self;
        Action {
            name,
            from,
            to,
            input: input.into_iter().map(FieldFile::into_field).collect(),
            needs,
            stamps,
            guard: rule(guard),
            effect: rule(effect),
            after: rule(after),
            routine,
            event,
            help,
        }
    }
}

impl HooksFile {
    fn into_hooks(self) -> Hooks {
        Hooks {
            before_create: rule(self.before_create),
            after_create: rule(self.after_create),
            before_update: rule(self.before_update),
            after_update: rule(self.after_update),
            before_delete: rule(self.before_delete),
            after_delete: rule(self.after_delete),
            after_restore: rule(self.after_restore),
            check: rule(self.check),
        }
    }
}

fn rule<F: Copy>(name: Option<String>) -> Option<Rule<F>> {
    name.map(|name| Rule::named(&name))
}

impl PublicFile {
    fn into_public(self) -> Public {
        let PublicFile { what, by, fields, statuses } = self;
        let what = match what {
            PublicWord::List => PublicVerb::List,
            PublicWord::Retrieve => PublicVerb::Retrieve { by: by.unwrap_or_else(|| "id".into()) },
            PublicWord::Create => PublicVerb::Create,
        };
        Public { what, fields, statuses }
    }
}

impl FieldFile {
    fn into_field(self) -> Field {
        let target = self.target.unwrap_or_default();
        let kind = match self.kind {
            KindWord::Text => Kind::Text { max: self.max.and_then(|max| usize::try_from(max).ok()).unwrap_or(255) },
            KindWord::LongText => Kind::LongText,
            KindWord::Slug => Kind::Slug,
            KindWord::Email => Kind::Email,
            KindWord::Url => Kind::Url,
            KindWord::Phone => Kind::Phone,
            KindWord::Boolean => Kind::Boolean,
            KindWord::Integer => Kind::Integer { min: self.min.unwrap_or(i64::MIN), max: self.max.unwrap_or(i64::MAX) },
            KindWord::Decimal => Kind::Decimal { scale: self.scale.unwrap_or(2) },
            KindWord::Money => Kind::Money { currency: self.currency_in.unwrap_or_else(|| "currency".into()) },
            KindWord::Currency => Kind::Currency,
            KindWord::Percent => Kind::Percent,
            KindWord::Date => Kind::Date,
            KindWord::DateTime => Kind::DateTime,
            KindWord::TimeOfDay => Kind::TimeOfDay,
            KindWord::Minutes => Kind::Minutes,
            KindWord::Choice => Kind::Choice { choices: self.choices.unwrap_or_default() },
            KindWord::Language => Kind::Language,
            KindWord::Timezone => Kind::Timezone,
            KindWord::Reference => Kind::Reference { target },
            KindWord::References => Kind::References { target },
            KindWord::User => Kind::User,
            KindWord::Json => Kind::Json,
            KindWord::Object => Kind::Object,
            KindWord::Tags => Kind::Tags,
            KindWord::Code => Kind::Code,
        };
        let mut field = Field::new(&self.name, kind);
        let preset = self.default_from.map(|word| match word {
            PresetWord::CompanyCurrency => Preset::CompanyCurrency,
            PresetWord::CompanyTimezone => Preset::CompanyTimezone,
            PresetWord::CompanyLanguage => Preset::CompanyLanguage,
            PresetWord::Now => Preset::Now,
            PresetWord::Caller => Preset::Caller,
        });
        let rollup = match (self.sum_of_lines, self.sum_of) {
            (Some(SumOfLines { lines, field }), _) => Some(RollUp::Lines { lines, field }),
            (None, Some(SumOf { resource, by, field, statuses })) => {
                Some(RollUp::Records { resource, by, field, statuses })
            }
            (None, None) => None,
        };
        field.required = self.required;
        field.nullable = self.nullable;
        field.default = self.default.map(Preset::Value).or(preset);
        field.unique = self.unique;
        field.help = self.help;
        field.read_only = self.read_only || self.derived.is_some() || rollup.is_some();
        field.fixed = self.fixed;
        field.filterable = self.filterable.unwrap_or(field.filterable);
        field.indexed = self.indexed;
        field.sparse = self.sparse;
        field.personal = self.personal;
        field.example = self.example;
        field.goes_to = self.goes_to;
        field.input_only = self.input_only;
        field.derived = rule(self.derived);
        field.rollup = rollup;
        field
    }
}
