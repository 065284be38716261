//! Which endpoint gets the next request.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Takes the endpoints in turn, so that after any number of requests their counts differ by at
/// most one, whichever threads ask.
#[derive(Debug)]
pub struct RoundRobin {
    endpoints: NonZeroUsize,
    next: AtomicUsize,
}

impl RoundRobin {
    /// Starts with the first of `endpoints`.
    pub fn new(endpoints: NonZeroUsize) -> RoundRobin {
        RoundRobin::after(0, endpoints)
    }

    /// Starts as after `requests` requests, which somebody else sends.
    pub fn after(requests: usize, endpoints: NonZeroUsize) -> RoundRobin {
        RoundRobin {
            endpoints,
            next: AtomicUsize::new(requests),
        }
    }

    /// The position of the endpoint for the next request.
    pub fn pick(&self) -> usize {
        // The counter would wrap after 2^64 requests.
        self.next.fetch_add(1, Ordering::Relaxed) % self.endpoints
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_differ_by_at_most_one_over_many_threads() {
        let endpoints = NonZeroUsize::new(3).unwrap();
        let balance = RoundRobin::new(endpoints);
        let counts = [const { AtomicUsize::new(0) }; 3];
        std::thread::scope(|scope| {
            for share in [101, 7, 250, 42] {
                let (balance, counts) = (&balance, &counts);
                scope.spawn(move || {
                    for _ in 0..share {
                        counts[balance.pick()].fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        let mut counts = counts.map(AtomicUsize::into_inner);
        counts.sort_unstable();
        assert_eq!(counts, [133, 133, 134]);
    }

    #[test]
    fn endpoints_come_in_their_order() {
        let endpoints = NonZeroUsize::new(2).unwrap();
        let balance = RoundRobin::new(endpoints);
        let picks: Vec<_> = (0..5).map(|_| balance.pick()).collect();
        assert_eq!(picks, [0, 1, 0, 1, 0]);
        assert_eq!(RoundRobin::after(3, endpoints).pick(), 1);
    }
}
