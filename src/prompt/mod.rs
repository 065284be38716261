//! What is sent to the model: real questions for chat models, random words for pretrained ones,
//! each prompt of an exactly known number of tokens.
//!
//! Prompt `index` of a [`PromptSource`] is a pure function of the seed and the index: equal seeds
//! give equal runs. For the same reason an index used twice, or a seed used twice against a server
//! that was not restarted, sends prompts that the server may still hold in its prefix cache; so
//! number the requests of a run through, over all its load levels.

mod chat;
mod composer;
mod heads;
mod random;
mod seeding;
#[cfg(test)]
mod testing;
mod tokenizer;
mod words;

use std::{num::NonZeroUsize, sync::Arc};

use crate::config::PrefixCache;
use composer::Composer;

pub use chat::{Question, Questions, QuestionsError, QuestionsOrigin};
#[cfg(feature = "cli")]
pub(crate) use tokenizer::PROBE_LIMIT;
pub use tokenizer::{
    Loaded, ServerTokenizer, SpecialTokens, TokenCounter, TokenizeError, TokenizerLookup,
    TokenizerSource, shipped_tokenizer,
};

/// One prompt, ready to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The text.
    pub text: String,
    /// Its length in tokens as counted on this side: for random prompts with the special tokens
    /// that `/v1/completions` adds, for chat without them and without the chat template.
    pub tokens: usize,
}

/// Why a prompt could not be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PromptError {
    /// Tokens could not be counted.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    /// The question to vary is empty.
    #[error("the question is empty; every key of the input file needs a text")]
    Empty,
    /// The shared fraction is not one.
    #[error("PREFIX_CACHE: {0} is not a fraction between 0 and 1")]
    Fraction(f64),
    /// The tokenizer's own special tokens already take up the length asked for.
    #[error(
        "a prompt of {wanted} token(s) is impossible: {special_tokens} special token(s) are added to every text by the {tokenizer}; set RANDOM_PROMPT_LENGTH to {} or more",
        special_tokens + 1
    )]
    TooShort {
        /// Tokens asked for.
        wanted: usize,
        /// Special tokens in every text.
        special_tokens: usize,
        /// The tokenizer.
        tokenizer: TokenizerSource,
    },
    /// The tokenizer has nothing to make prompts of.
    #[error(
        "{tokenizer}: no word to make prompts of ({candidates} ASCII vocabulary entries of more than two characters, none of them one token between spaces); set TOKENIZER_PATH to the model's own tokenizer.json, or for chat PREFIX_CACHE to \"allow\""
    )]
    NoWords {
        /// The tokenizer.
        tokenizer: TokenizerSource,
        /// Entries that were considered.
        candidates: usize,
    },
    /// No combination of words that was tried has the length asked for.
    #[error(
        "no prompt of exactly {wanted} tokens found; the nearest had {nearest}, counted by {tokenizer}; try another length"
    )]
    Inexact {
        /// Tokens asked for.
        wanted: usize,
        /// Tokens of the nearest attempt.
        nearest: usize,
        /// The tokenizer.
        tokenizer: TokenizerSource,
    },
}

/// An endless series of prompts of one length, which can be used from several threads.
///
/// What the prompts have in common follows from the [`PrefixCache`] policy:
///
/// - `Bust`: each prompt starts with words of its own, within the first 12 tokens, so that no block
///   of 16 tokens is ever the same. In a chat prompt they *replace* the question's first tokens, the
///   length stays the question's. The heads of a series repeat only after 2⁴⁰ prompts; for a prompt
///   of few tokens earlier, after all combinations of the words that fit (of a question of up to
///   seven tokens, at most half are replaced, rounded up), so one-token prompts do repeat. A chat
///   template's own start, before the question, is the same for every request whatever is done here,
///   so the few blocks it fills can still be reused.
/// - `Allow`: the same prompt every time.
/// - `Shared(f)`: the first `f` of the tokens are the same for all, rounded to whole tokens but
///   leaving at least one to differ; then follows what `Bust` puts at the start. In a random prompt
///   all the rest differs; in a chat prompt the rest of the question follows.
///
/// Where a server counts ([`ServerTokenizer`]), the first construction takes a few hundred short requests,
/// each later one about a hundred, a few at a time; a prompt takes none, so that a server under load is
/// asked nothing. [`PromptSource::warning`] says where lengths are not exact for that reason.
#[derive(Debug)]
pub struct PromptSource {
    label: String,
    tokens: usize,
    series: Series,
}

#[derive(Debug)]
enum Series {
    Same(String),
    Unique(Composer),
}

impl PromptSource {
    /// Variations of a chat question, all of its length.
    ///
    /// # Errors
    /// If tokens cannot be counted, the question is empty, or the policy's fraction is out of range;
    /// if the tokenizer offers no words or no combination that keeps the length.
    pub fn chat(
        question: &str,
        policy: PrefixCache,
        seed: u64,
        counter: &Arc<TokenCounter>,
    ) -> Result<Self, PromptError> {
        let (series, tokens) = chat::series(question, policy, seed, counter)?;
        Ok(Self {
            label: format!("question of {tokens} tokens, {}", describe(policy)),
            tokens,
            series,
        })
    }

    /// Random words, exactly `length` tokens with the special tokens that the server adds.
    ///
    /// # Errors
    /// As [`PromptSource::chat`], and if the special tokens alone reach `length`.
    pub fn random(
        length: NonZeroUsize,
        policy: PrefixCache,
        seed: u64,
        counter: &Arc<TokenCounter>,
    ) -> Result<Self, PromptError> {
        Ok(Self {
            label: format!("{length} random tokens, {}", describe(policy)),
            tokens: length.get(),
            series: random::series(length, policy, seed, counter)?,
        })
    }

    /// Prompt number `index`.
    ///
    /// # Errors
    /// If no combination of words that was tried for this index has the exact length.
    pub fn prompt(&self, index: u64) -> Result<Prompt, PromptError> {
        match &self.series {
            Series::Same(text) => Ok(Prompt {
                text: text.clone(),
                tokens: self.tokens,
            }),
            Series::Unique(composer) => composer.compose(index),
        }
    }

    /// Tokens of every prompt of this source, counted as [`Prompt::tokens`] says.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// What a user must know of the prompts' lengths, where they are not exact.
    pub fn warning(&self) -> Option<String> {
        match &self.series {
            Series::Same(_) => None,
            Series::Unique(composer) => composer.sample()?.problem(),
        }
    }

    /// What the prompts are, for reports.
    pub fn label(&self) -> &str {
        &self.label
    }
}

fn describe(policy: PrefixCache) -> String {
    match policy {
        PrefixCache::Bust => "each unique".to_owned(),
        PrefixCache::Allow => "always the same".to_owned(),
        PrefixCache::Shared(fraction) => format!("{}% shared", fraction * 100.0),
    }
}

/// How many of `tokens` are the same for all requests.
fn shared_tokens(policy: PrefixCache, tokens: usize) -> Result<usize, PromptError> {
    match policy {
        PrefixCache::Bust => Ok(0),
        PrefixCache::Allow => Ok(tokens),
        PrefixCache::Shared(1.0) => Ok(tokens),
        PrefixCache::Shared(fraction) if (0.0..1.0).contains(&fraction) => {
            let shared = (fraction * tokens as f64).round() as usize;
            Ok(shared.min(tokens.saturating_sub(1)))
        }
        PrefixCache::Shared(fraction) => Err(PromptError::Fraction(fraction)),
    }
}
