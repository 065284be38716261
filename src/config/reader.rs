//! Takes keys one by one from the variable, the file or the default, and gathers the faults.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::Value;

use super::error::{ConfigError, Origin, Problem};
use super::keys::{self, Key};
use super::value::Fault;
use super::{ConfigSource, env};

pub(super) struct Reader<'a> {
    source: &'a ConfigSource,
    entries: Vec<(String, Value)>,
    env: &'a dyn Fn(&str) -> Option<String>,
    problems: Vec<Problem>,
}

/// A value that was given, in its possible readings, and where it stands.
struct Given {
    readings: Vec<Value>,
    variable: Option<String>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(
        source: &'a ConfigSource,
        text: &str,
        env: &'a dyn Fn(&str) -> Option<String>,
    ) -> Result<Reader<'a>, ConfigError> {
        let entries = entries(source, text)?;
        let mut reader = Reader {
            source,
            entries,
            env,
            problems: Vec::new(),
        };
        reader.check_names();
        Ok(reader)
    }

    pub(super) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|text| !text.trim().is_empty())
    }

    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// `value` if no fault was found on the way to it.
    pub(super) fn finish<T>(self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.problems.is_empty() => Ok(value),
            _ => Err(ConfigError::Invalid {
                problems: self.problems,
            }),
        }
    }

    /// The value given for a key, or its default. `None` if the value is wrong, which is then
    /// reported.
    pub(super) fn value<T>(
        &mut self,
        key: &Key,
        parse: impl Fn(&Value) -> Result<T, Fault>,
    ) -> Option<T> {
        let given = self.given(key).unwrap_or_else(|| Given {
            readings: vec![default(key)],
            variable: None,
        });
        self.parse(key, given, parse)
    }

    /// The value given for a key that has no default. The outer `None` is a wrong value.
    pub(super) fn optional<T>(
        &mut self,
        key: &Key,
        parse: impl Fn(&Value) -> Result<T, Fault>,
    ) -> Option<Option<T>> {
        match self.given(key) {
            Some(given) => self.parse(key, given, parse).map(Some),
            None => Some(None),
        }
    }

    /// A path. In a file it starts from the file's directory, in a variable from the current one.
    pub(super) fn path(&mut self, key: &Key) -> Option<Option<PathBuf>> {
        let from_file = self.variable(key).is_none();
        let path = self.optional(key, super::value::text)?.map(PathBuf::from);
        Some(path.map(|path| match self.source.directory() {
            Some(directory) if from_file => directory.join(path),
            _ => path,
        }))
    }

    fn variable(&self, key: &Key) -> Option<String> {
        (self.env)(&key.variable())
    }

    fn given(&self, key: &Key) -> Option<Given> {
        if let Some(text) = self.variable(key) {
            return env::readings(key, &text).map(|readings| Given {
                readings,
                variable: Some(key.variable()),
            });
        }
        let (_, value) = self.entries.iter().find(|(name, _)| name == key.name)?;
        let empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty() && key.may_be_empty(),
            _ => false,
        };
        (!empty).then(|| Given {
            readings: vec![value.clone()],
            variable: None,
        })
    }

    fn parse<T>(
        &mut self,
        key: &Key,
        given: Given,
        parse: impl Fn(&Value) -> Result<T, Fault>,
    ) -> Option<T> {
        let mut first_fault = None;
        for reading in &given.readings {
            match parse(reading) {
                Ok(value) => return Some(value),
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
        }
        let found = first_fault.map_or_else(|| "nothing".to_owned(), |fault| fault.found);
        let problem = self.problem(key, given.variable.is_some(), found);
        self.report(problem);
        None
    }

    /// A fault of `key`, with the example in the form its place needs.
    pub(super) fn problem(&self, key: &Key, in_variable: bool, found: String) -> Problem {
        let (origin, example) = if in_variable {
            let plain = key.example.trim_matches('"');
            let quote = if plain.contains(['"', '{', '[']) {
                "'"
            } else {
                ""
            };
            let variable = key.variable();
            let example = format!("{variable}={quote}{plain}{quote}");
            (Origin::Variable(variable), example)
        } else {
            let example = format!("\"{}\": {}", key.name, key.example);
            (Origin::File(self.source.to_string()), example)
        };
        Problem {
            origin,
            key: key.name.to_owned(),
            found,
            expected: key.expected.to_owned(),
            mend: format!("For example: {example}"),
        }
    }

    fn check_names(&mut self) {
        let mut seen = HashSet::new();
        let mut problems = Vec::new();
        for (name, _) in &self.entries {
            let known = keys::ALL.iter().any(|key| key.name == name);
            let (found, expected, mend) = if known && seen.insert(name) {
                continue;
            } else if known {
                (
                    "the key twice",
                    "each key once".to_owned(),
                    "Remove one of the two.".to_owned(),
                )
            } else {
                let (expected, mend) = instead_of(name);
                ("an unknown key", expected, mend)
            };
            problems.push(Problem {
                origin: Origin::File(self.source.to_string()),
                key: name.clone(),
                found: found.to_owned(),
                expected,
                mend,
            });
        }
        self.problems.extend(problems);
    }
}

/// What is expected in place of an unknown key, and how to mend it.
fn instead_of(name: &str) -> (String, String) {
    let upper = name.to_ascii_uppercase();
    if upper.contains("API_KEY") || upper.contains("TOKEN") && upper.contains("AUTH") {
        return (
            "no secrets in the file".to_owned(),
            "Remove the key and set the environment variable OPENAI_API_KEY.".to_owned(),
        );
    }
    match keys::nearest(name, keys::ALL.iter().map(|key| key.name)) {
        Some(nearest) => (
            format!("the key {nearest}"),
            format!("Did you mean \"{nearest}\"? Rename the key or remove it."),
        ),
        None => {
            let names: Vec<_> = keys::ALL.iter().map(|key| key.name).collect();
            (
                format!("one of {}", names.join(", ")),
                "Remove the key.".to_owned(),
            )
        }
    }
}

fn default(key: &Key) -> Value {
    serde_json::from_str(key.default).unwrap_or_default()
}

/// The file's keys in its order; a key given twice is there twice.
fn entries(source: &ConfigSource, text: &str) -> Result<Vec<(String, Value)>, ConfigError> {
    let text = text.trim_start_matches('\u{feff}');
    let syntax = |what: String, mend| ConfigError::Syntax {
        origin: Origin::File(source.to_string()),
        what,
        mend,
    };
    if text.trim().is_empty() {
        return Err(syntax(
            "it is empty".to_owned(),
            "For no settings of your own write {}.",
        ));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Entries)
        .and_then(|entries| json.end().map(|()| entries))
        .map_err(|error| {
            syntax(
                error.to_string(),
                "JSON has no comments and no comma after the last entry; strings and keys stand in double quotes.",
            )
        })
}

struct Entries;

impl<'de> Visitor<'de> for Entries {
    type Value = Vec<(String, Value)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object of settings, {\"MAX_NEW_TOKENS\": 256, …}")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(entries)
    }
}
