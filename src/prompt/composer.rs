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
///
/// A local tokenizer counts each prompt as it is made. A server's `/tokenize` counts a sample of them before
/// the load, which shows that every word adds one token wherever it stands; from then on prompts are put
/// together without a question, as the server is under load.
#[derive(Debug)]
pub(super) struct Composer {
    frame: Frame,
    heads: Heads,
    seed: u64,
    /// Words of a prompt, as the first one needed them: those of its head, then random ones.
    words: usize,
    /// What a server's sample has shown; `None` where each prompt is counted.
    sample: Option<Sample>,
}

/// Prompts that a server counts before the load.
const SAMPLE: u64 = 64;

/// How often the number of words is adapted to what most prompts of a sample have.
const SAMPLES: usize = 3;

/// How long the prompts of a sample are, by a server's count.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    /// Tokens wanted.
    wanted: usize,
    /// Of each prompt.
    counts: Vec<usize>,
}

impl Sample {
    fn exact(&self) -> usize {
        let exact = self.counts.iter().filter(|&&count| count == self.wanted);
        exact.count()
    }

    /// The count that most prompts have.
    fn most_frequent(&self) -> usize {
        let times = |count: usize| self.counts.iter().filter(|&&other| other == count).count();
        let counts = self.counts.iter().copied();
        counts.max_by_key(|&count| times(count)).unwrap_or_default()
    }

    /// In words, where not all prompts have the length that is wanted.
    pub(super) fn problem(&self) -> Option<String> {
        let (exact, all) = (self.exact(), self.counts.len());
        let least = self.counts.iter().min()?;
        let most = self.counts.iter().max()?;
        (exact < all).then(|| {
            format!(
                "{exact} of {all} prompts tried have exactly {} tokens by the server's /tokenize, all have \
                 {least} to {most}: input lengths vary by that much, as no prompt is counted during the \
                 load. Set TOKENIZER_PATH to the model's tokenizer.json for exact ones",
                self.wanted
            )
        })
    }
}

impl Composer {
    /// Prepares the series and makes its first prompt to see that the length can be met.
    pub(super) fn new(frame: Frame, heads: Heads, seed: u64) -> Result<Self, PromptError> {
        let mut composer = Self {
            words: heads.tokens(),
            frame,
            heads,
            seed,
            sample: None,
        };
        let (_, words) = composer.draw(0)?;
        composer.words = words;
        if composer.frame.counter.asks_a_server() {
            composer.try_sample()?;
        }
        Ok(composer)
    }

    /// Prompt `index`.
    pub(super) fn compose(&self, index: u64) -> Result<Prompt, PromptError> {
        let text = match self.sample {
            Some(_) => self.put_together(index),
            None => self.draw(index)?.0,
        };
        Ok(Prompt {
            text,
            tokens: self.frame.tokens,
        })
    }

    /// What a server's sample has shown, where it was asked.
    pub(super) fn sample(&self) -> Option<&Sample> {
        self.sample.as_ref()
    }

    /// Lets the server count prompts spread over all indices.
    fn try_sample(&mut self) -> Result<(), PromptError> {
        let indices = (0..SAMPLE).map(|n| seeding::mix(self.seed, n) >> 24);
        let indices: Vec<u64> = indices.collect();
        let mut best_words = self.words;
        for _ in 0..SAMPLES {
            let texts: Vec<String> = indices.iter().map(|&i| self.put_together(i)).collect();
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let counter = &self.frame.counter;
            let counts = counter.token_ids_of_each(&texts, self.frame.special);
            let counts = counts.into_iter().map(|ids| Ok(ids?.len()));
            let sample = Sample {
                wanted: self.frame.tokens,
                counts: counts.collect::<Result<_, PromptError>>()?,
            };
            let (wanted, usual) = (self.frame.tokens, sample.most_frequent());
            let better = |old: &Sample| sample.exact() > old.exact();
            if self.sample.as_ref().is_none_or(better) {
                self.sample = Some(sample);
                best_words = self.words;
            }
            if usual == wanted {
                break;
            }
            // The first prompt was an unusual one.
            self.words = (self.words + wanted).saturating_sub(usual).max(1);
        }
        self.words = best_words;
        Ok(())
    }

    /// Prompt `index` as its words make it, not counted.
    fn put_together(&self, index: u64) -> String {
        let mut rng = seeding::stream(self.seed, index, FILLER);
        let mut words = self.first_words(index, 0, &mut rng);
        words.truncate(self.words);
        self.frame.text(&words)
    }

    fn draw(&self, index: u64) -> Result<(String, usize), PromptError> {
        self.frame
            .draw_until_exact(self.seed, index, |draw, mut rng| {
                self.first_words(index, draw, &mut rng)
            })
    }

    /// The head and the random words that a prompt is begun with.
    fn first_words(&self, index: u64, draw: u64, mut rng: &mut impl Rng) -> Vec<&str> {
        let pool = &self.frame.pool;
        // A head whose words do not stay apart in this place gives way to one that only an index far beyond
        // any run's would have.
        let mut words = self.heads.words(pool, index ^ (draw << 60));
        let filler = self.words.saturating_sub(words.len());
        words.extend((0..filler).map(|_| pool.draw(false, &mut rng)));
        words
    }
}
