//! The busiest moments of a load, as `vllm bench serve` defines them: over the requests that succeeded.

use std::collections::BTreeMap;

use crate::load::Window;

const NS_PER_S: u64 = 1_000_000_000;

/// Content events of the busiest second, counted in whole seconds from the first request's start on; 0
/// where nothing was streamed.
pub fn most_tokens_in_a_second(windows: &[Window]) -> f64 {
    let completed = || windows.iter().flat_map(Window::completed);
    let Some(begin_ns) = completed().map(|request| request.start_ns).min() else {
        return 0.0;
    };
    // By second: a damaged record may tell of one at the end of time.
    let mut seconds: BTreeMap<u64, u64> = BTreeMap::new();
    for request in completed() {
        for at_ns in request.outcome.content_ns.iter() {
            let second = at_ns.saturating_sub(begin_ns) / NS_PER_S;
            *seconds.entry(second).or_default() += 1;
        }
    }
    seconds.into_values().max().unwrap_or(0) as f64
}

/// Most requests that were in flight at one time; one that ends when another starts is over by then.
pub fn most_in_flight(windows: &[Window]) -> usize {
    let completed = windows.iter().flat_map(Window::completed);
    let mut steps: Vec<(u64, i64)> = completed
        .flat_map(|request| [(request.start_ns, 1), (request.end_ns, -1)])
        .collect();
    // Ends before starts where both are at once.
    steps.sort_unstable();
    let in_flight = steps.iter().scan(0, |now, (_, step)| {
        *now += step;
        Some(*now)
    });
    in_flight.max().unwrap_or(0).max(0) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::window_tests::{completed, window};

    const S: u64 = 1_000_000_000;

    #[test]
    fn the_busiest_second_and_moment_are_found() {
        // 11 events over 10 s each: one a second, the last at the very end.
        let requests = vec![
            completed(0, 0, 10 * S, 11),
            completed(5 * S, 5 * S, 15 * S, 11),
            completed(10 * S, 10 * S, 20 * S, 11),
        ];
        let windows = [window(requests, 0, 0)];
        assert_eq!(most_tokens_in_a_second(&windows), 3.0, "all three at 10 s");
        assert_eq!(
            most_in_flight(&windows),
            2,
            "the first ends as the third starts"
        );
        assert_eq!(most_tokens_in_a_second(&[]), 0.0);
        assert_eq!(most_in_flight(&[]), 0);
    }
}
