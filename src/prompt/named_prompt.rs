//! One prompt of a workload, and the requests of its points, of which none is sent twice.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::source::{PromptKind, PromptSource, SourceOptions};
use crate::config::Slo;

/// One prompt of a workload, which has its own part in the benchmark ids: its requests, for all points, runs, turns
/// and sides of a session.
#[derive(Clone, Debug)]
pub(crate) struct NamedPrompt {
    /// `1k`, `random-1000`.
    pub key: String,
    pub kind: Arc<dyn PromptKind>,
    /// Its own objectives, in place of `SLO`.
    pub slo: Option<Slo>,
    /// The requests, or why there are none. Made once, before the first load, as a server may have to count tokens.
    source: OnceCell<Result<Arc<dyn PromptSource>, String>>,
    /// How many requests have been taken for each point, by its ordinal, and each side of it.
    taken: RefCell<BTreeMap<(u32, Side), Indices>>,
}

impl NamedPrompt {
    pub fn new(key: String, kind: impl PromptKind + 'static) -> NamedPrompt {
        NamedPrompt {
            key,
            kind: Arc::new(kind),
            slo: None,
            source: OnceCell::new(),
            taken: RefCell::default(),
        }
    }

    /// With objectives of its own, if there are any.
    pub fn with_slo(self, slo: Option<Slo>) -> NamedPrompt {
        NamedPrompt { slo, ..self }
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

    /// The indices of the requests of a load: of the point with this ordinal, on this side.
    pub fn indices(&self, ordinal: u32, side: Side) -> Indices {
        let mut taken = self.taken.borrow_mut();
        let indices = || Indices {
            first: (u64::from(ordinal) << u32::BITS) + ((side as u64) << POSITION_BITS),
            next: Arc::default(),
        };
        let indices = taken.entry((ordinal, side)).or_insert_with(indices);
        indices.start_load();
        indices.clone()
    }
}

/// The side of a load of which another sends the same sequence of lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Side {
    /// The only one, or the first of two in turns.
    #[default]
    First,
    /// The second of two in turns.
    Second,
}

/// The requests of a load.
pub(crate) struct PromptSeries {
    pub source: Arc<dyn PromptSource>,
    pub indices: Indices,
}

/// The lower bits of an index: the position of a request in its point, on its side.
const POSITION_BITS: u32 = 31;

/// Each load of a point starts at a multiple of this position, so that what one had prepared but not sent does not
/// shift the next.
const LOAD: u32 = 1 << 16;

/// The position of a request in its point, which is the same in every run, level and side.
pub(super) fn position(index: u64) -> u64 {
    index & ((1 << POSITION_BITS) - 1)
}

/// The indices of a point's requests. Each is returned once over all runs, turns and sides.
///
/// The upper half of an index is the point's ordinal, and the next bit its side, so no two points or sides share one
/// either.
#[derive(Clone, Debug)]
pub(crate) struct Indices {
    first: u64,
    next: Arc<AtomicU32>,
}

impl Indices {
    fn start_load(&self) {
        let next = |position: u32| position.checked_next_multiple_of(LOAD);
        let _ = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }
}

impl Iterator for Indices {
    type Item = u64;

    /// The next index; `None` after 2³¹, rather than the first again.
    fn next(&mut self) -> Option<u64> {
        let next = |position: u32| (position < 1 << POSITION_BITS).then_some(position + 1);
        let position = self
            .next
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
        position
            .ok()
            .map(|position| self.first + u64::from(position))
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
            for index in prompt.indices(ordinal, Side::First).take(length) {
                assert!(seen.insert(index), "{index} twice");
            }
        }
        let second = prompt.indices(0, Side::Second).next();
        assert_eq!(second, Some(1 << 31), "a side starts as the other did");
        // Two long turns took five multiples of 2^16 each.
        assert_eq!(prompt.indices(0, Side::First).next(), Some(410 << 16));
        assert_eq!(position((3 << 32) + (1 << 31) + 7), 7);
    }

    #[test]
    fn the_indices_of_points_do_not_overlap() {
        let mut indices = prompt().indices(7, Side::Second);
        indices.next.store((1 << 31) - 1, Ordering::Relaxed);
        assert_eq!(indices.next(), Some((8 << 32) - 1));
        assert_eq!(indices.next(), None);
        assert_eq!(indices.next(), None);
    }
}
