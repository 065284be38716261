//! A rank's part of a point's load.

use std::num::NonZeroUsize;

use super::Ranks;

/// The part of a load that one process sends: some of the C requests in flight of a closed loop, every nth arrival of
/// an open loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Share {
    /// Requests that it keeps in flight; in an open loop, the most of them.
    pub concurrency: NonZeroUsize,
    /// Requests in flight of the ranks before it. It selects the first endpoint, so that the first C
    /// requests of all ranks together are spread as one process would spread them.
    pub before: usize,
    /// Index of its first prompt among the point's prompts.
    first: usize,
    /// Distance from one of its prompts to the next.
    step: NonZeroUsize,
}

impl Share {
    /// The whole load.
    pub fn whole(concurrency: NonZeroUsize) -> Share {
        Share {
            concurrency,
            before: 0,
            first: 0,
            step: NonZeroUsize::MIN,
        }
    }

    /// The part of `ranks`; `None` if there are more ranks than requests in flight and this one sends nothing.
    pub fn of(ranks: Ranks, concurrency: NonZeroUsize) -> Option<Share> {
        let (rank, size, all) = (ranks.rank(), ranks.size(), concurrency.get());
        let (each, over) = (all / size, all % size);
        Some(Share {
            concurrency: NonZeroUsize::new(each + usize::from(rank < over))?,
            before: rank * each + rank.min(over),
            first: rank,
            // Prompts and arrivals of ranks that send nothing are the others'.
            step: NonZeroUsize::new(size.min(all))?,
        })
    }

    /// Number of ranks that have a part: the first ones.
    pub fn count(ranks: Ranks, concurrency: NonZeroUsize) -> usize {
        ranks.size().min(concurrency.get())
    }

    /// Which arrivals of an open loop it sends: the first one, and the distance to the next.
    pub fn arrivals(&self) -> (usize, NonZeroUsize) {
        (self.first, self.step)
    }

    /// The part's share of `numbers`, the numbers of a point's prompts. The ranks take them in turn, so
    /// together they use the numbers that one process would use.
    pub fn of_numbers<N>(&self, numbers: N) -> impl Iterator<Item = u64> + Send + use<N>
    where
        N: Iterator<Item = u64> + Send,
    {
        numbers.skip(self.first).step_by(self.step.get())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up_and_differ_by_at_most_one() {
        for size in 2..9 {
            for concurrency in 1..40 {
                let all = NonZeroUsize::new(concurrency).unwrap();
                let shares: Vec<Share> = (0..size)
                    .filter_map(|rank| Share::of(Ranks::of(rank, size), all))
                    .collect();
                assert_eq!(shares.len(), Share::count(Ranks::of(0, size), all));
                let each = || shares.iter().map(|share| share.concurrency.get());
                assert_eq!(each().sum::<usize>(), concurrency);
                let spread = each()
                    .max()
                    .zip(each().min())
                    .map(|(most, least)| most - least);
                assert!(spread <= Some(1), "{shares:?}");
                let mut before = 0;
                for share in &shares {
                    assert_eq!(share.before, before);
                    before += share.concurrency.get();
                }
            }
        }
    }

    #[test]
    fn indices_of_all_ranks_are_those_of_one_process() {
        let all = NonZeroUsize::new(5).unwrap();
        let base = 3 << 32;
        let shares = (0..4).filter_map(|rank| Share::of(Ranks::of(rank, 4), all));
        let mut indices: Vec<u64> = shares
            .flat_map(|share| share.of_numbers(base..).take(10))
            .collect();
        indices.sort_unstable();
        let one: Vec<u64> = Share::whole(all).of_numbers(base..).take(40).collect();
        assert_eq!(indices, one);
    }
}
