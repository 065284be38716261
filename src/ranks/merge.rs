//! Merges the parts of all ranks into what one process would have measured.

mod end_order;

use std::num::NonZeroUsize;
use std::ops::RangeInclusive;
use std::time::Duration;

use end_order::EndOrder;

use crate::client::{FailureCause, Outcome, RequestRecord};
use crate::load::{Boundary, Finished, SelfCheck, Window};
use crate::requests::Requests;
use crate::results::{RankPart, RunRecord};

/// How late after the common start a rank may start, and how far its clock may be off, without a note (ms).
const MOST_LAG_MS: f64 = 50.0;

/// All that one rank sent of a point, warm-up and drain included.
#[derive(Clone, Debug)]
pub(crate) struct RankRequests {
    /// The rank, and when it sent.
    pub rank: RankPart,
    /// Wall-clock time of its clock at zero (ns since 1970).
    pub clock_unix_ns: u64,
    /// Its requests; times are of its own clock.
    pub requests: Requests,
    /// Whether its client kept up.
    pub self_check: Option<SelfCheck>,
}

/// The interval of the parts that is measured.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MeasuredInterval {
    /// From the start of the last rank to the first window.
    pub warm_up: Duration,
    /// Time before which no rank has stopped sending (ns since 1970).
    pub stop_unix_ns: u64,
    /// Requests in flight of all ranks, which are a round; `None` for an open loop, whose windows take equal times.
    pub round: Option<NonZeroUsize>,
    /// Windows to cut.
    pub samples: usize,
}

/// A point as all ranks measured it; times are of rank 0's clock.
#[derive(Debug)]
pub(crate) struct MergedRun {
    /// Windows of equally many whole rounds: C completed requests of any rank. Of an open loop, windows of equal
    /// times. If no round was completed: one window with all failed requests.
    pub windows: Vec<Window>,
    /// The ranks.
    pub ranks: Vec<RankPart>,
    /// The worst of the ranks' clients.
    pub self_check: Option<SelfCheck>,
    /// Wall-clock time of that clock at zero (ns since 1970).
    pub clock_unix_ns: u64,
    /// Notes for readers of the figures.
    pub notes: Vec<String>,
}

impl RankRequests {
    /// A rank's part from its record; `None` for a record of another kind.
    pub fn of(record: RunRecord) -> Option<RankRequests> {
        let messages = record.failures.into_iter();
        let messages = messages.map(|f| (FailureCause::named(&f.cause), f.first_message));
        let mut requests = record.requests.into_requests();
        requests.set_failure_messages(messages.collect());
        Some(RankRequests {
            rank: record.part?,
            clock_unix_ns: record.clock_unix_ns,
            requests,
            self_check: record.self_check,
        })
    }
}

impl MergedRun {
    /// Merges `parts`, the first of which is rank 0's, and cuts the interval in which all of them sent
    /// into windows, as [`Boundary::cut`] does for one process.
    ///
    /// The interval starts with the first completion after the warm-up. If it has fewer rounds than
    /// `span.samples`, there are fewer windows, of one round each.
    pub fn of(parts: Vec<RankRequests>, span: MeasuredInterval) -> MergedRun {
        let clock_unix_ns = parts.first().map_or(0, |part| part.clock_unix_ns);
        let checks = parts.iter().filter_map(|part| {
            Some((
                format!("rank {}", part.rank.rank),
                part.self_check.as_ref()?,
            ))
        });
        let self_check = SelfCheck::worst(checks);
        let (mut ranks, mut requests) = (Vec::new(), Vec::new());
        for mut part in parts {
            let axis = Shift::between(part.clock_unix_ns, clock_unix_ns);
            part.rank.began_ns = axis.apply(part.rank.began_ns);
            part.rank.aborted_at_ns = part.rank.aborted_at_ns.map(|at_ns| axis.apply(at_ns));
            ranks.push(part.rank);
            requests.push((axis, part.requests));
        }
        let requests = EndOrder::of(requests);
        let began_ns = ranks.iter().map(|rank| rank.began_ns).max().unwrap_or(0);
        let aborted_at_ns = ranks.iter().filter_map(|rank| rank.aborted_at_ns).min();
        let stop_ns = span.stop_unix_ns.saturating_sub(clock_unix_ns);
        let interval = began_ns.saturating_add(span.warm_up.as_nanos() as u64)
            ..=stop_ns.min(aborted_at_ns.unwrap_or(u64::MAX));
        let windows = cut(&requests, interval, span);
        MergedRun {
            notes: notes(&ranks, windows.len(), span.samples),
            windows: match windows.is_empty() {
                true => vec![failed(&requests, began_ns)],
                false => windows,
            },
            ranks,
            self_check,
            clock_unix_ns,
        }
    }
}

/// Brings times of one rank's clock onto another's.
#[derive(Clone, Copy)]
struct Shift(i128);

impl Shift {
    fn between(from_unix_ns: u64, to_unix_ns: u64) -> Shift {
        Shift(i128::from(from_unix_ns) - i128::from(to_unix_ns))
    }

    /// A time before the other clock's zero becomes zero; no rank sends before all have joined.
    fn apply(self, at_ns: u64) -> u64 {
        (i128::from(at_ns) + self.0).clamp(0, i128::from(u64::MAX)) as u64
    }

    fn moved(self, mut request: RequestRecord) -> RequestRecord {
        let times = [
            &mut request.intended_ns,
            &mut request.start_ns,
            &mut request.sent_ns,
            &mut request.end_ns,
        ];
        times
            .into_iter()
            .for_each(|at_ns| *at_ns = self.apply(*at_ns));
        if let Outcome::Completed(completion) = &mut request.outcome {
            completion.last_byte_ns = self.apply(completion.last_byte_ns);
            let content = completion.content_ns.iter();
            completion.content_ns = content.map(|at_ns| self.apply(at_ns)).collect();
            completion.first_answer_ns = completion.first_answer_ns.map(|at_ns| self.apply(at_ns));
        }
        request
    }
}

/// Cuts the requests that ended in `interval` into windows.
fn cut(requests: &EndOrder, interval: RangeInclusive<u64>, span: MeasuredInterval) -> Vec<Window> {
    let first = requests.ended_before(*interval.start());
    let last = requests.ended_before(interval.end().saturating_add(1));
    // The first completion ends the warm-up; the windows start at it.
    let Some(ended) = last.checked_sub(first + 1) else {
        return Vec::new();
    };
    let (rounds, boundaries) = match span.round {
        Some(round) => whole_rounds(first, ended, round.get(), span.samples),
        None => (1, equal_times(requests, first, last - 1, span.samples)),
    };
    let in_flight = InFlight::at(requests, &boundaries);
    let mut boundary = Boundary {
        at_ns: requests.end_ns(first),
        in_flight_events: in_flight.first().map_or(0, |at_begin| at_begin.events),
    };
    let mut ended = requests.iter().skip(first + 1);
    let mut cut_one = |(ends, at_end): (&[usize], &InFlight)| {
        let length = ends[1] - ends[0];
        let window = boundary.cut(1, length, || {
            Some(Finished {
                record: ended.next()?,
                // Failed requests are not in flight at a boundary.
                events: 0,
                // Only read of the request that ends the window.
                in_flight_events: at_end.events,
                in_flight: at_end.requests,
            })
        });
        Window {
            rounds,
            in_flight: span.round.is_none().then_some(at_end.requests),
            ..window
        }
    };
    let ends = boundaries.windows(2).zip(in_flight.iter().skip(1));
    ends.map(&mut cut_one).collect()
}

/// Rounds of each window, and the positions of the requests that end the windows, the first after `first`.
fn whole_rounds(first: usize, ended: usize, round: usize, samples: usize) -> (u64, Vec<usize>) {
    let rounds = ended / round;
    let (windows, each) = match rounds / samples.max(1) {
        0 => (rounds, 1),
        each => (samples, each),
    };
    let boundaries = (0..=windows).map(|window| first + window * each * round);
    (each as u64, boundaries.collect())
}

/// The positions of the requests that end windows of equal times from the end of `first` to that of `last`. A window
/// without an end is part of the next one.
fn equal_times(requests: &EndOrder, first: usize, last: usize, samples: usize) -> Vec<usize> {
    let [begin_ns, end_ns] = [first, last].map(|position| requests.end_ns(position));
    let due_ns = |window: usize| {
        let share = window as f64 / samples.max(1) as f64;
        begin_ns + ((end_ns - begin_ns) as f64 * share) as u64
    };
    let ends = (1..=samples).map(|window| requests.ended_before(due_ns(window)).min(last));
    let mut boundaries = vec![first];
    for end in ends {
        if end > *boundaries.last().unwrap_or(&first) {
            boundaries.push(end);
        }
    }
    boundaries
}

/// A window of the requests that did not succeed: all that is known of a point that was not measured.
fn failed(requests: &EndOrder, began_ns: u64) -> Window {
    let mut end_ns = began_ns;
    let failed = requests
        .iter()
        .filter(|request| !matches!(request.outcome, Outcome::Completed(_)))
        .inspect(|request| end_ns = request.end_ns);
    let requests = failed.collect();
    Window {
        start_ns: began_ns,
        end_ns,
        rounds: 1,
        requests,
        carried_in: 0,
        carried_out: 0,
        in_flight: None,
    }
}

/// What was in flight when a request ended.
#[derive(Clone, Copy, Default)]
struct InFlight {
    requests: u64,
    /// Content events that those requests had received. Those of requests that failed later are not known.
    events: u64,
}

impl InFlight {
    /// When the requests at these positions, in ascending order, ended.
    fn at(requests: &EndOrder, boundaries: &[usize]) -> Vec<InFlight> {
        let ends_ns = boundaries.iter().map(|position| requests.end_ns(*position));
        let ends_ns: Vec<u64> = ends_ns.collect();
        let mut in_flight = vec![InFlight::default(); boundaries.len()];
        for (position, request) in requests.iter().enumerate() {
            // It was in flight at those after its start and before its end.
            let from = ends_ns.partition_point(|at_ns| *at_ns < request.sent_ns);
            let to = boundaries.partition_point(|boundary| *boundary < position);
            let content_ns = match &request.outcome {
                Outcome::Completed(completion) => Some(completion.content_ns.iter()),
                Outcome::Failed(_) | Outcome::Blocked(_) => None,
            };
            let mut content_ns = content_ns.into_iter().flatten().peekable();
            let mut received = 0;
            for boundary in from..to {
                let has_come = |event_ns: &u64| *event_ns <= ends_ns[boundary];
                while content_ns.next_if(has_come).is_some() {
                    received += 1;
                }
                in_flight[boundary].requests += 1;
                in_flight[boundary].events += received;
            }
        }
        in_flight
    }
}

fn notes(ranks: &[RankPart], windows: usize, samples: usize) -> Vec<String> {
    let mut notes = Vec::new();
    for RankPart {
        rank,
        start_lag_ms,
        clock_behind_ms,
        aborted_at_ns,
        ..
    } in ranks
    {
        if *start_lag_ms > MOST_LAG_MS {
            notes.push(format!(
                "rank {rank} started {start_lag_ms:.0} ms after the common start; the warm-up is counted from then"
            ));
        }
        if clock_behind_ms.abs() > MOST_LAG_MS {
            let how = if *clock_behind_ms > 0.0 {
                "behind"
            } else {
                "ahead of"
            };
            notes.push(format!(
                "the clock of rank {rank} is at least {:.0} ms {how} rank 0's, so its part is shifted against the others: synchronise the machines' clocks",
                clock_behind_ms.abs()
            ));
        }
        if aborted_at_ns.is_some() {
            notes.push(format!(
                "rank {rank} stopped early, as too many of its requests in a row failed; figures are of the time before"
            ));
        }
    }
    if windows < samples {
        notes.push(format!(
            "only {windows} rounds were completed in the measured time, but {samples} samples need at least as many; measure longer (--measurement-time)"
        ));
    }
    notes
}

#[cfg(test)]
mod tests;
