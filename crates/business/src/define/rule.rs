//! [`Rule`]: a Rust function named in a definition. In Rust it is given as the function itself; in TOML by name, and looked up in [`Rules`].

use std::collections::BTreeMap;
use std::fmt;

use loopd_store::Value;
use loopd_types::Result;
use serde_json::Value as Json;

use crate::engine::{Cx, Input, Line, Record, Viewer};

/// Computes one field from the rest of the record. Pure: the same record gives the same value.
pub type DeriveFn = fn(&Record) -> Value;
/// Computes the read-only fields of one line of a record; the record's own fields are readable, its lines are not.
pub type LineFn = fn(&Record, &mut Line) -> Result<()>;
/// Runs in the transaction around one write of one record; may change it (before) or do more work (after), or refuse.
pub type HookFn = fn(&mut Cx<'_, '_>, &mut Record) -> Result<()>;
/// As [`HookFn`], for changes: the record as it was, then as it will be.
pub type ChangeFn = fn(&mut Cx<'_, '_>, &Record, &mut Record) -> Result<()>;
/// Runs in the transaction of an action; gets the action's checked input.
pub type ActionFn = fn(&mut Cx<'_, '_>, &mut Record, &Input) -> Result<()>;
/// A custom operation that writes: runs in one transaction and answers with JSON.
pub type WriteFn = fn(&mut Cx<'_, '_>, &Input) -> Result<Json>;
/// A custom operation that only reads: runs on one snapshot and answers with JSON.
pub type ReadFn = fn(&mut Viewer<'_, '_>, &Input) -> Result<Json>;

/// A named function of a definition.
#[derive(Clone)]
pub struct Rule<F> {
    /// How TOML, messages and documents call it.
    pub name: String,
    /// Absent between reading a TOML file and [`Rules`] being asked.
    pub run: Option<F>,
}

impl<F: Copy> Rule<F> {
    /// A rule given as the function itself.
    pub fn of(run: F) -> Self {
        Self { name: String::from("(rust)"), run: Some(run) }
    }
    pub(crate) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), run: None }
    }
}

impl<F> fmt::Debug for Rule<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rule({})", self.name)
    }
}

/// The functions that TOML definitions may name.
#[derive(Clone, Default)]
pub struct Rules {
    pub(crate) derive: BTreeMap<&'static str, DeriveFn>,
    pub(crate) line: BTreeMap<&'static str, LineFn>,
    pub(crate) hook: BTreeMap<&'static str, HookFn>,
    pub(crate) change: BTreeMap<&'static str, ChangeFn>,
    pub(crate) action: BTreeMap<&'static str, ActionFn>,
}

impl Rules {
    pub fn derive(mut self, name: &'static str, run: DeriveFn) -> Self {
        self.derive.insert(name, run);
        self
    }
    pub fn line(mut self, name: &'static str, run: LineFn) -> Self {
        self.line.insert(name, run);
        self
    }
    pub fn hook(mut self, name: &'static str, run: HookFn) -> Self {
        self.hook.insert(name, run);
        self
    }
    pub fn change(mut self, name: &'static str, run: ChangeFn) -> Self {
        self.change.insert(name, run);
        self
    }
    pub fn action(mut self, name: &'static str, run: ActionFn) -> Self {
        self.action.insert(name, run);
        self
    }
}

/// Fills in a rule that TOML gave by name; the name comes back when nobody knows it.
pub(crate) fn resolve<F: Copy>(rule: &mut Option<Rule<F>>, known: &BTreeMap<&'static str, F>) -> Result<(), String> {
    match rule {
        Some(rule) if rule.run.is_none() => match known.get(rule.name.as_str()) {
            Some(run) => {
                rule.run = Some(*run);
                Ok(())
            }
            None => Err(rule.name.clone()),
        },
        _ => Ok(()),
    }
}
