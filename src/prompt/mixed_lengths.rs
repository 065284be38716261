//! Random words whose lengths, and those of their answers, follow a law.

use std::num::NonZeroU32;
use std::sync::Arc;

use rand::Rng;
use serde_json::{Value, json};

use super::counted_sample::CountedSample;
use super::error::{PromptError, Unsendable};
use super::frame::{FILLER, Frame};
use super::lengths::{RequestLengths, TokenRange};
use super::named_prompt::position;
use super::seeding;
use super::single_token_words::words_of;
use super::source::{PromptKind, PromptSource, RequestSpec, SourceOptions, shared_tokens};
use super::tokenizer::SpecialTokens;
use super::unique_prefix::UniquePrefixes;
use crate::config::PrefixCache;
use crate::dialect::{Dialect, MOST_TEMPLATE_TOKENS};
use crate::length_distribution::{LengthDistribution, PairOfLengths};

/// Prompts of random words, and answers, of drawn lengths.
///
/// The lengths of a request are a function of the law and of the request's position in its point: every run, level and
/// side sends the same sequence, whatever the seed. The words follow from the seed and the index, so no prompt is sent
/// twice.
#[derive(Debug)]
pub(crate) struct MixedLengths {
    pub law: PairOfLengths,
    pub dialect: &'static dyn Dialect,
}

/// Purposes of random streams.
const LENGTHS: u64 = 0x4C45_4E47;
const COMMON: u64 = 0x434F_4D4D;

/// Draws until a pair of lengths can be sent.
const DRAWS: usize = 10_000;

/// Requests of which it is counted how many cannot be sent.
const TRIED: u64 = 1_000;

impl PromptKind for MixedLengths {
    fn dialect(&self) -> &'static dyn Dialect {
        self.dialect
    }

    fn definition(&self) -> Option<Value> {
        Some(json!({"api": self.dialect.id(), "lengths": self.law.to_json()}))
    }

    fn output_tokens(&self) -> Option<TokenRange> {
        Some(TokenRange::of_law(&self.law.output))
    }

    fn source(&self, options: &SourceOptions<'_>) -> Result<Arc<dyn PromptSource>, PromptError> {
        let counter = options.counter;
        let pool = words_of(counter)?;
        let has_template = self.dialect.has_chat_template();
        let (special, special_tokens) = match has_template {
            true => (SpecialTokens::None, 0),
            false => (SpecialTokens::Added, pool.special_tokens as u32),
        };
        // An invalid fraction is the same for all lengths.
        shared_tokens(options.prefix_cache, 1)?;
        let law_seed = seeding::fingerprint(&self.law.to_json().to_string());
        let seed = seeding::mix(options.seed, law_seed);
        let room = self.law.input.most() as usize;
        let prefixes = |starts_text| UniquePrefixes::new(&pool, room, starts_text, seed);
        let mut requests = Requests {
            lengths: DrawnLengths {
                law: self.law.clone(),
                seed: law_seed,
                special_tokens,
                template_tokens: if has_template {
                    MOST_TEMPLATE_TOKENS
                } else {
                    0
                },
                max_model_len: options.max_model_len,
            },
            words: Words {
                prefixes: [prefixes(true), prefixes(false)],
                policy: options.prefix_cache,
                frame: Frame {
                    counter: Arc::clone(counter),
                    pool,
                    special,
                    before: String::new(),
                    after: String::new(),
                    tokens: 0,
                },
                special_tokens: special_tokens as usize,
                seed,
                excess: 0,
                sample: None,
            },
            warning: None,
        };
        requests.warning = requests.lengths.warning()?;
        let lengths = &requests.lengths;
        requests
            .words
            .count_sample(|index| Ok(lengths.of(index)?.0 as usize))?;
        Ok(Arc::new(requests))
    }
}

impl TokenRange {
    fn of_law(law: &LengthDistribution) -> TokenRange {
        TokenRange {
            mean: law.mean(),
            least: law.least(),
            most: law.most(),
        }
    }
}

#[derive(Debug)]
struct Requests {
    lengths: DrawnLengths,
    words: Words,
    warning: Option<String>,
}

impl PromptSource for Requests {
    fn request(&self, index: u64) -> Result<RequestSpec, PromptError> {
        let (input, output) = self.lengths.of(index)?;
        Ok(RequestSpec {
            prompt: self.words.text(index, input as usize)?,
            prompt_tokens: input as usize,
            output_tokens: NonZeroU32::new(output),
        })
    }

    fn lengths(&self) -> RequestLengths {
        let PairOfLengths { input, output } = &self.lengths.law;
        RequestLengths {
            prompt: TokenRange::of_law(input),
            output: Some(TokenRange::of_law(output)),
        }
    }

    fn warning(&self) -> Option<String> {
        let inexact = self.words.sample.as_ref().and_then(CountedSample::problem);
        let warnings = Vec::from_iter(self.warning.iter().cloned().chain(inexact));
        (!warnings.is_empty()).then(|| warnings.join("; "))
    }
}

/// The lengths of requests, as far as they can be sent.
#[derive(Debug)]
struct DrawnLengths {
    law: PairOfLengths,
    seed: u64,
    /// In every prompt, beside the words.
    special_tokens: u32,
    /// That the server may add.
    template_tokens: u32,
    max_model_len: Option<u64>,
}

impl DrawnLengths {
    /// The tokens of prompt and answer: the first pair of the request's own sequence that can be sent.
    fn of(&self, index: u64) -> Result<(u32, u32), PromptError> {
        let mut rng = seeding::stream(self.seed, position(index), LENGTHS);
        let mut pairs = (0..DRAWS).map(|_| self.pair(&mut rng));
        let pair = pairs.find(|(input, output)| self.fits(*input, *output));
        pair.ok_or(PromptError::NoLengths(self.unsendable()))
    }

    fn pair(&self, rng: &mut impl Rng) -> (u32, u32) {
        (self.law.input.draw(rng), self.law.output.draw(rng))
    }

    /// Whether there is a word, and the model takes prompt and answer.
    fn fits(&self, input: u32, output: u32) -> bool {
        let tokens = u64::from(input) + u64::from(output) + u64::from(self.template_tokens);
        input > self.special_tokens && self.max_model_len.is_none_or(|limit| tokens <= limit)
    }

    fn unsendable(&self) -> Unsendable {
        Unsendable {
            max_model_len: self.max_model_len,
            special_tokens: self.special_tokens,
        }
    }

    /// How many requests are left out, if any are.
    ///
    /// # Errors
    /// If nearly all are.
    fn warning(&self) -> Result<Option<String>, PromptError> {
        let first = |position| {
            let mut rng = seeding::stream(self.seed, position, LENGTHS);
            self.pair(&mut rng)
        };
        let tried = (0..TRIED).map(first);
        let left_out = tried.filter(|(input, output)| !self.fits(*input, *output));
        match left_out.count() as u64 {
            0 => Ok(None),
            TRIED => Err(PromptError::NoLengths(self.unsendable())),
            count => Ok(Some(format!(
                "{count} of {TRIED} requests that follow the law are left out: {}. Others take their place, so lengths \
                 follow the law given that a request can be sent. Change the limits of the law to choose them yourself",
                self.unsendable()
            ))),
        }
    }
}

/// Texts of any exact number of tokens.
#[derive(Debug)]
struct Words {
    /// Where the prefix starts the text, and where common words precede it.
    prefixes: [UniquePrefixes; 2],
    policy: PrefixCache,
    /// Counts texts; of no length of its own.
    frame: Frame,
    special_tokens: usize,
    seed: u64,
    /// Tokens of a text beyond its words and special tokens.
    excess: isize,
    /// The sample that was counted before the load; `None` where each text is counted.
    sample: Option<CountedSample>,
}

impl Words {
    /// Counts some texts of the lengths that `tokens` returns for an index. Where their tokens do not just add up, a
    /// local tokenizer counts each text.
    fn count_sample(
        &mut self,
        tokens: impl Fn(u64) -> Result<usize, PromptError>,
    ) -> Result<(), PromptError> {
        let asks_a_server = self.frame.counter.asks_a_server();
        if !asks_a_server && !self.frame.pool.joins_freely {
            return Ok(());
        }
        let sample = |words: &Words| {
            let text = |index| {
                let tokens = tokens(index)?;
                Ok((words.uncounted(index, tokens), tokens))
            };
            CountedSample::of(&words.frame.counter, words.frame.special, words.seed, text)
        };
        let mut counted = sample(self)?;
        if counted.usual_excess() != 0 {
            self.excess = counted.usual_excess();
            counted = sample(self)?;
        }
        self.sample = Some(counted).filter(|sample| asks_a_server || sample.is_exact());
        Ok(())
    }

    /// Text `index` of so many tokens.
    fn text(&self, index: u64, tokens: usize) -> Result<String, PromptError> {
        if self.sample.is_some() {
            return Ok(self.uncounted(index, tokens));
        }
        let frame = Frame {
            tokens,
            ..self.frame.clone()
        };
        let words = |draw, mut rng: &mut dyn Rng| self.words(index, draw, tokens, &mut rng);
        let (text, _) = frame.draw_until_exact(self.seed, index, words)?;
        Ok(text)
    }

    fn uncounted(&self, index: u64, tokens: usize) -> String {
        let mut rng = seeding::stream(self.seed, index, FILLER);
        self.frame.text(&self.words(index, 0, tokens, &mut rng))
    }

    /// The words that all texts start with, the words of this text's unique prefix, and random words.
    fn words(&self, index: u64, draw: u64, tokens: usize, mut rng: &mut impl Rng) -> Vec<&str> {
        let pool = &self.frame.pool;
        let words = tokens.saturating_sub(self.special_tokens);
        let count = words.saturating_add_signed(-self.excess).max(1);
        // A valid fraction, as was checked when the source was made.
        let shared = shared_tokens(self.policy, words).unwrap_or(0).min(count);
        let mut words = Vec::with_capacity(count);
        let mut common = seeding::stream(self.seed, 0, COMMON);
        words.extend((0..shared).map(|at| pool.draw(at == 0, &mut common)));
        let prefix = self.prefixes[usize::from(shared > 0)].words(pool, index ^ (draw << 60));
        words.extend(prefix.into_iter().take(count - shared));
        while words.len() < count {
            words.push(pool.draw(false, &mut rng));
        }
        words
    }
}

#[cfg(test)]
mod tests;
