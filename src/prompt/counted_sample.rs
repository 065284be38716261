//! Prompts counted before a load, to show that the others need no counting.

use super::error::PromptError;
use super::seeding;
use super::tokenizer::{SpecialTokens, TokenCounter};

/// Number of prompts that are counted before the load.
const SAMPLE: u64 = 64;

/// The lengths of some prompts (tokens).
#[derive(Clone, Debug)]
pub(super) struct CountedSample(Vec<Counted>);

#[derive(Clone, Copy, Debug)]
struct Counted {
    wanted: usize,
    counted: usize,
}

impl CountedSample {
    /// Counts prompts whose indices are spread over all; `text` returns a prompt and the tokens that it should have.
    pub fn of(
        counter: &TokenCounter,
        special: SpecialTokens,
        seed: u64,
        text: impl Fn(u64) -> Result<(String, usize), PromptError>,
    ) -> Result<CountedSample, PromptError> {
        let indices = (0..SAMPLE).map(|n| seeding::mix(seed, n) >> 24);
        let prompts = indices.map(text).collect::<Result<Vec<_>, _>>()?;
        let texts = Vec::from_iter(prompts.iter().map(|(text, _)| text.as_str()));
        let counts = counter.token_ids_of_each(&texts, special);
        let counted = counts.into_iter().zip(&prompts).map(|(ids, (_, wanted))| {
            Ok(Counted {
                wanted: *wanted,
                counted: ids?.len(),
            })
        });
        Ok(CountedSample(counted.collect::<Result<_, PromptError>>()?))
    }

    /// How many have the length that they should have.
    pub fn exact(&self) -> usize {
        let exact = self.0.iter().filter(|one| one.counted == one.wanted);
        exact.count()
    }

    /// Whether all have.
    pub fn is_exact(&self) -> bool {
        self.exact() == self.0.len()
    }

    /// By how many tokens most of them are too long.
    pub fn usual_excess(&self) -> isize {
        let excess = |one: &Counted| one.counted as isize - one.wanted as isize;
        let times = |of: isize| self.0.iter().filter(|one| excess(one) == of).count();
        let all = self.0.iter().map(excess);
        all.max_by_key(|of| times(*of)).unwrap_or_default()
    }

    /// A warning where not all have the length that they should have.
    pub fn problem(&self) -> Option<String> {
        let range = |tokens: fn(&Counted) -> usize| {
            let (least, most) = (
                self.0.iter().map(tokens).min()?,
                self.0.iter().map(tokens).max()?,
            );
            Some(match least == most {
                true => least.to_string(),
                false => format!("{least} to {most}"),
            })
        };
        let (wanted, counted) = (range(|one| one.wanted)?, range(|one| one.counted)?);
        (!self.is_exact()).then(|| {
            format!(
                "{} of {} prompts tried have exactly {wanted} tokens by the server's /tokenize, all have \
                 {counted}: input lengths vary by that much, as no prompt is counted during the \
                 load. Set TOKENIZER_PATH to the model's tokenizer.json for exact ones",
                self.exact(),
                self.0.len(),
            )
        })
    }
}
