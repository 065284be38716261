//! What the requests of a prompt's points are given: prompts of one series, none of them twice.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::prompt::PromptSource;

/// The prompts of one series, for all points, runs, turns and sides of a session.
#[derive(Clone, Debug, Default)]
pub(super) struct Supply {
    /// The series, or why there is none. Made once, before the first load: making it may ask a server.
    source: OnceCell<Result<Arc<PromptSource>, String>>,
    /// How many prompts have been taken for each point, by its ordinal.
    taken: RefCell<BTreeMap<u32, Numbers>>,
}

impl Supply {
    pub fn source(
        &self,
        make: impl FnOnce() -> Result<PromptSource, String>,
    ) -> Result<Arc<PromptSource>, String> {
        self.source.get_or_init(|| make().map(Arc::new)).clone()
    }

    /// Whether the series is made, or known to be impossible.
    pub fn is_ready(&self) -> bool {
        self.source.get().is_some()
    }

    /// The numbers of the prompts of the point with this ordinal.
    pub fn numbers(&self, ordinal: u32) -> Numbers {
        let mut taken = self.taken.borrow_mut();
        taken
            .entry(ordinal)
            .or_insert_with(|| Numbers::of(ordinal))
            .clone()
    }
}

/// The numbers of a point's prompts: each is given once, whichever run, turn or side asks.
///
/// The upper half of a number is the point's ordinal, so no two points share one either.
#[derive(Clone, Debug)]
pub(super) struct Numbers {
    ordinal: u32,
    next: Arc<AtomicU32>,
}

impl Numbers {
    fn of(ordinal: u32) -> Numbers {
        Numbers {
            ordinal,
            next: Arc::default(),
        }
    }

    /// The first of the point's numbers.
    pub fn first(&self) -> u64 {
        u64::from(self.ordinal) << u32::BITS
    }
}

impl Iterator for Numbers {
    type Item = u64;

    /// `None` after 2³² of them, rather than one again.
    fn next(&mut self) -> Option<u64> {
        let next = |number: u32| number.checked_add(1);
        let number = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        number.ok().map(|number| self.first() + u64::from(number))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_number_is_given_twice_over_turns_of_any_length_and_many_runs() {
        let supply = Supply::default();
        let mut seen = HashSet::new();
        // Longer turns than 2^18, and more of them than 160; two points.
        let turns = [(0, 300_000), (0, 300_000), (1, 5)];
        let many = (0..400).flat_map(|_| [(0, 100), (1, 100)]);
        for (ordinal, length) in turns.into_iter().chain(many) {
            for number in supply.numbers(ordinal).take(length) {
                assert!(seen.insert(number), "{number} twice");
            }
        }
        assert_eq!(supply.numbers(1).first(), 1 << 32);
        assert_eq!(supply.numbers(0).next(), Some(640_000));
    }

    #[test]
    fn the_numbers_of_a_point_end_before_those_of_the_next() {
        let mut numbers = Supply::default().numbers(7);
        numbers.next.store(u32::MAX - 1, Ordering::Relaxed);
        assert_eq!(numbers.next(), Some((8 << 32) - 2));
        assert_eq!(numbers.next(), None);
        assert_eq!(numbers.next(), None);
    }
}
