//! The seam between what is asked and how it is sent: kinds of prompt, and the requests that they make.

use std::fmt::Debug;
use std::num::NonZeroU32;
use std::sync::Arc;

use serde_json::Value;

use super::error::PromptError;
use super::lengths::{RequestLengths, TokenRange};
use super::tokenizer::TokenCounter;
use crate::config::PrefixCache;
use crate::dialect::Dialect;

/// What one request asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestSpec {
    /// The text of the prompt.
    pub prompt: String,
    /// Its length in tokens as the harness counts them: with the special tokens that `/v1/completions` adds for
    /// random prompts, for chat without them and without the chat template.
    pub prompt_tokens: usize,
    /// The output tokens that it asks for; `None` for `MAX_NEW_TOKENS`.
    pub output_tokens: Option<NonZeroU32>,
}

/// A kind of prompt: a question, so many random tokens.
pub(crate) trait PromptKind: Debug + Send + Sync {
    /// How its requests are written.
    fn dialect(&self) -> &'static dyn Dialect;

    /// Defines a workload whose name does not: two runs are compared only if it is equal in both.
    fn definition(&self) -> Option<Value> {
        None
    }

    /// The output tokens that its requests ask for; `None` where all ask for `MAX_NEW_TOKENS`.
    fn output_tokens(&self) -> Option<TokenRange> {
        None
    }

    /// Prepares the requests.
    ///
    /// Where a server counts tokens, the first call takes a few hundred short requests and each later one about
    /// a hundred, a few at a time; making the prompts then takes none, so that a server under load counts nothing.
    ///
    /// # Errors
    /// If tokens cannot be counted, a prompt is impossible, or no combination of words keeps the length.
    fn source(&self, options: &SourceOptions<'_>) -> Result<Arc<dyn PromptSource>, PromptError>;
}

/// What requests are made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SourceOptions<'a> {
    /// What the prompts have in common.
    ///
    /// - `Bust`: each prompt starts with words of its own, within the first 12 tokens, so that no block
    ///   of 16 tokens is ever the same. In a chat prompt they *replace* the question's first tokens, the
    ///   length stays the question's. The prefixes repeat only after 2⁴⁰ prompts; for a prompt
    ///   of few tokens earlier, after all combinations of the words that fit (of a question of up to
    ///   seven tokens, at most half are replaced, rounded up), so one-token prompts do repeat. A chat
    ///   template's own start, before the question, is the same for every request,
    ///   so the few blocks it fills can still be reused.
    /// - `Allow`: the same prompt every time.
    /// - `Shared(f)`: the first `f` of the tokens are the same for all, rounded to whole tokens but
    ///   leaving at least one to differ; then follows what `Bust` puts at the start. In a random prompt
    ///   all the rest differs; in a chat prompt the rest of the question follows.
    pub prefix_cache: PrefixCache,
    /// Equal seeds make equal requests.
    pub seed: u64,
    /// The longest prompt and answer together that every server takes (tokens); `None` where one does not say.
    pub max_model_len: Option<u64>,
    /// Counts the prompts' tokens.
    pub counter: &'a Arc<TokenCounter>,
}

/// An endless series of requests, which can be made on several threads.
///
/// Request `index` is a pure function of the seed and the index: equal seeds give equal runs. For the same reason
/// an index used twice, or a seed used twice against a server that was not restarted, sends prompts that the
/// server may still hold in its prefix cache; so number the requests of a run through, over all its load levels.
pub(crate) trait PromptSource: Debug + Send + Sync {
    /// Request number `index`.
    ///
    /// # Errors
    /// If no combination of words that was tried for this index has the exact length.
    fn request(&self, index: u64) -> Result<RequestSpec, PromptError>;

    /// The lengths of all requests; prompts are counted as [`RequestSpec::prompt_tokens`].
    fn lengths(&self) -> RequestLengths;

    /// A warning for the user where the prompts' lengths are not exact.
    fn warning(&self) -> Option<String>;
}

/// The same request every time.
impl PromptSource for RequestSpec {
    fn request(&self, _: u64) -> Result<RequestSpec, PromptError> {
        Ok(self.clone())
    }

    fn lengths(&self) -> RequestLengths {
        RequestLengths::of_prompt(self.prompt_tokens)
    }

    fn warning(&self) -> Option<String> {
        None
    }
}

/// How many of `tokens` are the same for all requests.
pub(super) fn shared_tokens(policy: PrefixCache, tokens: usize) -> Result<usize, PromptError> {
    match policy {
        PrefixCache::Bust => Ok(0),
        PrefixCache::Allow | PrefixCache::Shared(1.0) => Ok(tokens),
        PrefixCache::Shared(fraction) if (0.0..1.0).contains(&fraction) => {
            let shared = (fraction * tokens as f64).round() as usize;
            Ok(shared.min(tokens.saturating_sub(1)))
        }
        PrefixCache::Shared(fraction) => Err(PromptError::Fraction(fraction)),
    }
}
