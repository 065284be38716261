//! A text around words, brought to an exact number of tokens.

use std::sync::Arc;

use rand::Rng;

use super::error::PromptError;
use super::seeding;
use super::tokenizer::{SpecialTokens, TokenCounter};
use super::word_pool::WordPool;

/// How often the words are drawn anew for one prompt.
const DRAWS: u64 = 8;

/// How often one draw is lengthened or cut. Words are one token each, so the first correction is
/// nearly always the last.
const CORRECTIONS: usize = 6;

/// Purpose of the random stream of words, and of its further draws.
pub(super) const FILLER: u64 = 0x4649_4C4C;

/// A text to be brought to an exact length: `before`, words, `after`, joined by spaces.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub counter: Arc<TokenCounter>,
    pub pool: Arc<WordPool>,
    pub special: SpecialTokens,
    pub before: String,
    pub after: String,
    /// Tokens of the whole text, special ones included by `special`.
    pub tokens: usize,
}

impl Frame {
    pub fn text(&self, words: &[&str]) -> String {
        let words_len: usize = words.iter().map(|word| word.len() + 1).sum();
        let mut text = String::with_capacity(self.before.len() + words_len + self.after.len() + 1);
        text.push_str(&self.before);
        for word in words {
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(word);
        }
        if !text.is_empty() && self.after.starts_with(|c: char| !c.is_whitespace()) {
            text.push(' ');
        }
        text.push_str(&self.after);
        text
    }

    pub fn count(&self, text: &str) -> Result<usize, PromptError> {
        Ok(self.counter.count(text, self.special)?)
    }

    /// Adds words to or removes words from the end of `words` until the text has its length. The first
    /// word stays, as it may be all that makes the text unique.
    ///
    /// Returns the text, whose words are then `words`, or the nearest count as the inner error.
    fn fit<'p>(
        &'p self,
        words: &mut Vec<&'p str>,
        rng: &mut impl Rng,
    ) -> Result<Result<String, usize>, PromptError> {
        let mut nearest: Option<usize> = None;
        for _ in 0..CORRECTIONS {
            let text = self.text(words);
            let count = self.count(&text)?;
            if count == self.tokens {
                return Ok(Ok(text));
            }
            if nearest.is_none_or(|old| count.abs_diff(self.tokens) < old.abs_diff(self.tokens)) {
                nearest = Some(count);
            }
            if count > self.tokens {
                if words.len() <= 1 {
                    break;
                }
                let left = words.len().saturating_sub(count - self.tokens);
                words.truncate(left.max(1));
            } else {
                for _ in count..self.tokens {
                    let starts_text = words.is_empty() && self.before.is_empty();
                    words.push(self.pool.draw(starts_text, rng));
                }
            }
        }
        Ok(Err(nearest.unwrap_or_default()))
    }

    /// The text with words that are the same for every request of `seed`.
    pub fn constant(&self, seed: u64) -> Result<String, PromptError> {
        self.draw_until_exact(seed, 0, |_, _| Vec::new())
            .map(|(text, _)| text)
    }

    /// The text with the words of `start`, which is called with the number of the draw, brought to the exact
    /// length; and how many words it has.
    pub fn draw_until_exact<'p>(
        &'p self,
        seed: u64,
        index: u64,
        start: impl Fn(u64, &mut dyn Rng) -> Vec<&'p str>,
    ) -> Result<(String, usize), PromptError> {
        let mut nearest: usize = 0;
        for draw in 0..DRAWS {
            let mut rng = seeding::stream(seed, index, FILLER + draw);
            let mut words = start(draw, &mut rng);
            match self.fit(&mut words, &mut rng)? {
                Ok(text) => return Ok((text, words.len())),
                Err(count) if count.abs_diff(self.tokens) < nearest.abs_diff(self.tokens) => {
                    nearest = count;
                }
                Err(_) => {}
            }
        }
        Err(PromptError::Inexact {
            wanted: self.tokens,
            nearest,
            tokenizer: self.counter.source().clone(),
        })
    }
}
