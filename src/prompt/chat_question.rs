//! A question for chat models, made unique without changing its length.

use std::sync::Arc;

use super::error::PromptError;
use super::exact_length::ExactLength;
use super::frame::Frame;
use super::named_prompt::NamedPrompt;
use super::questions::{Questions, QuestionsError};
use super::seeding;
use super::single_token_words::words_of;
use super::source::{PromptKind, PromptSource, RequestSpec, SourceOptions, shared_tokens};
use super::tokenizer::SpecialTokens;
use super::unique_prefix::UniquePrefixes;
use super::workload::Workload;
use crate::config::Settings;
use crate::dialect::{ChatCompletions, Dialect};

/// One question.
#[derive(Debug)]
pub(crate) struct ChatQuestion(pub String);

impl Workload {
    /// The questions of `INPUT_FILE` (shipped ones by default) through chat completions.
    pub fn chat() -> Workload {
        Workload::new(|config| Ok(from_input_file(config)?))
    }

    /// Questions of your own, each with its key, through chat completions.
    pub fn questions<K: Into<String>, Q: Into<String>>(
        questions: impl IntoIterator<Item = (K, Q)>,
    ) -> Workload {
        let questions = questions.into_iter().map(|(k, q)| (k.into(), q.into()));
        let questions: Vec<(String, String)> = questions.collect();
        Workload::new(move |_| Ok(questions.iter().map(|(k, q)| named(k, q)).collect()))
    }
}

fn named(key: &str, question: &str) -> NamedPrompt {
    NamedPrompt::new(key.to_owned(), ChatQuestion(question.to_owned()))
}

fn from_input_file(config: &Settings) -> Result<Vec<NamedPrompt>, QuestionsError> {
    let questions = match &config.input_file {
        Some(path) => Questions::from_file(path)?,
        None => Questions::built_in()?,
    };
    let chosen = match &config.prompt_keys {
        Some(keys) => questions.select(keys)?,
        None => questions.all().iter().collect(),
    };
    Ok(chosen.iter().map(|q| named(&q.key, &q.text)).collect())
}

impl PromptKind for ChatQuestion {
    fn dialect(&self) -> &'static dyn Dialect {
        &ChatCompletions
    }

    /// Variations of the question that all have its number of tokens, the text alone counted.
    fn source(&self, options: &SourceOptions<'_>) -> Result<Arc<dyn PromptSource>, PromptError> {
        let (question, counter) = (&*self.0, options.counter);
        let tokens = counter.count(question, SpecialTokens::None)?;
        if question.trim().is_empty() || tokens == 0 {
            return Err(PromptError::Empty);
        }
        let shared = shared_tokens(options.prefix_cache, tokens)?;
        if shared == tokens {
            return Ok(Arc::new(RequestSpec {
                prompt: question.to_owned(),
                prompt_tokens: tokens,
                output_tokens: None,
            }));
        }
        // Two questions with the same start must not get the same prefixes.
        let seed = seeding::mix(options.seed, seeding::fingerprint(question));
        let mut frame = Frame {
            counter: Arc::clone(counter),
            pool: words_of(counter)?,
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
        // At least half of a short question stays.
        let room = (tokens - shared).div_ceil(2);
        let prefixes = UniquePrefixes::new(&frame.pool, room, frame.before.is_empty(), seed);
        frame.after = longest_end(question, &cuts, from, &prefixes, &frame)?;
        Ok(Arc::new(ExactLength::new(frame, prefixes, seed)?))
    }
}

/// Where `text` can be cut without splitting a word: before each run of white space, around each
/// character of a script without spaces, and at the end.
fn cuts(text: &str) -> Vec<usize> {
    let caseless =
        |c: char| !c.is_ascii() && c.is_alphabetic() && !c.is_lowercase() && !c.is_uppercase();
    let is_cut = |before: char, c: char| {
        (c.is_whitespace() && !before.is_whitespace()) || caseless(c) || caseless(before)
    };
    let pairs = text.chars().zip(text.char_indices().skip(1));
    let inner = pairs.filter(|(before, (_, c))| is_cut(*before, *c));
    let inner = inner.map(|(_, (at, _))| at);
    inner.chain([text.len()]).collect()
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

/// The longest end of `question`, after `from`, that leaves room for what precedes it and a unique prefix.
fn longest_end(
    question: &str,
    cuts: &[usize],
    from: usize,
    prefixes: &UniquePrefixes,
    frame: &Frame,
) -> Result<String, PromptError> {
    let prefix = prefixes.words(&frame.pool, 0);
    let mut tried = frame.clone();
    for &cut in cuts.iter().filter(|&&cut| cut > from) {
        tried.after = question[cut..].to_owned();
        if frame.count(&tried.text(&prefix))? <= frame.tokens {
            return Ok(tried.after);
        }
    }
    Ok(String::new())
}

#[cfg(test)]
mod tests;
