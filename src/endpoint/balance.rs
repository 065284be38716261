//! Which endpoint gets the next request.

use std::collections::VecDeque;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

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
    pub fn pick(&self) -> EndpointTurn<'_> {
        match self {
            Balance::RoundRobin(balance) => EndpointTurn {
                endpoint: balance.pick(),
                balance: None,
            },
            Balance::LeastOutstanding(balance) => balance.pick(),
        }
    }
}

/// A request's place at an endpoint; dropping it says that the request has ended.
#[derive(Debug)]
pub struct EndpointTurn<'a> {
    endpoint: usize,
    balance: Option<&'a LeastOutstanding>,
}

impl EndpointTurn<'_> {
    /// The endpoint's position in the list.
    pub fn endpoint(&self) -> usize {
        self.endpoint
    }

    /// Says that the request has ended, and failed.
    pub fn fail(mut self) {
        if let Some(balance) = self.balance.take() {
            balance.lock().end(self.endpoint, RequestEnding::Failed);
        }
    }
}

impl Drop for EndpointTurn<'_> {
    fn drop(&mut self) {
        if let Some(balance) = self.balance {
            balance.lock().end(self.endpoint, RequestEnding::Well);
        }
    }
}

/// Takes the endpoint with the fewest requests under way, so that a slow one gets fewer; equals are
/// taken in turn. Counts this process's requests only.
///
/// A server that refuses at once would look idle and get nearly every request. So a request that failed
/// counts as under way at its endpoint for as long as it would if it had been served at the pace of the
/// others: until so many further requests have been sent that every endpoint could have got as many as the
/// busiest had under way. An endpoint at which every request fails thus gets at most an equal share, and one
/// that has recovered is noticed.
#[derive(Debug)]
pub struct LeastOutstanding(Mutex<Places>);

/// The requests at each endpoint.
#[derive(Debug)]
struct Places {
    under_way: Box<[usize]>,
    /// Failed ones that still count.
    held: Box<[usize]>,
    /// How many requests had been sent when each of them failed, and its endpoint; the oldest first.
    failures: VecDeque<(u64, usize)>,
    /// Requests sent so far.
    sent: u64,
    turns: RoundRobin,
}

/// How a request ended.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RequestEnding {
    Well,
    Failed,
}

impl LeastOutstanding {
    /// Begins with the endpoint that is next after `requests` requests in turn.
    pub fn after(requests: usize, endpoints: NonZeroUsize) -> LeastOutstanding {
        LeastOutstanding(Mutex::new(Places {
            under_way: vec![0; endpoints.get()].into(),
            held: vec![0; endpoints.get()].into(),
            failures: VecDeque::new(),
            sent: 0,
            turns: RoundRobin::after(requests, endpoints),
        }))
    }

    /// The endpoint of the next request.
    pub fn pick(&self) -> EndpointTurn<'_> {
        EndpointTurn {
            endpoint: self.lock().pick(),
            balance: Some(self),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        // Nothing panics while it is held.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn pick(&mut self) -> usize {
        self.release();
        let (count, first) = (self.under_way.len(), self.turns.pick());
        let from_first = (0..count).map(|step| (first + step) % count);
        // The first of equals, of those without failures if there are any; there is always one.
        let load = |at: &usize| (self.under_way[*at] + self.held[*at], self.held[*at]);
        let endpoint = from_first.min_by_key(load).unwrap_or(first);
        self.under_way[endpoint] += 1;
        self.sent += 1;
        endpoint
    }

    /// Counts failed requests no longer for which the others' pace has made up.
    fn release(&mut self) {
        let busiest = self.under_way.iter().copied().max().unwrap_or(0).max(1);
        let further = (self.under_way.len() * busiest) as u64;
        while let Some(&(at, endpoint)) = self.failures.front()
            && self.sent - at >= further
        {
            self.failures.pop_front();
            self.held[endpoint] -= 1;
        }
    }

    fn end(&mut self, endpoint: usize, ended: RequestEnding) {
        if ended == RequestEnding::Failed {
            self.failures.push_back((self.sent, endpoint));
            self.held[endpoint] += 1;
        }
        self.under_way[endpoint] -= 1;
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
        let taken = [&first, &second, &third].map(EndpointTurn::endpoint);
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
        let counts = balance.lock().under_way.clone();
        assert_eq!(counts.iter().sum::<usize>(), 400);
        assert!(
            counts.iter().all(|count| [133, 134].contains(count)),
            "{counts:?}"
        );
    }

    /// Sends `requests` requests, `concurrency` at a time. Those at endpoints in `refusing` fail at once, the
    /// others take their turn to end; the requests of each endpoint.
    fn sent(
        endpoints: usize,
        refusing: &[usize],
        concurrency: usize,
        requests: usize,
    ) -> Vec<usize> {
        let balance = LeastOutstanding::after(0, NonZeroUsize::new(endpoints).unwrap());
        let mut counts = vec![0; endpoints];
        let mut under_way = std::collections::VecDeque::new();
        for _ in 0..requests {
            if under_way.len() >= concurrency {
                under_way.pop_front();
            }
            let turn = balance.pick();
            counts[turn.endpoint()] += 1;
            match refusing.contains(&turn.endpoint()) {
                true => turn.fail(),
                false => under_way.push_back(turn),
            }
        }
        counts
    }

    #[test]
    fn an_endpoint_that_refuses_at_once_gets_no_more_than_an_equal_share() {
        for (endpoints, refusing) in [(2, &[1][..]), (3, &[0]), (3, &[0, 2]), (8, &[3])] {
            for concurrency in [1, 2, 7, 32, 1_000] {
                let counts = sent(endpoints, refusing, concurrency, 30_000);
                let equal = 30_000 / endpoints;
                for (at, &count) in counts.iter().enumerate() {
                    let case = format!("{refusing:?} of {endpoints}, c={concurrency}: {counts:?}");
                    match refusing.contains(&at) {
                        true => assert!((1..=equal + 1).contains(&count), "{case}"),
                        false => assert!(count + 1 >= equal, "{case}"),
                    }
                }
            }
        }
    }

    #[test]
    fn where_all_refuse_each_gets_its_turn_and_nothing_piles_up() {
        let counts = sent(3, &[0, 1, 2], 32, 3_000);
        assert_eq!(counts, [1_000; 3]);
        let balance = LeastOutstanding::after(0, NonZeroUsize::new(3).unwrap());
        (0..10_000).for_each(|_| balance.pick().fail());
        assert!(balance.lock().failures.len() <= 4);
    }

    #[test]
    fn an_endpoint_that_has_recovered_gets_its_share_again() {
        let balance = LeastOutstanding::after(0, NonZeroUsize::new(2).unwrap());
        (0..100).for_each(|_| match balance.pick() {
            turn if turn.endpoint() == 0 => turn.fail(),
            _served => {}
        });
        let mut counts = [0; 2];
        (0..100).for_each(|_| counts[balance.pick().endpoint()] += 1);
        assert!(counts[0] >= 45, "{counts:?}");
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
