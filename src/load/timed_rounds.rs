//! Windows of an open loop, cut by time.

use super::arrivals::Arrivals;
use super::pacing::{Runner, Windows};
use super::window::{Boundary, Window};

/// The shortest round (ns).
const SHORTEST_NS: f64 = 50e6;

/// Rounds of equal times, from the first moment at which the load is steady.
#[derive(Debug)]
pub(super) struct TimedRounds {
    boundary: Boundary,
    /// When the last round ended at the earliest (ns). It grows by whole rounds, so that the ends of windows do not
    /// drift.
    due_ns: f64,
    round_ns: f64,
    /// When requests arrive at the load's own rate (ns).
    steady_from_ns: u64,
    is_settled: bool,
}

impl TimedRounds {
    /// Rounds of a load that starts at `start_ns`, each as long as the mean gap between its arrivals or longer.
    pub fn new(start_ns: u64, arrivals: &Arrivals) -> TimedRounds {
        TimedRounds {
            boundary: Boundary {
                at_ns: start_ns,
                in_flight_events: 0,
            },
            due_ns: start_ns as f64,
            round_ns: arrivals.mean_ns().max(SHORTEST_NS),
            steady_from_ns: start_ns.saturating_add(arrivals.steady_from_ns()),
            is_settled: false,
        }
    }

    /// Waits until the ramp is over and the load has run for twice as long as its first request took: until then
    /// arrivals outnumber completions on any server. What ends meanwhile is in no window.
    fn settle(&mut self, runner: &mut dyn Runner) {
        let start_ns = self.boundary.at_ns;
        let mut settled_ns = None;
        while settled_ns.is_none_or(|settled_ns| self.boundary.at_ns < settled_ns) {
            let Some(finished) = runner.next() else {
                return;
            };
            let record = &finished.record;
            if record.was_sent() {
                let first_ns = record.end_ns.saturating_sub(record.e2el_from_ns());
                let settled = start_ns.saturating_add(2 * first_ns);
                settled_ns.get_or_insert(settled.max(self.steady_from_ns));
            }
            self.boundary.at_ns = self.boundary.at_ns.max(record.end_ns);
            self.boundary.in_flight_events = finished.in_flight_events;
        }
        self.due_ns = self.boundary.at_ns as f64;
        self.is_settled = true;
    }
}

impl Windows for TimedRounds {
    fn window(&mut self, rounds: u64, runner: &mut dyn Runner) -> Window {
        if !self.is_settled {
            self.settle(runner);
            if !self.is_settled {
                return self.boundary.cut(0, 1, || None);
            }
        }
        self.due_ns += rounds as f64 * self.round_ns;
        let due_ns = self.due_ns as u64;
        let mut window = self.boundary.cut_at(due_ns, rounds, || runner.next());
        if window.end_ns < due_ns {
            let lacking = ((self.due_ns - window.end_ns as f64) / self.round_ns).ceil();
            window.rounds = rounds.saturating_sub(lacking as u64);
        }
        window
    }
}
