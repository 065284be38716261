//! One prompt of a workload, and the requests of its points, of which none is sent twice.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::source::{PromptKind, PromptSource, SourceOptions};

/// One prompt of a workload, which has its own part in the benchmark ids: its requests, for all points, runs, turns
/// and sides of a session.
#[derive(Clone, Debug)]
pub(crate) struct NamedPrompt {
    /// `1k`, `random-1000`.
    pub key: String,
    pub kind: Arc<dyn PromptKind>,
    /// The requests, or why there are none. Made once, before the first load, as a server may have to count tokens.
    source: OnceCell<Result<Arc<dyn PromptSource>, String>>,
    /// How many requests have been taken for each point, by its ordinal.
    taken: RefCell<BTreeMap<u32, Indices>>,
}

impl NamedPrompt {
    pub fn new(key: String, kind: impl PromptKind + 'static) -> NamedPrompt {
        NamedPrompt {
            key,
            kind: Arc::new(kind),
            source: OnceCell::new(),
            taken: RefCell::default(),
        }
    }

    /// The requests, or why there are none; made on the first call.
    pub fn source(&self, options: &SourceOptions<'_>) -> Result<Arc<dyn PromptSource>, String> {
        let make = || {
            let source = self.kind.source(options);
            let source = source.map_err(|error| error.to_string())?;
            if let Some(warning) = source.warning() {
                eprintln!("warning: prompt {}: {warning}", self.key);
            }
            Ok(source)
        };
        self.source.get_or_init(make).clone()
    }

    /// Whether the requests are made, or known to be impossible.
    pub fn is_ready(&self) -> bool {
        self.source.get().is_some()
    }

    /// The indices of the requests of the point with this ordinal.
    pub fn indices(&self, ordinal: u32) -> Indices {
        let mut taken = self.taken.borrow_mut();
        let indices = || Indices {
            ordinal,
            next: Arc::default(),
        };
        taken.entry(ordinal).or_insert_with(indices).clone()
    }
}

/// The indices of a point's requests. Each is returned once over all runs, turns and sides.
///
/// The upper half of an index is the point's ordinal, so no two points share one either.
#[derive(Clone, Debug)]
pub(crate) struct Indices {
    ordinal: u32,
    next: Arc<AtomicU32>,
}

impl Indices {
    /// The first index of the point.
    pub fn first(&self) -> u64 {
        u64::from(self.ordinal) << u32::BITS
    }
}

impl Iterator for Indices {
    type Item = u64;

    /// The next index; `None` after 2³², rather than the first again.
    fn next(&mut self) -> Option<u64> {
        let next = |index: u32| index.checked_add(1);
        let index = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        index.ok().map(|index| self.first() + u64::from(index))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::prompt::ChatQuestion;

    fn prompt() -> NamedPrompt {
        NamedPrompt::new("a".to_owned(), ChatQuestion("Why?".to_owned()))
    }

    #[test]
    fn no_index_is_returned_twice_over_turns_of_any_length_and_many_runs() {
        let prompt = prompt();
        let mut seen = HashSet::new();
        // Longer turns than 2^18, and more of them than 160; two points.
        let turns = [(0, 300_000), (0, 300_000), (1, 5)];
        let many = (0..400).flat_map(|_| [(0, 100), (1, 100)]);
        for (ordinal, length) in turns.into_iter().chain(many) {
            for index in prompt.indices(ordinal).take(length) {
                assert!(seen.insert(index), "{index} twice");
            }
        }
        assert_eq!(prompt.indices(1).first(), 1 << 32);
        assert_eq!(prompt.indices(0).next(), Some(640_000));
    }

    #[test]
    fn the_indices_of_points_do_not_overlap() {
        let mut indices = prompt().indices(7);
        indices.next.store(u32::MAX - 1, Ordering::Relaxed);
        assert_eq!(indices.next(), Some((8 << 32) - 2));
        assert_eq!(indices.next(), None);
        assert_eq!(indices.next(), None);
    }
}
