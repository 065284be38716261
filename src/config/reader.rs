//! Takes keys one by one from the variable, the file or the default, and collects the problems.

use std::collections::HashSet;

use serde::de::{Deserializer as _, MapAccess, Visitor};
use serde_json::Value;

use super::api_key::ApiKey;
use super::draft::Draft;
use super::error::{ConfigError, Problem, ValueOrigin};
use super::key::Key;
use super::names::nearest;
use super::overrides::{Config, Override};
use super::settings::{ConfigSource, Settings};
use super::{env, keys};

pub(super) struct SettingsReader<'a> {
    source: &'a ConfigSource,
    entries: Vec<(String, Value)>,
    env: &'a dyn Fn(&str) -> Option<String>,
    overrides: &'a Config,
    problems: Vec<Problem>,
}

impl<'a> SettingsReader<'a> {
    pub(super) fn new(
        source: &'a ConfigSource,
        text: &str,
        env: &'a dyn Fn(&str) -> Option<String>,
        overrides: &'a Config,
    ) -> Result<SettingsReader<'a>, ConfigError> {
        let mut reader = SettingsReader {
            source,
            entries: entries(source, text)?,
            env,
            overrides,
            problems: Vec::new(),
        };
        reader.check_names();
        Ok(reader)
    }

    /// The value of a variable, unless it is empty.
    pub(super) fn env(&self, name: &str) -> Option<String> {
        (self.env)(name).filter(|text| !text.trim().is_empty())
    }

    /// The secret key that a variable holds, or a description of what it holds instead.
    pub(super) fn api_key(&self, name: &str) -> Option<Result<ApiKey, String>> {
        let key = ApiKey::new(&self.env(name)?);
        Some(key.map_err(|error| format!("a value that cannot be a key ({error})")))
    }

    pub(super) fn report(&mut self, problem: Problem) {
        self.problems.push(problem);
    }

    /// Whether the value of `key` was invalid.
    pub(super) fn is_invalid(&self, key: &Key) -> bool {
        self.problems.iter().any(|problem| problem.key == key.name)
    }

    /// `config`, unless there were problems.
    pub(super) fn finish(self, config: Settings) -> Result<Settings, ConfigError> {
        match self.problems.is_empty() {
            true => Ok(config),
            false => Err(ConfigError::Invalid {
                problems: self.problems,
            }),
        }
    }

    /// Reads every key, however many are invalid, so that all problems are found at once.
    pub(super) fn read_all(&mut self, draft: &mut Draft) {
        for key in keys::ALL {
            self.read(key, draft);
        }
    }

    /// Stores the value given for a key, or its default. Reports an invalid value.
    fn read(&mut self, key: &Key, draft: &mut Draft) {
        let given = self.given(key);
        let is_default = given.is_none();
        let readings = given.unwrap_or_else(|| vec![default(key)]);
        if is_default && readings == [Value::Null] {
            return;
        }
        // A path in the file starts from the file's directory, any other from the current one.
        draft.base = match self.origin(key) {
            ValueOrigin::File(_) => self.source.directory().map(|path| path.to_owned()),
            _ => None,
        };
        let mut first_fault = None;
        for reading in &readings {
            match (key.set)(draft, reading) {
                Ok(()) => return,
                Err(fault) => first_fault = first_fault.or(Some(fault.found)),
            }
        }
        self.report_value(key, first_fault.unwrap_or_default());
    }

    /// Where the value of a key comes from, if it is given: an option or the program, else the variable, else the file.
    fn origin(&self, key: &Key) -> ValueOrigin {
        let variable = key.variable();
        match self.overrides.of(key) {
            Some(Override::Option(flag)) => ValueOrigin::Option(flag.option.to_owned()),
            Some(Override::Program(_)) => ValueOrigin::Program,
            None if (self.env)(&variable).is_some() => ValueOrigin::Variable(variable),
            None => ValueOrigin::File(self.source.to_string()),
        }
    }

    /// The value given for a key, in its possible readings.
    fn given(&self, key: &Key) -> Option<Vec<Value>> {
        let variable = || (self.env)(&key.variable());
        let value = match self.overrides.of(key) {
            Some(Override::Option(flag)) => return env::readings(key, &flag.value),
            Some(Override::Program(value)) => value,
            None => match variable() {
                Some(text) => return env::readings(key, &text),
                None => &self.entries.iter().find(|(name, _)| name == key.name)?.1,
            },
        };
        let empty = match value {
            Value::Null => true,
            Value::String(text) => text.is_empty() && key.may_be_empty(),
            _ => false,
        };
        (!empty).then(|| vec![value.clone()])
    }

    /// Reports an invalid value of `key`, with an example in the syntax of its origin.
    pub(super) fn report_value(&mut self, key: &Key, found: String) {
        let origin = self.origin(key);
        let example = match (&origin, self.overrides.of(key)) {
            (ValueOrigin::Option(name), Some(Override::Option(flag))) => {
                format!("{name} {}", flag.example)
            }
            (ValueOrigin::Variable(name), _) => {
                let plain = key.example.trim_matches('"');
                let quote = match plain.contains(['"', '{', '[']) {
                    true => "'",
                    false => "",
                };
                format!("{name}={quote}{plain}{quote}")
            }
            (ValueOrigin::Program, _) => format!("the JSON value {}", key.example),
            _ => format!("\"{}\": {}", key.name, key.example),
        };
        self.report(Problem {
            origin,
            key: key.name.to_owned(),
            found,
            expected: (key.expected)(),
            hint: format!("For example: {example}"),
        });
    }

    fn check_names(&mut self) {
        let is_known = |name: &str| keys::names().any(|known| known == name);
        let problem = |origin, name: &str, found: &str, (expected, hint)| Problem {
            origin,
            key: name.to_owned(),
            found: found.to_owned(),
            expected,
            hint,
        };
        let mut seen = HashSet::new();
        for (name, _) in &self.entries {
            let origin = ValueOrigin::File(self.source.to_string());
            if !is_known(name) {
                let instead = instead_of(name);
                self.problems
                    .push(problem(origin, name, "an unknown key", instead));
            } else if !seen.insert(name) {
                let once = (
                    "each key once".to_owned(),
                    "Remove one of the two.".to_owned(),
                );
                self.problems
                    .push(problem(origin, name, "the key twice", once));
            }
        }
        for name in self.overrides.program_keys().filter(|name| !is_known(name)) {
            let (origin, instead) = (ValueOrigin::Program, instead_of(name));
            self.problems
                .push(problem(origin, name, "an unknown key", instead));
        }
    }
}

/// What is expected in place of an unknown key, and a hint.
fn instead_of(name: &str) -> (String, String) {
    let upper = name.to_ascii_uppercase();
    if upper.contains("API_KEY") || upper.contains("TOKEN") && upper.contains("AUTH") {
        return (
            "no secrets in the file".to_owned(),
            "Remove the key and set the environment variable OPENAI_API_KEY.".to_owned(),
        );
    }
    match nearest(name, keys::names()) {
        Some(nearest) => (
            format!("the key {nearest}"),
            format!("Did you mean \"{nearest}\"? Rename the key or remove it."),
        ),
        None => (
            format!("one of {}", Vec::from_iter(keys::names()).join(", ")),
            "Remove the key.".to_owned(),
        ),
    }
}

fn default(key: &Key) -> Value {
    serde_json::from_str(key.default).unwrap_or_default()
}

/// The file's keys in order; duplicates are kept.
fn entries(source: &ConfigSource, text: &str) -> Result<Vec<(String, Value)>, ConfigError> {
    let text = text.trim_start_matches('\u{feff}');
    let syntax = |what: String, hint| ConfigError::Syntax {
        origin: ValueOrigin::File(source.to_string()),
        what,
        hint,
    };
    if text.trim().is_empty() {
        return Err(syntax(
            "it is empty".to_owned(),
            "If you need no settings, write {}.",
        ));
    }
    let mut json = serde_json::Deserializer::from_str(text);
    json.deserialize_map(Entries)
        .and_then(|entries| json.end().map(|()| entries))
        .map_err(|error| {
            syntax(
                error.to_string(),
                "JSON has no comments and no comma after the last entry; strings and keys are in double quotes.",
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
