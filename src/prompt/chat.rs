//! Questions for chat models, and how a question is made unique without changing its length.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::Value;

use super::{
    PromptError, Series,
    composer::{Composer, Frame},
    heads::Heads,
    seeding,
    tokenizer::{SpecialTokens, TokenCounter},
};
use crate::config::PrefixCache;

const BUILT_IN: &str = include_str!("../../fixtures/input.jsonl");

/// Where questions were read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuestionsOrigin {
    /// A file of the user's.
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
        /// What the system said.
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
    /// One of the questions is not a text.
    #[error("{origin}, key \"{key}\": found {found}, expected a question in quotation marks")]
    NotAQuestion {
        /// Where it was read from.
        origin: QuestionsOrigin,
        /// The question's key.
        key: String,
        /// What was found instead.
        found: String,
    },
    /// A question was asked for that does not exist.
    #[error("{origin} has no key \"{key}\"; it has {}", existing.join(", "))]
    NoSuchKey {
        /// Where the questions were read from.
        origin: QuestionsOrigin,
        /// The key asked for.
        key: String,
        /// The keys there are, in file order.
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
    /// None in practice: a test reads the shipped file.
    pub fn built_in() -> Result<Self, QuestionsError> {
        Self::parse(BUILT_IN, QuestionsOrigin::BuiltIn)
    }

    /// Reads a file that holds one JSON object of questions by key (customarily called
    /// `input.jsonl`, despite holding one object).
    ///
    /// # Errors
    /// Names the file, and the key where one is at fault.
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

    /// Where the questions were read from.
    pub fn origin(&self) -> &QuestionsOrigin {
        &self.origin
    }

    /// All questions in file order.
    pub fn all(&self) -> &[Question] {
        &self.questions
    }

    /// The question named `key`.
    ///
    /// # Errors
    /// [`QuestionsError::NoSuchKey`], which lists the keys there are.
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

/// Plans variations of `question` that all have its number of tokens, the text alone counted.
/// Gives that number too.
pub(super) fn series(
    question: &str,
    policy: PrefixCache,
    seed: u64,
    counter: &Arc<TokenCounter>,
) -> Result<(Series, usize), PromptError> {
    let tokens = counter.count(question, SpecialTokens::None)?;
    if question.trim().is_empty() || tokens == 0 {
        return Err(PromptError::Empty);
    }
    let shared = super::shared_tokens(policy, tokens)?;
    if shared == tokens {
        return Ok((Series::Same(question.to_owned()), tokens));
    }
    // Two questions that begin alike must not get the same heads.
    let seed = seeding::mix(seed, seeding::fingerprint(question));
    let mut frame = Frame {
        counter: Arc::clone(counter),
        pool: counter.words()?,
        special: SpecialTokens::None,
        before: String::new(),
        after: String::new(),
        tokens: shared,
    };
    let cuts = cuts(question);
    let mut from = 0;
    if shared > 0 {
        from = longest_start(question, &cuts, &frame)?;
        frame.before = question[..from].to_owned();
        frame.before = frame.constant(seed)?;
    }
    frame.tokens = tokens;
    // Leave half of a short question as it is, so that it stays one in parts.
    let room = (tokens - shared).div_ceil(2);
    let heads = Heads::new(&frame.pool, room, frame.before.is_empty(), seed);
    frame.after = longest_end(question, &cuts, from, &heads, &frame)?;
    Composer::new(frame, heads, seed).map(|composer| (Series::Unique(composer), tokens))
}

/// Where `text` can be cut without splitting a word: before each run of white space, around each
/// character of a script without spaces, and at the end.
fn cuts(text: &str) -> Vec<usize> {
    let caseless =
        |c: char| !c.is_ascii() && c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase();
    let mut previous: Option<char> = None;
    let mut cuts = Vec::new();
    for (at, c) in text.char_indices() {
        if let Some(before) = previous {
            let space_begins = c.is_whitespace() && !before.is_whitespace();
            if space_begins || caseless(c) || caseless(before) {
                cuts.push(at);
            }
        }
        previous = Some(c);
    }
    cuts.push(text.len());
    cuts
}

/// The last cut before which `question` has at most `frame.tokens` tokens, or 0.
fn longest_start(question: &str, cuts: &[usize], frame: &Frame) -> Result<usize, PromptError> {
    let (mut low, mut high) = (0, cuts.len());
    while low < high {
        let middle = low + (high - low) / 2;
        if frame.count(&question[..cuts[middle]])? <= frame.tokens {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    Ok(if low == 0 { 0 } else { cuts[low - 1] })
}

/// The longest end of `question`, after `from`, that leaves room for what precedes it and a head.
fn longest_end(
    question: &str,
    cuts: &[usize],
    from: usize,
    heads: &Heads,
    frame: &Frame,
) -> Result<String, PromptError> {
    let head = heads.words(&frame.pool, 0);
    let mut tried = frame.clone();
    for &cut in cuts.iter().filter(|&&cut| cut > from) {
        tried.after = question[cut..].to_owned();
        if frame.count(&tried.text(&head))? <= frame.tokens {
            return Ok(tried.after);
        }
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests;
