//! Short prefixes that make every request's prompt unique.
//!
//! Prefixes are not drawn but counted: request `i` gets the words whose positions are the digits of
//! `(start + i × stride) mod space`, where `space` is the number of different prefixes and `stride` has
//! no factor in common with it. So no prefix repeats before all have been used, while `start` and
//! `stride`, which follow from the seed, keep two runs with different seeds apart.

use rand::RngExt;

use super::seeding;
use super::word_pool::WordPool;

/// Sufficient number of different prefixes: at 1,000 requests/s it lasts for thirty years.
const ENOUGH: u64 = 1 << 40;

/// Longest prefix in tokens. A begin-of-text token and a prefix fit in one KV block of 16 tokens, so
/// prompts with different prefixes share no block.
const MAX_TOKENS: usize = 12;

const PURPOSE: u64 = 0x4845_4144;

/// The unique prefixes of the prompts of one source.
#[derive(Clone, Debug)]
pub(super) struct UniquePrefixes {
    /// Number of words to choose from in each place.
    choices: Vec<u64>,
    space: u64,
    start: u64,
    stride: u64,
    starts_text: bool,
}

impl UniquePrefixes {
    /// Prefixes of at least one and at most `room` tokens, as many as uniqueness needs. `starts_text`
    /// is whether the prefix is the start of the prompt.
    pub fn new(pool: &WordPool, room: usize, starts_text: bool, seed: u64) -> Self {
        let mut choices = Vec::new();
        let mut space: u64 = 1;
        while choices.is_empty() || (space < ENOUGH && choices.len() < room.min(MAX_TOKENS)) {
            let list = pool.list(starts_text && choices.is_empty());
            choices.push(list.len() as u64);
            // Below 2^40 before, and no vocabulary has 2^24 words, so this does not saturate.
            space = space.saturating_mul(list.len() as u64);
        }
        let mut rng = seeding::stream(seed, 0, PURPOSE);
        let start = rng.random_range(0..space);
        let mut stride = rng.random_range(0..space).max(1);
        while gcd(stride, space) != 1 {
            stride = stride % space + 1;
        }
        Self {
            choices,
            space,
            start,
            stride,
            starts_text,
        }
    }

    /// Number of words, each one token, of every prefix.
    pub fn tokens(&self) -> usize {
        self.choices.len()
    }

    /// The words of prefix `index`.
    pub fn words<'p>(&self, pool: &'p WordPool, index: u64) -> Vec<&'p str> {
        let wide = u128::from(index) * u128::from(self.stride) + u128::from(self.start);
        let mut rest = (wide % u128::from(self.space)) as u64;
        self.choices
            .iter()
            .enumerate()
            .map(|(place, &choices)| {
                let digit = (rest % choices) as usize;
                rest /= choices;
                pool.list(self.starts_text && place == 0)[digit].as_str()
            })
            .collect()
    }
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::prompt::single_token_words::words_of;
    use crate::prompt::testing;
    use crate::prompt::tokenizer::TokenCounter;

    #[test]
    fn prefixes_repeat_only_after_all_were_used() {
        for counter in testing::counters() {
            let pool = words_of(&counter).unwrap();
            for room in [1, 2] {
                let prefixes = UniquePrefixes::new(&pool, room, true, 7);
                let tried = prefixes.space.min(5_000);
                let seen: HashSet<_> = (0..tried).map(|i| prefixes.words(&pool, i)).collect();
                assert_eq!(seen.len() as u64, tried);
            }
        }
    }

    #[test]
    fn prefixes_are_long_enough_and_fit_in_a_block() {
        let pool = words_of(&TokenCounter::shipped().unwrap()).unwrap();
        assert!(UniquePrefixes::new(&pool, 100, true, 1).space >= ENOUGH);
        assert!(UniquePrefixes::new(&pool, 100, true, 1).tokens() <= 6);
        assert_eq!(UniquePrefixes::new(&pool, 0, true, 1).tokens(), 1);
        assert_eq!(UniquePrefixes::new(&pool, 2, false, 1).tokens(), 2);
    }

    #[test]
    fn seeds_give_different_prefixes() {
        let pool = words_of(&TokenCounter::shipped().unwrap()).unwrap();
        let of = |seed| {
            let prefixes = UniquePrefixes::new(&pool, 9, true, seed);
            (0..500)
                .map(|i| prefixes.words(&pool, i))
                .collect::<HashSet<_>>()
        };
        assert!(of(1).is_disjoint(&of(2)));
        assert_eq!(of(1), of(1));
    }
}
