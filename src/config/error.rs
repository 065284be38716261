//! What can be wrong with a configuration, said so that it can be mended.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::redact;

/// Why there is no [`Config`](super::Config).
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration file {}: {error}. {mend}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
        /// What to do.
        mend: &'static str,
    },
    /// The file is no JSON object.
    #[error("{origin} is not a JSON object: {what}. {mend}")]
    Syntax {
        /// The file.
        origin: Origin,
        /// The fault, with line and column.
        what: String,
        /// What to do.
        mend: &'static str,
    },
    /// Keys or variables are wrong; all of them are listed.
    #[error("{}", listed(problems))]
    Invalid {
        /// Every fault found, in the order of the table of keys.
        problems: Vec<Problem>,
    },
}

/// One wrong key or variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value stands.
    pub origin: Origin,
    /// The key of `parameters.json`, or the variable for those that are no key.
    pub key: String,
    /// What was found; secrets are left out.
    pub found: String,
    /// What is expected.
    pub expected: String,
    /// How to mend it, as a rule an example to copy.
    pub mend: String,
}

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A configuration file (or the built-in settings), by its name.
    File(String),
    /// An environment variable.
    Variable(String),
    /// An option of a command.
    Option(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::File(name) => f.write_str(name),
            Origin::Variable(name) => write!(f, "environment variable {name}"),
            Origin::Option(name) => write!(f, "option {name}"),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File(name) => write!(f, "{name}, key {}", self.key)?,
            other => write!(f, "{other}")?,
        }
        let Problem {
            found,
            expected,
            mend,
            ..
        } = self;
        // A faulty command may hold a key.
        let found = redact::hide(found);
        write!(f, ": found {found}; expected {expected}. {mend}")
    }
}

fn listed(problems: &[Problem]) -> String {
    match problems {
        [one] => one.to_string(),
        many => many.iter().fold(
            format!("the configuration has {} faults:", many.len()),
            |text, problem| format!("{text}\n  - {problem}"),
        ),
    }
}
