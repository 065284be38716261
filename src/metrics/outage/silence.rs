//! Times in which no byte came of an endpoint, although requests were in flight there.

use std::borrow::Borrow;

use super::period::{Outage, OutageKind};
use super::run_trace::RunTrace;
use crate::client::{Completion, FailureCause, Outcome, RequestRecord};

/// A shorter silence is not said (ns).
const LEAST_NS: u64 = 1_000_000_000;

/// A silence is said where it is so many times as long as requests usually wait for a byte.
const TIMES_THE_USUAL: u64 = 5;

/// Resolution of times (ns), in a run that is not very long.
const STEP_NS: u64 = 100_000_000;

/// Most steps of a run: bounds the memory.
const MOST_STEPS: u64 = 50_000;

/// A silence is at least so many steps long.
const LEAST_STEPS: u64 = 10;

pub(super) fn silences<R, I>(requests: impl Fn() -> I, trace: &RunTrace<'_>) -> Vec<Outage>
where
    R: Borrow<RequestRecord>,
    I: Iterator<Item = R>,
{
    let Some(usual_ns) = usual_wait_ns(requests()) else {
        return Vec::new();
    };
    let scale = TimeSteps::of(trace);
    let mut timelines: Vec<Timeline> = trace.urls.iter().map(|_| scale.timeline()).collect();
    for request in requests() {
        let request = request.borrow();
        if let Some(timeline) = timelines.get_mut(request.endpoint) {
            timeline.take(request, trace.unanswered.is_some());
        }
    }
    for request in trace.unanswered.unwrap_or_default() {
        if let Some(timeline) = timelines.get_mut(request.endpoint) {
            timeline.in_flight(request.sent_ns, request.ended_ns);
            if request.heard_ns > request.sent_ns {
                timeline.active(request.sent_ns, request.heard_ns);
            }
        }
    }
    let least_ns = LEAST_NS
        .max(TIMES_THE_USUAL.saturating_mul(usual_ns))
        .max(LEAST_STEPS * scale.step_ns);
    let each = timelines.iter().zip(trace.urls).enumerate();
    let of_each = each.flat_map(|(endpoint, (timeline, url))| {
        let silences = timeline.silences(least_ns).into_iter();
        silences.map(move |(steps, in_flight)| Outage {
            run: 0,
            endpoint,
            url: url.clone(),
            from_s: trace.seconds(scale.at_ns(steps.start)),
            to_s: trace.seconds(scale.at_ns(steps.end)),
            recovered: timeline.answered_ns >= scale.at_ns(steps.end),
            kind: OutageKind::Silent { in_flight },
        })
    });
    of_each.collect()
}

/// Returns the median over answers of the longest time without a byte (ns); `None` without an answer.
fn usual_wait_ns<R: Borrow<RequestRecord>>(requests: impl Iterator<Item = R>) -> Option<u64> {
    let longest = requests.filter_map(|request| {
        let request = request.borrow();
        match &request.outcome {
            Outcome::Completed(completion) => Some(longest_wait_ns(request, completion)),
            Outcome::Failed(_) | Outcome::Blocked(_) => None,
        }
    });
    let mut longest = Vec::from_iter(longest);
    let middle = longest.len() / 2;
    (!longest.is_empty()).then(|| *longest.select_nth_unstable(middle).1)
}

fn longest_wait_ns(request: &RequestRecord, completion: &Completion) -> u64 {
    let content = &completion.content_ns;
    let first = content.first().unwrap_or(completion.last_byte_ns);
    let gaps = content.gaps().max().unwrap_or(0);
    first.saturating_sub(request.sent_ns).max(gaps)
}

/// How a run's time is divided.
#[derive(Clone, Copy)]
struct TimeSteps {
    start_ns: u64,
    step_ns: u64,
    steps: usize,
}

impl TimeSteps {
    fn of(trace: &RunTrace<'_>) -> TimeSteps {
        let length_ns = trace.span_ns.end.saturating_sub(trace.span_ns.start);
        let step_ns = STEP_NS.max(length_ns.div_ceil(MOST_STEPS));
        TimeSteps {
            start_ns: trace.span_ns.start,
            step_ns,
            // At most `MOST_STEPS` and one.
            steps: (length_ns / step_ns) as usize + 1,
        }
    }

    fn timeline(self) -> Timeline {
        Timeline {
            scale: self,
            active: vec![false; self.steps],
            begun: vec![0; self.steps + 1],
            answered_ns: 0,
        }
    }

    /// The step in which a time lies; one before or after the run lies in its first or last.
    fn step(self, at_ns: u64) -> usize {
        let step = at_ns.saturating_sub(self.start_ns) / self.step_ns;
        usize::try_from(step).map_or(self.steps - 1, |step| step.min(self.steps - 1))
    }

    /// When a step begins (ns).
    fn at_ns(self, step: usize) -> u64 {
        self.start_ns + step as u64 * self.step_ns
    }
}

/// An endpoint's activity, step by step.
struct Timeline {
    scale: TimeSteps,
    /// Whether a byte came, or may have come.
    active: Vec<bool>,
    /// Requests in flight for the whole of a step, minus the requests of the step before.
    begun: Vec<i64>,
    /// When the latest byte of an answer came (ns).
    answered_ns: u64,
}

impl Timeline {
    /// With `timeouts_are_noted` the bytes of requests that timed out are known from elsewhere.
    fn take(&mut self, request: &RequestRecord, timeouts_are_noted: bool) {
        match &request.outcome {
            Outcome::Completed(completion) => {
                self.in_flight(request.sent_ns, completion.last_byte_ns);
                for at_ns in completion.content_ns.iter() {
                    self.active(at_ns, at_ns);
                }
                self.active(completion.last_byte_ns, completion.last_byte_ns);
                self.answered_ns = self.answered_ns.max(completion.last_byte_ns);
            }
            Outcome::Failed(failure)
                if failure.cause == FailureCause::Timeout && timeouts_are_noted => {}
            // The times of its bytes are unknown.
            Outcome::Failed(_) | Outcome::Blocked(_) => {
                self.active(request.sent_ns, request.end_ns);
            }
        }
    }

    fn active(&mut self, from_ns: u64, to_ns: u64) {
        // A request that ended before the run does not count in its first step.
        if to_ns >= self.scale.start_ns {
            let (from, to) = (self.scale.step(from_ns), self.scale.step(to_ns));
            self.active[from..=to].fill(true);
        }
    }

    fn in_flight(&mut self, from_ns: u64, to_ns: u64) {
        if to_ns < self.scale.start_ns {
            return;
        }
        let from = match from_ns < self.scale.start_ns {
            true => 0,
            false => self.scale.step(from_ns) + 1,
        };
        let to = self.scale.step(to_ns);
        if from < to {
            self.begun[from] += 1;
            self.begun[to] -= 1;
        }
    }

    /// Steps without a byte, although requests were in flight, and most of those at a time.
    fn silences(&self, least_ns: u64) -> Vec<(std::ops::Range<usize>, usize)> {
        let mut silences = Vec::new();
        let mut in_flight = 0_i64;
        let mut silent: Option<(usize, i64)> = None;
        for step in 0..=self.active.len() {
            in_flight += self.begun[step];
            let is_silent = in_flight > 0 && self.active.get(step) == Some(&false);
            silent = match (silent, is_silent) {
                (None, true) => Some((step, in_flight)),
                (Some((from, most)), true) => Some((from, most.max(in_flight))),
                (Some((from, most)), false) => {
                    silences.push((from..step, usize::try_from(most).unwrap_or(0)));
                    None
                }
                (None, false) => None,
            };
        }
        silences.retain(|(steps, _)| steps.len() as u64 * self.scale.step_ns >= least_ns);
        silences
    }
}
