//! Modules from TOML files (`LOOP_MODULES_DIR`): the same values as `modules/*.rs` builds, for sectors that need no compiler.
//!
//! A file is read into the shapes below (unknown keys are refused), turned into definition values, its rules are looked up by
//! name, and [`super::soundness`] judges the result. Every refusal names file and line.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value as Json;

use super::field::{Field, Preset, RollUp};
use super::kind::Kind;
use super::module::Module;
use super::resource::{Hooks, Lines, Public, PublicVerb, Resource, Titled, UniqueSet};
use super::rule::{Rule, Rules, resolve};
use super::soundness::{Flaw, soundness};
use super::{Action, resource};

/// Why a module file was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadError {
    pub file: PathBuf,
    /// From 1; `None` when the reason is no single place's.
    pub line: Option<usize>,
    pub reason: String,
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

impl std::error::Error for LoadError {}

/// Reads every `*.toml` of a folder, in the order of their names, beside the modules that are there already.
///
/// # Errors
/// Everything wrong with any file, each with its place; then no module is taken.
pub fn load_dir(dir: &Path, built_in: &[Module], rules: &Rules) -> Result<Vec<Module>, Vec<LoadError>> {
    let unreadable = |error: std::io::Error, path: &Path| {
        vec![LoadError { file: path.to_owned(), line: None, reason: format!("cannot be read: {error}") }]
    };
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir)
        .map_err(|error| unreadable(error, dir))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    paths.sort();
    let (mut modules, mut texts, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for path in paths {
        let text = std::fs::read_to_string(&path).map_err(|error| unreadable(error, &path))?;
        match read(&text, rules) {
            Ok(module) => {
                modules.push(module);
                texts.push((path, text));
            }
            Err((line, reason)) => errors.push(LoadError { file: path, line, reason }),
        }
    }
    let all: Vec<Module> = built_in.iter().chain(&modules).cloned().collect();
    for flaw in soundness(&all) {
        let place = modules.iter().position(|module| module.slug == flaw.module);
        if let Some((file, text)) = place.and_then(|place| texts.get(place)) {
            errors.push(LoadError { file: file.clone(), line: line_of(text, &flaw), reason: flaw.to_string() });
        }
    }
    if errors.is_empty() { Ok(modules) } else { Err(errors) }
}

/// Reads one module from text; `file` is only for messages.
///
/// # Errors
/// As [`load_dir`].
pub fn load_str(file: &Path, text: &str, built_in: &[Module], rules: &Rules) -> Result<Module, Vec<LoadError>> {
    let module = read(text, rules).map_err(|(line, reason)| vec![LoadError { file: file.to_owned(), line, reason }])?;
    let all: Vec<Module> = built_in.iter().chain([&module]).cloned().collect();
    let errors: Vec<LoadError> = soundness(&all)
        .into_iter()
        .filter(|flaw| flaw.module == module.slug)
        .map(|flaw| LoadError { file: file.to_owned(), line: line_of(text, &flaw), reason: flaw.to_string() })
        .collect();
    if errors.is_empty() { Ok(module) } else { Err(errors) }
}

fn read(text: &str, rules: &Rules) -> Result<Module, (Option<usize>, String)> {
    let file: ModuleFile = toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| line_at(text, span.start));
        (line, error.message().to_owned())
    })?;
    let mut module = file.into_module();
    for resource in &mut module.resources {
        let slug = resource.slug.clone();
        resolve_all(resource, rules).map_err(|name| {
            let reason = format!("{}/{slug}: there is no rule named {name}", module.slug);
            let line = text.find(&format!("\"{name}\"")).map(|at| line_at(text, at));
            (line, reason)
        })?;
    }
    Ok(module)
}

fn line_at(text: &str, byte: usize) -> usize {
    text.as_bytes()[..byte.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1
}

/// The line where the flaw's member (or its resource) gets its name. Good enough to jump to: the words are searched in the order of the file.
fn line_of(text: &str, flaw: &Flaw) -> Option<usize> {
    let named = |from: usize, word: &str| {
        let quoted = format!("\"{word}\"");
        text[from..].find(&quoted).map(|at| from + at)
    };
    let resource = flaw.resource.as_ref().and_then(|slug| named(0, slug));
    let member = flaw.member.as_ref().and_then(|name| named(resource.unwrap_or(0), name));
    member.or(resource).or_else(|| named(0, &flaw.module)).map(|at| line_at(text, at))
}

/// Fills in every rule by name; the first unknown name comes back.
fn resolve_all(resource: &mut Resource, rules: &Rules) -> Result<(), String> {
    let line_fields = resource.lines.iter_mut().flat_map(|lines| &mut lines.fields);
    for field in resource.fields.iter_mut().chain(line_fields) {
        resolve(&mut field.derived, &rules.derive)?;
    }
    for lines in &mut resource.lines {
        resolve(&mut lines.each, &rules.line)?;
    }
    for action in &mut resource.actions {
        resolve(&mut action.guard, &rules.action)?;
        resolve(&mut action.effect, &rules.action)?;
        resolve(&mut action.after, &rules.action)?;
    }
    let hooks = &mut resource.hooks;
    for hook in [
        &mut hooks.before_create,
        &mut hooks.after_create,
        &mut hooks.before_delete,
        &mut hooks.after_delete,
        &mut hooks.check,
    ] {
        resolve(hook, &rules.hook)?;
    }
    resolve(&mut hooks.before_update, &rules.change)?;
    resolve(&mut hooks.after_update, &rules.change)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ModuleFile {
    slug: String,
    name: String,
    description: String,
    #[serde(default)]
    resources: Vec<ResourceFile>,
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
    example: Option<Json>,
    goes_to: Option<String>,
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
    fn into_module(self) -> Module {
        let ModuleFile { slug, name, description, resources } = self;
        Module {
            slug,
            name,
            description,
            resources: resources.into_iter().map(ResourceFile::into_resource).collect(),
            operations: Vec::new(),
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
            states,
            initial,
            automatic,
            actions,
            search,
            ordering,
            append_only,
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
        let HooksFile { before_create, after_create, before_update, after_update, before_delete, after_delete, check } =
            self;
        Hooks {
            before_create: rule(before_create),
            after_create: rule(after_create),
            before_update: rule(before_update),
            after_update: rule(after_update),
            before_delete: rule(before_delete),
            after_delete: rule(after_delete),
            check: rule(check),
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
        field.example = self.example;
        field.goes_to = self.goes_to;
        field.derived = rule(self.derived);
        field.rollup = rollup;
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLINIC: &str = r#"
slug = "clinic"
name = "Clinic"
description = "Visits to a small clinic."

[[resources]]
slug = "visits"
number = "VIS"
help = "One visit of one patient."
states = ["planned", "open", "done"]

[[resources.fields]]
name = "starts_at"
kind = "date-time"
help = "When the patient is expected."

[[resources.fields]]
name = "fee"
kind = "money"
help = "What the visit costs."

[[resources.actions]]
name = "open"
from = ["planned"]
to = ["open"]
help = "The patient is here."

[[resources.actions]]
name = "finish"
from = ["open"]
to = ["done"]
help = "The visit is over."
"#;

    fn refusal(text: &str) -> String {
        load_str(Path::new("clinic.toml"), text, &[], &Rules::default())
            .unwrap_err()
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn a_file_gives_the_same_values_as_rust() {
        let module = load_str(Path::new("clinic.toml"), CLINIC, &[], &Rules::default()).unwrap();
        let visits = module.find_resource("visits").unwrap();
        assert_eq!(
            (visits.singular.as_str(), visits.initial.as_str(), visits.has_life_cycle()),
            ("visit", "planned", true)
        );
        assert_eq!(visits.find_field("fee").unwrap().kind, Kind::Money { currency: "currency".into() });
    }

    #[test]
    fn a_bad_file_is_refused_with_file_line_and_reason() {
        let unknown_key = CLINIC.replace("kind = \"money\"", "kind = \"money\"\ncolour = \"red\"");
        assert!(
            refusal(&unknown_key).starts_with("clinic.toml:20: unknown field `colour`"),
            "{}",
            refusal(&unknown_key)
        );
        let unknown_kind = CLINIC.replace("kind = \"date-time\"", "kind = \"moment\"");
        assert!(
            refusal(&unknown_kind).starts_with("clinic.toml:14: unknown variant `moment`"),
            "{}",
            refusal(&unknown_kind)
        );
        let unreachable = CLINIC.replace("from = [\"open\"]", "from = [\"done\"]");
        assert_eq!(refusal(&unreachable), "clinic.toml:10: clinic/visits/done: no action leads to this state");
        let no_rule =
            CLINIC.replace("help = \"The visit is over.\"", "help = \"The visit is over.\"\nguard = \"is_paid\"");
        assert_eq!(refusal(&no_rule), "clinic.toml:33: clinic/visits: there is no rule named is_paid");
    }
}
