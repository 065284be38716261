//! Prompts of an exact number of tokens, no two of which start alike.

use rand::Rng;

use super::error::PromptError;
use super::frame::{FILLER, Frame};
use super::lengths::RequestLengths;
use super::seeding;
use super::source::{PromptSource, RequestSpec};
use super::unique_prefix::UniquePrefixes;

/// Prompts of one exact length: a common start, a unique prefix, random words, a common
/// end (each may be empty, except the prefix).
///
/// A local tokenizer counts each prompt as it is made. A server's `/tokenize` counts a sample of them before
/// the load, which shows that every word adds one token wherever it stands; from then on prompts are made
/// without counting, as the server is under load.
#[derive(Debug)]
pub(super) struct ExactLength {
    frame: Frame,
    prefixes: UniquePrefixes,
    seed: u64,
    /// Words of a prompt, as many as the first one needed: its prefix, then random ones.
    words: usize,
    /// The sample that a server has counted; `None` where each prompt is counted.
    sample: Option<Sample>,
}

/// Number of prompts that a server counts before the load.
const SAMPLE: u64 = 64;

/// How often the number of words is adapted to the most frequent length in a sample.
const SAMPLES: usize = 3;

/// The lengths of some prompts, by a server's count.
#[derive(Clone, Debug)]
struct Sample {
    /// Requested tokens.
    wanted: usize,
    /// Tokens of each prompt.
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

    /// A warning where not all prompts have the requested length.
    fn problem(&self) -> Option<String> {
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
        if prompts.frame.counter.asks_a_server() {
            prompts.count_sample()?;
        }
        Ok(prompts)
    }

    /// Has the server count prompts spread over all indices.
    fn count_sample(&mut self) -> Result<(), PromptError> {
        let indices = (0..SAMPLE).map(|n| seeding::mix(self.seed, n) >> 24);
        let indices: Vec<u64> = indices.collect();
        let mut best_words = self.words;
        for _ in 0..SAMPLES {
            let texts: Vec<String> = indices.iter().map(|&i| self.uncounted(i)).collect();
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
