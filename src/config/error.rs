//! Errors of a configuration.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::redact;

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {error}. {hint}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        #[source]
        error: io::Error,
        /// How to fix it.
        hint: &'static str,
    },
    /// The file is not a JSON object.
    #[error("{origin} is not a JSON object: {what}. {hint}")]
    Syntax {
        /// The file.
        origin: ValueOrigin,
        /// The error, with line and column.
        what: String,
        /// How to fix it.
        hint: &'static str,
    },
    /// Keys or variables are invalid; all are listed.
    #[error("{}", listed(problems))]
    Invalid {
        /// Every problem, in the order of the table of keys.
        problems: Vec<Problem>,
    },
}

/// One invalid key or variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value comes from.
    pub origin: ValueOrigin,
    /// The key of `parameters.json`, or a variable that is not a key.
    pub key: String,
    /// What was found; secrets are left out.
    pub found: String,
    /// What is expected.
    pub expected: String,
    /// How to fix it, usually an example to copy.
    pub hint: String,
}

impl Problem {
    /// A problem of a variable that is not a key.
    pub(super) fn of_variable(
        name: &str,
        found: impl Into<String>,
        expected: &str,
        hint: impl Into<String>,
    ) -> Problem {
        Problem {
            origin: ValueOrigin::Variable(name.to_owned()),
            key: name.to_owned(),
            found: found.into(),
            expected: expected.to_owned(),
            hint: hint.into(),
        }
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueOrigin {
    /// A configuration file (or the built-in settings), by its name.
    File(String),
    /// An environment variable.
    Variable(String),
    /// An option of a command.
    Option(String),
    /// The program, through [`Config::set`](super::Config::set).
    Program,
}

impl fmt::Display for ValueOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValueOrigin::File(name) => f.write_str(name),
            ValueOrigin::Variable(name) => write!(f, "environment variable {name}"),
            ValueOrigin::Option(name) => write!(f, "option {name}"),
            ValueOrigin::Program => f.write_str("the program"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            origin @ (ValueOrigin::File(_) | ValueOrigin::Program) => {
                write!(f, "{origin}, key {}", self.key)?
            }
            other => write!(f, "{other}")?,
        }
        let Problem {
            found,
            expected,
            hint,
            ..
        } = self;
        // An invalid command may hold a key.
        let found = redact::hide(found);
        write!(f, ": found {found}; expected {expected}. {hint}")
    }
}

fn listed(problems: &[Problem]) -> String {
    match problems {
        [one] => one.to_string(),
        many => many.iter().fold(
            format!("the configuration has {} problems:", many.len()),
            |text, problem| format!("{text}\n  - {problem}"),
        ),
    }
}
