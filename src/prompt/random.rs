//! Prompts of random words for pretrained models, as `/v1/completions` counts them.

use std::{num::NonZeroUsize, sync::Arc};

use super::{
    PromptError, Series,
    composer::{Composer, Frame},
    heads::Heads,
    seeding,
    tokenizer::{SpecialTokens, TokenCounter},
};
use crate::config::PrefixCache;

/// Plans random-word prompts of exactly `length` tokens, special tokens included.
pub(super) fn series(
    length: NonZeroUsize,
    policy: PrefixCache,
    seed: u64,
    counter: &Arc<TokenCounter>,
) -> Result<Series, PromptError> {
    let length = length.get();
    let shared = super::shared_tokens(policy, length)?;
    let pool = counter.words()?;
    let special_tokens = pool.special_tokens();
    if length <= special_tokens {
        return Err(PromptError::TooShort {
            wanted: length,
            special_tokens,
            tokenizer: counter.source().clone(),
        });
    }
    let seed = seeding::mix(seed, length as u64);
    let frame = |before: String, tokens| Frame {
        counter: Arc::clone(counter),
        pool: Arc::clone(&pool),
        special: SpecialTokens::Added,
        before,
        after: String::new(),
        tokens,
    };
    if shared == length {
        let text = frame(String::new(), length).constant(seed)?;
        return Ok(Series::Same(text));
    }
    let before = if shared > special_tokens {
        frame(String::new(), shared).constant(seed)?
    } else {
        String::new()
    };
    let room = length - shared.max(special_tokens);
    let heads = Heads::new(&pool, room, before.is_empty(), seed);
    Composer::new(frame(before, length), heads, seed).map(Series::Unique)
}

#[cfg(test)]
mod tests;
