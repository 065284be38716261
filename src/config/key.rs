//! One row of the table of keys.

use serde_json::Value;

use super::draft::Draft;
use super::names::PREFIX;
use super::settings::Settings;
use super::value::Parsed;

/// One key of `parameters.json`.
#[derive(Debug)]
pub struct Key {
    /// Its name; the variable `SERVEMARK_<name>` overrides it.
    pub name: &'static str,
    /// The value of a key that is not given, as JSON. `null`, `[]` and `{}` mark keys that may be left empty.
    pub default: &'static str,
    /// A description of the valid values.
    pub expected: fn() -> String,
    /// A valid value, as JSON.
    pub example: &'static str,
    /// How the text of a variable becomes JSON.
    pub(super) syntax: Syntax,
    /// What a difference in the key means for two runs.
    pub(super) kind: KeyKind,
    /// Parses a value and stores it.
    pub(super) set: fn(&mut Draft, &Value) -> Parsed<()>,
    /// The value in run records.
    pub(super) public: Public,
}

/// The value of a setting in run records, without secrets; `None` leaves it out.
pub(super) type Public = fn(&Settings) -> Option<Value>;

/// How a variable's text becomes JSON where it is not JSON already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Syntax {
    /// As one string.
    Single,
    /// As numbers between commas.
    Numbers,
    /// As strings between commas.
    Strings,
}

/// What a difference in a setting means for two runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyKind {
    /// It is part of the workload: runs that differ in it did different work, and are not compared.
    Workload,
    /// It says where, how long or with which points a run measured: a comparison ignores it.
    Incidental,
    /// Incidental, and a path on this machine: even the ranks of one run may differ in it.
    Local,
    /// It may explain a change: a comparison reports the difference.
    Reported,
}

impl Key {
    /// Whether an empty string means that the key is not given.
    pub fn may_be_empty(&self) -> bool {
        matches!(self.default, "null" | "[]" | "{}")
    }

    /// The environment variable that overrides the key.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }
}
