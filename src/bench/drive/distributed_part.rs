//! One rank's part of a point: driven from the common instant until all ranks have measured enough.

use std::ops::Range;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::budget::{Budget, BudgetPlan};
use super::first_answer::{FirstAnswer, assumed_latency};
use super::interruptible_load::{FAILURES_IN_A_ROW, patience, start};
use super::missing_tokens::count_missing_tokens_of;
use super::observation::{LoadObservation, LoadObservationResult};
use crate::bench::outcome::{self, ServerStats};
use crate::bench::point::Point;
use crate::bench::progress::Meter;
use crate::client::{Clock, Outcome};
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::level::Level;
use crate::load::{Load, Window};
use crate::metrics::{count_blocked, count_failures};
use crate::prompt::RequestLengths;
use crate::ranks::{Enough, Meeting, MeetingError, POLL, RankRequests, START_AHEAD, Share};
use crate::report::{PointResult, Row};
use crate::requests::Requests;
use crate::results::RankPart;
use crate::target::BalancedEndpoints;

/// A rank's share of a point's work.
pub struct Assignment {
    pub share: Share,
    /// The lengths of the requests.
    pub lengths: RequestLengths,
    pub target: BalancedEndpoints,
    /// When the load starts (ns since 1970).
    pub at_unix_ns: u64,
}

/// Facts about a point that rank 0 needs beside the parts.
pub struct Driven {
    pub lengths: RequestLengths,
    /// Statistics of the servers during the part; only rank 0 reads them.
    pub servers: ServerStats,
    /// When all ranks had measured enough; each reports why it stopped before it had, if it did.
    pub enough: Enough<Option<Stopped>>,
}

/// Why a rank stopped before it had measured enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stopped {
    /// Its budget was over.
    OverTime(Budget),
    /// A signal interrupted the run.
    Interrupted {
        /// Its number.
        signal: u8,
    },
}

/// Observations made while a part was measured.
struct MeasuredShare {
    observed: LoadObservationResult,
    /// Which of the requests ended meanwhile.
    requests: Range<usize>,
    enough: Result<Enough<Option<Stopped>>, MeetingError>,
}

/// Drives this rank's part and leaves its record for rank 0. Only rank 0's own part is shown meanwhile.
pub fn drive(
    point: &Point<'_>,
    meeting: &Meeting,
    fixture: &Fixture,
    assignment: Assignment,
    meter: &Meter,
) -> Result<(RankRequests, Driven), MeetingError> {
    let Assignment {
        share,
        lengths,
        target,
        at_unix_ns,
    } = assignment;
    let (ranks, clock) = (meeting.ranks(), fixture.clock);
    let clock_unix_ns = clock.unix_ns();
    wait_until(fixture, at_unix_ns.saturating_sub(clock_unix_ns));
    let began_ns = clock.now_ns();
    let unanswered = target.unanswered.clone();
    let load = start(point, fixture, target, &share);
    meter.follow(load.gauge());
    meter.show("rank 0");
    let mut load = SharedLoad::new(point, load, clock, (&share, &lengths));
    let measured = measure_share(point, meeting, fixture, &mut load, began_ns);
    meter.hide();
    let mut requests = load.requests;
    wait_for_others(point, meeting, fixture);
    count_missing_tokens_of(&mut requests, fixture);
    let lag_ns = i128::from(clock_unix_ns + began_ns) - i128::from(at_unix_ns);
    let Range { start, end } = measured.requests;
    let sampled = requests.iter().skip(start).take(end - start);
    let self_check = measured.observed.client.check_requests(sampled);
    let mut part = RankRequests {
        rank: RankPart {
            rank: ranks.rank(),
            of: ranks.size(),
            concurrency: share.concurrency.get(),
            began_ns,
            start_lag_ms: lag_ns as f64 * 1e-6,
            clock_behind_ms: meeting.clock_ahead_ms(0),
            aborted_at_ns: load.aborted_at_ns,
            unanswered: unanswered.take(),
        },
        clock_unix_ns,
        self_check: Some(self_check),
        requests,
    };
    // Where the others are lost, what was sent is still kept.
    leave(point, meeting, fixture, (&share, lengths), &mut part)?;
    let driven = Driven {
        lengths,
        servers: measured.observed.servers,
        enough: measured.enough?,
    };
    Ok((part, driven))
}

/// Lets the load run until *every* rank has measured for its time and has seen its rounds, so that none of them
/// measures while another has not begun or sends no more; then drains it. A rank whose budget is over stops waiting
/// for its rounds, and breaks off what is in flight. After a signal no rank waits for its time or its rounds, and what
/// is in flight is broken off after the grace time.
fn measure_share(
    point: &Point<'_>,
    meeting: &Meeting,
    fixture: &Fixture,
    load: &mut SharedLoad,
    began_ns: u64,
) -> MeasuredShare {
    let sampling = point.context.args.sampling();
    let from_ns = began_ns + sampling.warm_up.as_nanos() as u64;
    let in_warm_up = load.until(from_ns);
    let sharers = Share::count(meeting.ranks(), point.most_in_flight());
    load.limit(BudgetPlan::of(point, sampling).of_one_in(sharers));
    let observation = LoadObservation::begin(fixture, meeting.ranks().leads());
    let first = load.requests.len();
    // One extra round: the first completion only ends the warm-up.
    let round = point.round().map_or(1, |_| load.concurrency);
    let stopped = in_warm_up
        .or_else(|| load.until(from_ns + sampling.measurement.as_nanos() as u64))
        .or_else(|| load.until_ended(first + (sampling.windows + 1) * round));
    let ordinal = u64::from(point.info.ordinal);
    let enough = meeting.enough(ordinal, sharers, &stopped, || load.collect());
    let requests = first..load.requests.len();
    let observed = observation.end(fixture, || ());
    load.drain();
    MeasuredShare {
        observed,
        requests,
        enough,
    }
}

/// Says that this rank sends nothing more, and waits for the others where it is about to ask a server.
fn wait_for_others(point: &Point<'_>, meeting: &Meeting, fixture: &Fixture) {
    let sharers = Share::count(meeting.ranks(), point.most_in_flight());
    let sharers = match fixture.counter.asks_a_server() {
        true => sharers,
        false => 0,
    };
    // A rank that is lost sends nothing more either; whoever needs its part reports that it is lost.
    let _ = meeting.drained(u64::from(point.info.ordinal), sharers);
}

/// Writes the record of a part where rank 0 looks for it.
fn leave(
    point: &Point<'_>,
    meeting: &Meeting,
    fixture: &Fixture,
    (share, lengths): (&Share, RequestLengths),
    part: &mut RankRequests,
) -> Result<(), MeetingError> {
    let (info, endpoints) = (&point.info, &fixture.endpoints);
    let row = Row {
        level: match info.level {
            Level::Concurrency(_) => share.concurrency.into(),
            rate @ Level::Rate(_) => rate,
        },
        self_check: part.self_check.clone(),
        result: PointResult::Failed {
            failures: count_failures(part.requests.iter()),
            blocked: count_blocked(part.requests.iter()),
            outages: Vec::new(),
        },
        ..outcome::row(info, endpoints, lengths, info.bench.to_owned())
    };
    let whole = [Window {
        start_ns: part.rank.began_ns,
        end_ns: part.requests.iter().map(|r| r.end_ns).max().unwrap_or(0),
        rounds: (part.requests.len() / part.rank.concurrency) as u64,
        requests: part.requests.clone(),
        carried_in: 0,
        carried_out: 0,
        in_flight: None,
    }];
    let servers = ServerStats::default();
    let mut record = outcome::record(info, fixture, &row, endpoints, &[&whole], &servers);
    record.clock_unix_ns = part.clock_unix_ns;
    record.part = Some(part.rank.clone());
    let path = meeting.part(u64::from(info.ordinal), part.rank.rank);
    Ok(record.write(&path)?)
}

/// Waits until the run's clock says `at_ns`, but no longer than a start ever lies ahead: where this
/// machine's clock is far behind rank 0's, the rank starts at once, which its lag then shows.
fn wait_until(fixture: &Fixture, at_ns: u64) {
    let ahead = Duration::from_nanos(at_ns.saturating_sub(fixture.clock.now_ns()));
    let sleep = async { tokio::time::sleep(ahead.min(START_AHEAD)).await };
    fixture.runtime.block_on(sleep);
}

/// A rank's load: its requests are cut into windows only after merging them with the other ranks' requests.
struct SharedLoad {
    /// Until it is drained.
    load: Option<Load>,
    requests: Requests,
    clock: Clock,
    concurrency: usize,
    failed_in_a_row: usize,
    /// When a request last succeeded.
    succeeded: Instant,
    /// The longest time without any success.
    patience: Duration,
    /// Latency before the first answer.
    assumed: Duration,
    /// When it gave up, if it did.
    aborted_at_ns: Option<u64>,
    /// What its budget follows from, once it is limited.
    plan: Option<BudgetPlan>,
    interrupt: Interrupt,
}

impl SharedLoad {
    fn new(
        point: &Point<'_>,
        mut load: Load,
        clock: Clock,
        (share, lengths): (&Share, &RequestLengths),
    ) -> SharedLoad {
        let interrupt = point.context.interrupt.clone();
        let in_time = interrupt.clone();
        load.end_by(move |_| in_time.grace_over_at());
        SharedLoad {
            load: Some(load),
            requests: Requests::default(),
            clock,
            concurrency: share.concurrency.get(),
            failed_in_a_row: 0,
            succeeded: Instant::now(),
            patience: patience(point),
            assumed: assumed_latency(point, lengths),
            aborted_at_ns: None,
            plan: None,
            interrupt,
        }
    }

    /// Starts the budget of its windows. It follows from the requests that have succeeded so far, as a rank's warm-up
    /// may end before the first of them.
    fn limit(&mut self, plan: BudgetPlan) {
        self.plan = Some(plan);
        let Some(load) = &mut self.load else {
            return;
        };
        let start = Instant::now();
        let first_answer = FirstAnswer::new(load.gauge());
        let (interrupt, assumed) = (self.interrupt.clone(), self.assumed);
        let over_at = move |latency: Option<Duration>| {
            let budget = match latency {
                Some(latency) => windows(plan, latency).over_at(start),
                None => first_answer.over_at(windows(plan, assumed)),
            };
            budget.into_iter().chain(interrupt.grace_over_at()).min()
        };
        load.end_by(over_at);
    }

    /// Why it stops before its time: a signal, or its budget is over.
    fn stopped(&self) -> Option<Stopped> {
        if let Some(signal) = self.interrupt.signal() {
            let signal = signal.number;
            return Some(Stopped::Interrupted { signal });
        }
        let load = self.load.as_ref().filter(|load| load.is_over())?;
        let latency = load.mean_latency().unwrap_or(self.assumed);
        let budget = windows(self.plan?, latency);
        Some(Stopped::OverTime(budget))
    }

    /// Takes what has ended; gives up when nothing succeeds any more.
    fn collect(&mut self) {
        let Some(load) = &mut self.load else {
            return;
        };
        for request in load.ended() {
            match request.outcome {
                Outcome::Completed(_) => {
                    self.failed_in_a_row = 0;
                    self.succeeded = Instant::now();
                }
                // What was not sent tells nothing of the servers.
                _ if !request.was_sent() => {}
                Outcome::Failed(_) | Outcome::Blocked(_) => self.failed_in_a_row += 1,
            }
            self.requests.push(request);
        }
        let hopeless = self.failed_in_a_row >= FAILURES_IN_A_ROW.max(self.concurrency)
            || (self.failed_in_a_row > 0 && self.succeeded.elapsed() >= self.patience);
        if hopeless {
            self.aborted_at_ns = Some(self.clock.now_ns());
            self.drain();
        }
    }

    /// Lets the load run until the clock says `at_ns`; returns the signal that came before, if one did.
    fn until(&mut self, at_ns: u64) -> Option<Stopped> {
        loop {
            self.collect();
            let left = Duration::from_nanos(at_ns.saturating_sub(self.clock.now_ns()));
            if left.is_zero() || self.load.is_none() {
                return None;
            }
            let stopped = self.stopped();
            if let Some(Stopped::Interrupted { .. }) = stopped {
                return stopped;
            }
            std::thread::sleep(left.min(POLL));
        }
    }

    /// Lets the load run until so many requests have ended since it began; returns why it stopped before, if it did.
    fn until_ended(&mut self, requests: usize) -> Option<Stopped> {
        loop {
            self.collect();
            if self.requests.len() >= requests || self.load.is_none() {
                return None;
            }
            let stopped = self.stopped();
            if stopped.is_some() {
                return stopped;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Sends no more and waits for what is in flight, but not beyond its budget or the grace time after a signal.
    fn drain(&mut self) {
        if let Some(load) = self.load.take() {
            self.requests.extend(load.drain());
        }
    }
}

/// The budget of a rank's windows, of a round each.
fn windows(plan: BudgetPlan, latency: Duration) -> Budget {
    plan.windows(latency, 1, Duration::ZERO)
}
