//! Modules from TOML files (`LOOP_MODULES_DIR`): the same values as `modules/*.rs` builds, for sectors that need no compiler.
//!
//! A file is read into the shapes below (unknown keys are refused), turned into definition values, its rules are looked up by
//! name, and [`super::soundness`] judges the result. Every refusal names file and line.

mod shapes;

use std::fmt;
use std::path::{Path, PathBuf};

use shapes::ModuleFile;

use super::module::Module;
use super::resource::Resource;
use super::rule::{Rules, resolve};
use super::soundness::{Flaw, soundness};

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
        &mut hooks.after_restore,
        &mut hooks.check,
    ] {
        resolve(hook, &rules.hook)?;
    }
    resolve(&mut hooks.before_update, &rules.change)?;
    resolve(&mut hooks.after_update, &rules.change)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::define::{Kind, Personal};

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
    fn a_file_says_what_it_tells_of_people() {
        let marked = CLINIC
            .replace("number = \"VIS\"", "number = \"VIS\"\npersonal = true\nkept_by = \"the law keeps it\"")
            .replace("[[resources.actions]]\nname = \"open\"", "[[resources.fields]]\nname = \"email\"\nkind = \"email\"\npersonal = \"contact\"\nhelp = \"Theirs.\"\n\n[[resources.actions]]\nname = \"open\"");
        let module = load_str(Path::new("clinic.toml"), &marked, &[], &Rules::default()).unwrap();
        let visits = module.find_resource("visits").unwrap();
        assert_eq!((visits.is_personal, visits.kept_by.as_deref()), (true, Some("the law keeps it")));
        assert_eq!(visits.find_field("email").unwrap().personal, Some(Personal::Contact));
        let no_link = marked.replace("personal = \"contact\"", "personal = \"subject\"");
        assert_eq!(
            refusal(&no_link),
            "clinic.toml:25: clinic/visits/email: only a reference says whom a record is about"
        );
        let no_text = CLINIC.replace("kind = \"date-time\"", "kind = \"date-time\"\npersonal = \"name\"");
        assert_eq!(
            refusal(&no_text),
            "clinic.toml:13: clinic/visits/starts_at: a name, or what a person is found by, is a text"
        );
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
