//! Which endpoint gets the next request.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::config::Balancing;

/// A balancing policy at work.
#[derive(Debug)]
pub enum Balance {
    /// See [`RoundRobin`].
    RoundRobin(RoundRobin),
    /// See [`LeastOutstanding`].
    LeastOutstanding(LeastOutstanding),
}

impl Balance {
    /// The policy over `endpoints`, as after `requests` requests that somebody else sends.
    pub fn new(policy: Balancing, requests: usize, endpoints: NonZeroUsize) -> Balance {
        match policy {
            Balancing::RoundRobin => Balance::RoundRobin(RoundRobin::after(requests, endpoints)),
            Balancing::LeastOutstanding => {
                Balance::LeastOutstanding(LeastOutstanding::after(requests, endpoints))
            }
        }
    }

    /// The endpoint of the next request, which is under way there until the turn is dropped.
    pub fn pick(&self) -> Turn<'_> {
        match self {
            Balance::RoundRobin(balance) => Turn {
                endpoint: balance.pick(),
                outstanding: None,
            },
            Balance::LeastOutstanding(balance) => balance.pick(),
        }
    }
}

/// A request's place at an endpoint; dropping it says that the request has ended.
#[derive(Debug)]
pub struct Turn<'a> {
    endpoint: usize,
    outstanding: Option<&'a AtomicUsize>,
}

impl Turn<'_> {
    /// The endpoint's position in the list.
    pub fn endpoint(&self) -> usize {
        self.endpoint
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(outstanding) = self.outstanding {
            outstanding.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Takes the endpoint with the fewest requests under way, so that a slow one gets fewer; equals are
/// taken in turn. Counts this process's requests only.
#[derive(Debug)]
pub struct LeastOutstanding {
    outstanding: Box<[AtomicUsize]>,
    turns: RoundRobin,
}

impl LeastOutstanding {
    /// Begins with the endpoint that is next after `requests` requests in turn.
    pub fn after(requests: usize, endpoints: NonZeroUsize) -> LeastOutstanding {
        LeastOutstanding {
            outstanding: (0..endpoints.get()).map(|_| AtomicUsize::new(0)).collect(),
            turns: RoundRobin::after(requests, endpoints),
        }
    }

    /// The endpoint of the next request.
    pub fn pick(&self) -> Turn<'_> {
        let (count, first) = (self.outstanding.len(), self.turns.pick());
        loop {
            let from_first = (0..count).map(|step| (first + step) % count);
            let loads = from_first.map(|at| (self.outstanding[at].load(Ordering::Relaxed), at));
            // The first of equals; there is always one.
            let (load, endpoint) = loads.min_by_key(|(load, _)| *load).unwrap_or((0, first));
            let outstanding = &self.outstanding[endpoint];
            // Another thread may have taken this place meanwhile: then look again.
            if outstanding
                .compare_exchange(load, load + 1, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
            {
                return Turn {
                    endpoint,
                    outstanding: Some(outstanding),
                };
            }
        }
    }
}

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

    #[test]
    fn the_endpoint_with_the_fewest_requests_is_taken_and_equals_in_turn() {
        let balance = LeastOutstanding::after(1, NonZeroUsize::new(3).unwrap());
        let [first, second, third] = [balance.pick(), balance.pick(), balance.pick()];
        let taken = [&first, &second, &third].map(Turn::endpoint);
        assert_eq!(taken, [1, 2, 0]);
        drop(second);
        assert_eq!(balance.pick().endpoint(), 2, "it alone is idle");
        drop((first, third));
        let idle: Vec<usize> = (0..3).map(|_| balance.pick().endpoint()).collect();
        assert_eq!(idle, [2, 0, 1], "all are idle");
    }

    #[test]
    fn requests_under_way_differ_by_at_most_one_over_many_threads() {
        let balance = LeastOutstanding::after(0, NonZeroUsize::new(3).unwrap());
        std::thread::scope(|scope| {
            for share in [101, 7, 250, 42] {
                let balance = &balance;
                scope.spawn(move || (0..share).for_each(|_| std::mem::forget(balance.pick())));
            }
        });
        let mut counts = balance
            .outstanding
            .iter()
            .map(|c| c.load(Ordering::Relaxed));
        let counts: [usize; 3] = std::array::from_fn(|_| counts.next().unwrap());
        assert_eq!(counts.iter().sum::<usize>(), 400);
        assert!(
            counts.iter().all(|count| [133, 134].contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn each_policy_takes_its_own_endpoint() {
        let endpoints = NonZeroUsize::new(2).unwrap();
        let next_of = |policy| {
            let balance = Balance::new(policy, 0, endpoints);
            let [_slow, quick] = [balance.pick(), balance.pick()];
            drop(quick);
            balance.pick().endpoint()
        };
        assert_eq!(next_of(Balancing::RoundRobin), 0);
        assert_eq!(next_of(Balancing::LeastOutstanding), 1);
    }
}
