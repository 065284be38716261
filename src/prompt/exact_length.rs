//! Prompts of an exact number of tokens, no two of which start alike.

use rand::Rng;

use super::counted_sample::CountedSample;
use super::error::PromptError;
use super::frame::{FILLER, Frame};
use super::lengths::RequestLengths;
use super::seeding;
use super::source::{PromptSource, RequestSpec};
use super::unique_prefix::UniquePrefixes;

/// Prompts of one exact length: a common start, a unique prefix, random words, a common
/// end (each may be empty, except the prefix).
///
/// Where every word adds one token wherever it stands, a sample of the prompts is counted before the load, and from then
/// on prompts are made without counting: a server whose `/tokenize` counts is under load then, and counting takes most
/// of the time. A local tokenizer of which this is not known counts each prompt as it is made.
#[derive(Debug)]
pub(super) struct ExactLength {
    frame: Frame,
    prefixes: UniquePrefixes,
    seed: u64,
    /// Words of a prompt, as many as the first one needed: its prefix, then random ones.
    words: usize,
    /// The sample that was counted before the load; `None` where each prompt is counted.
    sample: Option<CountedSample>,
}

/// How often the number of words is adapted to the most frequent length in a sample.
const SAMPLES: usize = 3;

impl PromptSource for ExactLength {
    fn request(&self, index: u64) -> Result<RequestSpec, PromptError> {
        let prompt = match self.sample {
            Some(_) => self.uncounted(index),
            None => self.draw(index)?.0,
        };
        Ok(RequestSpec {
            prompt,
            prompt_tokens: self.frame.tokens,
            output_tokens: None,
        })
    }

    fn lengths(&self) -> RequestLengths {
        RequestLengths::of_prompt(self.frame.tokens)
    }

    fn warning(&self) -> Option<String> {
        self.sample.as_ref()?.problem()
    }
}

impl ExactLength {
    /// Prepares the prompts and makes the first to check that the length is possible.
    pub fn new(frame: Frame, prefixes: UniquePrefixes, seed: u64) -> Result<Self, PromptError> {
        let mut prompts = Self {
            words: prefixes.tokens(),
            frame,
            prefixes,
            seed,
            sample: None,
        };
        let (_, words) = prompts.draw(0)?;
        prompts.words = words;
        let asks_a_server = prompts.frame.counter.asks_a_server();
        let joins_freely = prompts.frame.after.is_empty() && prompts.frame.pool.joins_freely;
        if asks_a_server || joins_freely {
            prompts.count_sample()?;
        }
        if !asks_a_server {
            prompts.sample = prompts.sample.filter(CountedSample::is_exact);
        }
        Ok(prompts)
    }

    /// Counts prompts spread over all indices.
    fn count_sample(&mut self) -> Result<(), PromptError> {
        let mut best_words = self.words;
        for _ in 0..SAMPLES {
            let text = |index| Ok((self.uncounted(index), self.frame.tokens));
            let frame = &self.frame;
            let sample = CountedSample::of(&frame.counter, frame.special, self.seed, text)?;
            let excess = sample.usual_excess();
            let better = |old: &CountedSample| sample.exact() > old.exact();
            if self.sample.as_ref().is_none_or(better) {
                self.sample = Some(sample);
                best_words = self.words;
            }
            if excess == 0 {
                break;
            }
            // The first prompt was an unusual one.
            self.words = self.words.saturating_add_signed(-excess).max(1);
        }
        self.words = best_words;
        Ok(())
    }

    /// Prompt `index` with the usual number of words; its tokens are not counted.
    fn uncounted(&self, index: u64) -> String {
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

    /// The prefix and the random words that a prompt starts with.
    fn first_words(&self, index: u64, draw: u64, mut rng: &mut impl Rng) -> Vec<&str> {
        let pool = &self.frame.pool;
        // A prefix whose words merge with their neighbours is replaced by the prefix of an index far beyond any
        // run's.
        let mut words = self.prefixes.words(pool, index ^ (draw << 60));
        let filler = self.words.saturating_sub(words.len());
        words.extend((0..filler).map(|_| pool.draw(false, &mut rng)));
        words
    }
}
