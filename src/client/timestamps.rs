use crate::varint;

/// Arrival times of one response's content events, in the order of their arrival (ns).
///
/// Kept as differences of variable length, so that an event takes one to four bytes in place of
/// eight: the times of thousands of open streams stay in the processor's caches.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Timestamps {
    count: u32,
    first_ns: u64,
    last_ns: u64,
    /// Each time less the one before it, from the second on, as [`varint`]s.
    differences: Vec<u8>,
}

impl Timestamps {
    /// Creates an empty list with capacity for about `events` times.
    pub fn with_capacity(events: usize) -> Timestamps {
        Timestamps {
            // Gaps up to 268 ms take four bytes or fewer.
            differences: Vec::with_capacity(4 * events.saturating_sub(1)),
            ..Timestamps::default()
        }
    }

    /// Adds a time; a time before the last is replaced by the last.
    pub fn push(&mut self, at_ns: u64) {
        if self.count == 0 {
            self.first_ns = at_ns;
            self.last_ns = at_ns;
        } else {
            let difference = at_ns.saturating_sub(self.last_ns);
            self.last_ns += difference;
            varint::put(&mut self.differences, difference);
        }
        self.count += 1;
    }

    /// Frees unused capacity.
    pub fn shrink_to_fit(&mut self) {
        self.differences.shrink_to_fit();
    }

    /// The number of times.
    pub fn len(&self) -> usize {
        self.count as usize
    }

    /// Whether the list is empty.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The first time.
    pub fn first(&self) -> Option<u64> {
        (self.count > 0).then_some(self.first_ns)
    }

    /// All times in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> {
        let mut at_ns = self.first_ns;
        let later = self.gaps().map(move |gap| {
            at_ns += gap;
            at_ns
        });
        self.first().into_iter().chain(later)
    }

    /// Each time less the one before it (ns), from the second on.
    pub fn gaps(&self) -> impl Iterator<Item = u64> {
        let mut differences = self.differences.as_slice();
        std::iter::from_fn(move || varint::take(&mut differences))
    }
}

impl std::fmt::Debug for Timestamps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl FromIterator<u64> for Timestamps {
    fn from_iter<I: IntoIterator<Item = u64>>(times: I) -> Timestamps {
        let mut timestamps = Timestamps::default();
        times.into_iter().for_each(|at_ns| timestamps.push(at_ns));
        timestamps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_come_back_exactly_whatever_lies_between_them() {
        let gaps = [
            0,
            1,
            127,
            128,
            16_383,
            16_384,
            10_000_000,
            1 << 40,
            0,
            u64::MAX >> 20,
        ];
        let mut at_ns = 7;
        let mut times = vec![at_ns];
        for gap in gaps {
            at_ns += gap;
            times.push(at_ns);
        }
        let timestamps: Timestamps = times.iter().copied().collect();
        assert_eq!(timestamps.iter().collect::<Vec<_>>(), times);
        assert_eq!(timestamps.gaps().collect::<Vec<_>>(), gaps);
        assert_eq!((timestamps.len(), timestamps.first()), (11, Some(7)));
    }

    #[test]
    fn an_event_every_ten_milliseconds_takes_four_bytes_and_one_at_once_takes_one() {
        let spaced: Timestamps = (0..1_000).map(|k| k * 10_000_000).collect();
        assert_eq!(spaced.differences.len(), 4 * 999);
        let together: Timestamps = (0..1_000).map(|_| 5).collect();
        assert_eq!(together.differences.len(), 999);
        let room = Timestamps::with_capacity(1_000).differences.capacity();
        assert!(room >= spaced.differences.len());
    }

    #[test]
    fn an_empty_list_has_no_first_and_a_step_back_is_ignored() {
        assert_eq!(Timestamps::default().first(), None);
        assert_eq!(Timestamps::default().iter().count(), 0);
        let timestamps: Timestamps = [5, 3, 9].into_iter().collect();
        assert_eq!(timestamps.iter().collect::<Vec<_>>(), [5, 5, 9]);
    }
}
