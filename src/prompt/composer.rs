//! Putting a prompt together to an exact number of tokens.

use std::sync::Arc;

use rand::Rng;

use super::{
    Prompt, PromptError,
    heads::Heads,
    seeding,
    tokenizer::{SpecialTokens, TokenCounter},
    words::WordPool,
};

/// How often the words are drawn anew for one prompt.
const DRAWS: u64 = 8;

/// How often one draw is lengthened or cut. Words are one token each, so the first correction is
/// nearly always the last.
const CORRECTIONS: usize = 6;

const FILLER: u64 = 0x4649_4C4C;

/// A text to be brought to an exact length: `before`, words, `after`, joined by spaces.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) counter: Arc<TokenCounter>,
    pub(super) pool: Arc<WordPool>,
    pub(super) special: SpecialTokens,
    pub(super) before: String,
    pub(super) after: String,
    /// Tokens of the whole text, special ones included where `special` says so.
    pub(super) tokens: usize,
}

impl Frame {
    pub(super) fn text(&self, words: &[&str]) -> String {
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

    pub(super) fn count(&self, text: &str) -> Result<usize, PromptError> {
        Ok(self.counter.count(text, self.special)?)
    }

    /// Adds words to or takes words from the end of `words` until the text has its length. The first
    /// word stays, as it may be all that makes the text unique.
    ///
    /// Leaves in `words` what the text is made of, or gives the nearest count as the inner error.
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
    pub(super) fn constant(&self, seed: u64) -> Result<String, PromptError> {
        self.draw_until_exact(seed, 0, |_, _| Vec::new())
            .map(|(text, _)| text)
    }

    fn draw_until_exact<'p>(
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

/// A series of prompts of one exact length: a common start, a unique head, random words, a common
/// end (each may be empty, the head excepted).
#[derive(Debug)]
pub(super) struct Composer {
    frame: Frame,
    heads: Heads,
    seed: u64,
    /// Random words that follow the head, as the first prompt needed them.
    filler: usize,
}

impl Composer {
    /// Prepares the series and makes its first prompt to see that the length can be met.
    pub(super) fn new(frame: Frame, heads: Heads, seed: u64) -> Result<Self, PromptError> {
        let mut composer = Self {
            frame,
            heads,
            seed,
            filler: 0,
        };
        let (_, words) = composer.draw(0)?;
        composer.filler = words.saturating_sub(composer.heads.tokens());
        Ok(composer)
    }

    /// Prompt `index`.
    pub(super) fn compose(&self, index: u64) -> Result<Prompt, PromptError> {
        let (text, _) = self.draw(index)?;
        Ok(Prompt {
            text,
            tokens: self.frame.tokens,
        })
    }

    fn draw(&self, index: u64) -> Result<(String, usize), PromptError> {
        let pool = &self.frame.pool;
        self.frame
            .draw_until_exact(self.seed, index, |draw, mut rng| {
                // A head whose words do not stay apart in this place gives way to one that only an
                // index far beyond any run's would have.
                let mut words = self.heads.words(pool, index ^ (draw << 60));
                words.extend((0..self.filler).map(|_| pool.draw(false, &mut rng)));
                words
            })
    }
}
