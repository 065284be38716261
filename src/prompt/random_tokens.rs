//! Random words for pretrained models, as `/v1/completions` counts them.

use std::num::NonZeroUsize;
use std::sync::Arc;

use super::error::PromptError;
use super::exact_length::ExactLength;
use super::frame::Frame;
use super::named_prompt::NamedPrompt;
use super::seeding;
use super::single_token_words::words_of;
use super::source::{PromptKind, PromptSource, RequestSpec, SourceOptions, shared_tokens};
use super::tokenizer::SpecialTokens;
use super::unique_prefix::UniquePrefixes;
use super::workload::Workload;
use crate::dialect::{Completions, Dialect};

/// Random words of exactly so many tokens, special tokens included.
#[derive(Debug)]
pub(crate) struct RandomTokens(pub NonZeroUsize);

impl Workload {
    /// Random-token prompts of `RANDOM_PROMPT_LENGTH` tokens through completions, for pretrained models.
    pub fn random_tokens() -> Workload {
        Workload::new(|config| Ok(vec![named(config.random_prompt_length)]))
    }

    /// Random-token prompts of `length` tokens, whatever `RANDOM_PROMPT_LENGTH` is.
    pub fn random_tokens_of(length: NonZeroUsize) -> Workload {
        Workload::new(move |_| Ok(vec![named(length)]))
    }
}

fn named(length: NonZeroUsize) -> NamedPrompt {
    NamedPrompt::new(format!("random-{length}"), RandomTokens(length))
}

impl PromptKind for RandomTokens {
    fn dialect(&self) -> &'static dyn Dialect {
        &Completions
    }

    fn source(&self, options: &SourceOptions<'_>) -> Result<Arc<dyn PromptSource>, PromptError> {
        let (length, counter) = (self.0.get(), options.counter);
        let shared = shared_tokens(options.prefix_cache, length)?;
        let pool = words_of(counter)?;
        let special_tokens = pool.special_tokens;
        if length <= special_tokens {
            return Err(PromptError::TooShort {
                wanted: length,
                special_tokens,
                tokenizer: counter.source().clone(),
            });
        }
        let seed = seeding::mix(options.seed, length as u64);
        let frame = |before: String, tokens| Frame {
            counter: Arc::clone(counter),
            pool: Arc::clone(&pool),
            special: SpecialTokens::Added,
            before,
            after: String::new(),
            tokens,
        };
        let before = match shared > special_tokens {
            true => frame(String::new(), shared).constant(seed)?,
            false => String::new(),
        };
        if shared == length {
            return Ok(Arc::new(RequestSpec {
                prompt: before,
                prompt_tokens: length,
                output_tokens: None,
            }));
        }
        let room = length - shared.max(special_tokens);
        let prefixes = UniquePrefixes::new(&pool, room, before.is_empty(), seed);
        let requests = ExactLength::new(frame(before, length), prefixes, seed)?;
        Ok(Arc::new(requests))
    }
}

#[cfg(test)]
mod tests;
