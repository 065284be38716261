//! The file of questions for chat models.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

const BUILT_IN: &str = include_str!("../../fixtures/input.jsonl");

/// Where questions were read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuestionsOrigin {
    /// The user's file.
    File(PathBuf),
    /// The questions shipped with this crate.
    BuiltIn,
}

impl fmt::Display for QuestionsOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::BuiltIn => f.write_str("built-in questions"),
        }
    }
}

/// Why questions could not be read.
#[derive(Debug, thiserror::Error)]
pub enum QuestionsError {
    /// The file cannot be read.
    #[error("INPUT_FILE {}: {error}; give a JSON file of questions, or remove the key to use the built-in ones", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The reason of the operating system.
        error: std::io::Error,
    },
    /// The content is not one JSON object.
    #[error(
        "{origin}: {reason}; expected one JSON object such as {{\"25\": \"a question\", \"1k\": \"a long one\"}}"
    )]
    NotAnObject {
        /// Where it was read from.
        origin: QuestionsOrigin,
        /// What was found instead.
        reason: String,
    },
    /// A question is not a string.
    #[error("{origin}, key \"{key}\": found {found}, expected a question in quotation marks")]
    NotAQuestion {
        /// Where it was read from.
        origin: QuestionsOrigin,
        /// The question's key.
        key: String,
        /// What was found instead.
        found: String,
    },
    /// The file has no question with this key.
    #[error("{origin} has no key \"{key}\"; it has {}", existing.join(", "))]
    NoSuchKey {
        /// Where the questions were read from.
        origin: QuestionsOrigin,
        /// The missing key.
        key: String,
        /// The existing keys, in file order.
        existing: Vec<String>,
    },
}

/// One question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Its name, by custom its approximate length in tokens, such as `25` or `1k`.
    pub key: String,
    /// The question itself.
    pub text: String,
}

/// The questions of one file, in its order; never empty.
#[derive(Clone, Debug)]
pub struct Questions {
    origin: QuestionsOrigin,
    questions: Vec<Question>,
}

impl Questions {
    /// The questions shipped with this crate: `5, 25, 50, 100, 500, 1k, 2k, 4k`.
    ///
    /// # Errors
    /// Never in practice: a test reads the shipped file.
    pub fn built_in() -> Result<Self, QuestionsError> {
        Self::parse(BUILT_IN, QuestionsOrigin::BuiltIn)
    }

    /// Reads a file that holds one JSON object of questions by key (customarily called
    /// `input.jsonl`, despite holding one object).
    ///
    /// # Errors
    /// [`QuestionsError`], which names the file and the invalid key.
    pub fn from_file(path: &Path) -> Result<Self, QuestionsError> {
        let text = fs::read_to_string(path).map_err(|error| QuestionsError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        Self::parse(&text, QuestionsOrigin::File(path.to_owned()))
    }

    pub(crate) fn parse(text: &str, origin: QuestionsOrigin) -> Result<Self, QuestionsError> {
        let not_an_object = |reason: String| QuestionsError::NotAnObject {
            origin: origin.clone(),
            reason,
        };
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let entries = match serde_json::from_str(text) {
            Ok(Value::Object(entries)) if entries.is_empty() => {
                return Err(not_an_object("holds no question".to_owned()));
            }
            Ok(Value::Object(entries)) => entries,
            Ok(other) => return Err(not_an_object(format!("is {}", kind_of(&other)))),
            Err(error) => return Err(not_an_object(format!("is not JSON ({error})"))),
        };
        let questions = entries
            .into_iter()
            .map(|(key, value)| match value {
                Value::String(text) if !text.trim().is_empty() => Ok(Question { key, text }),
                other => Err(QuestionsError::NotAQuestion {
                    origin: origin.clone(),
                    key,
                    found: kind_of(&other).to_owned(),
                }),
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { origin, questions })
    }

    /// All questions in file order.
    pub fn all(&self) -> &[Question] {
        &self.questions
    }

    /// The question named `key`.
    ///
    /// # Errors
    /// [`QuestionsError::NoSuchKey`], which lists the existing keys.
    pub fn get(&self, key: &str) -> Result<&Question, QuestionsError> {
        self.questions
            .iter()
            .find(|question| question.key == key)
            .ok_or_else(|| QuestionsError::NoSuchKey {
                origin: self.origin.clone(),
                key: key.to_owned(),
                existing: self.questions.iter().map(|q| q.key.clone()).collect(),
            })
    }

    /// The questions named by `keys`, in that order.
    ///
    /// # Errors
    /// As [`Questions::get`], for the first key that does not exist.
    pub fn select(&self, keys: &[String]) -> Result<Vec<&Question>, QuestionsError> {
        keys.iter().map(|key| self.get(key)).collect()
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "an empty text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests;
