//! One rank's part of a point: driven from the common instant until all ranks have measured enough.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::meter::Meter;
use super::point::Point;
use super::record;
use super::results::{ServersSaid, row};
use super::target::Serving;
use super::windows::{FAILURES_IN_A_ROW, count_missing_tokens};
use crate::client::{Clock, Outcome, RequestRecord};
use crate::fixture::{self, Fixture, LOAD_THREADS, Sampler};
use crate::load::{Load, Watch, Watched, Window};
use crate::metrics::{count_blocked, count_failures};
use crate::ranks::{Meeting, MeetingError, POLL, Part, START_AHEAD, Share};
use crate::report::{PointResult, Row};
use crate::results::{self, RankPart};

/// What a rank has to do of a point.
pub(super) struct Assignment {
    pub share: Share,
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    pub target: Serving,
    /// When the load starts (ns since 1970).
    pub at_unix_ns: u64,
}

/// What rank 0 must know of a point beside the parts.
pub(super) struct Driven {
    pub prompt_tokens: usize,
    /// What the servers said meanwhile; rank 0 asks them.
    pub servers: ServersSaid,
    /// An instant before which no rank has stopped sending (ns since 1970).
    pub stop_unix_ns: u64,
}

/// What was seen while a part was measured.
struct MeasuredShare {
    watched: Watched,
    /// Which of the requests ended meanwhile.
    requests: Range<usize>,
    servers: ServersSaid,
    stop_unix_ns: Result<u64, MeetingError>,
}

impl Point<'_> {
    /// Drives this rank's part and leaves its record for rank 0. Only rank 0's own part is shown meanwhile.
    pub(super) fn drive(
        &self,
        meeting: &Meeting,
        fixture: &Fixture,
        assignment: Assignment,
        meter: &Meter,
    ) -> Result<(Part, Driven), MeetingError> {
        let Assignment {
            share,
            prompt_tokens,
            target,
            at_unix_ns,
        } = assignment;
        let (ranks, clock) = (meeting.ranks(), fixture.clock);
        let clock_unix_ns = clock.unix_ns();
        wait_until(fixture, at_unix_ns.saturating_sub(clock_unix_ns));
        let began_ns = clock.now_ns();
        let load = self.start(fixture, target, &share);
        meter.follow(load.gauge());
        meter.show("rank 0");
        let patience = self.patience();
        let mut sending = Sending::new(load, clock, share.concurrency.get(), patience);
        let measured = self.measure_share(meeting, fixture, &mut sending, began_ns);
        meter.hide();
        let mut requests = sending.requests;
        self.wait_for_others(meeting, fixture);
        count_missing_tokens(&mut requests, fixture);
        let lag_ns = i128::from(clock_unix_ns + began_ns) - i128::from(at_unix_ns);
        let mut part = Part {
            rank: RankPart {
                rank: ranks.rank(),
                of: ranks.size(),
                concurrency: share.concurrency.get(),
                began_ns,
                start_lag_ms: lag_ns as f64 * 1e-6,
                clock_behind_ms: meeting.clock_ahead_ms(0),
                gave_out_ns: sending.gave_out_ns,
            },
            clock_unix_ns,
            self_check: Some(
                measured
                    .watched
                    .check_requests(&requests[measured.requests]),
            ),
            requests,
        };
        // Where the others are lost, what was sent is still kept.
        self.leave(meeting, fixture, prompt_tokens, &mut part)?;
        let driven = Driven {
            prompt_tokens,
            servers: measured.servers,
            stop_unix_ns: measured.stop_unix_ns?,
        };
        Ok((part, driven))
    }

    /// Lets the load run until *every* rank has measured for its time and has seen its rounds, so that
    /// none of them measures while another has not begun or sends no more; then drains it.
    fn measure_share(
        &self,
        meeting: &Meeting,
        fixture: &Fixture,
        sending: &mut Sending,
        began_ns: u64,
    ) -> MeasuredShare {
        let sampling = self.session.args.sampling();
        let from_ns = began_ns + sampling.warm_up.as_nanos() as u64;
        sending.until(from_ns);
        let scrape = || meeting.ranks().leads().then(|| fixture.scrape());
        let before = scrape();
        let sampler = before.as_ref().map(|before| fixture.sample(before));
        let watch = Watch::start(fixture.runtime.handle(), LOAD_THREADS);
        let first = sending.requests.len();
        sending.until(from_ns + sampling.measurement.as_nanos() as u64);
        // One round more than there are samples, as the first completion only ends the warm-up.
        sending.until_ended(first + (sampling.windows + 1) * sending.concurrency);
        let sharers = Share::count(meeting.ranks(), self.concurrency);
        let stop_unix_ns = meeting.enough(u64::from(self.ordinal), sharers, || sending.collect());
        let watched = watch.stop();
        let requests = first..sending.requests.len();
        let timeline = sampler.map(Sampler::stop).unwrap_or_default();
        let scrapes: Vec<_> = before.into_iter().chain(scrape()).collect();
        sending.drain();
        MeasuredShare {
            watched,
            requests,
            servers: ServersSaid {
                intervals: fixture::intervals(&scrapes),
                timeline,
            },
            stop_unix_ns,
        }
    }

    /// Says that this rank sends nothing more, and waits for the others where it is about to ask a server.
    fn wait_for_others(&self, meeting: &Meeting, fixture: &Fixture) {
        let sharers = Share::count(meeting.ranks(), self.concurrency);
        let sharers = match fixture.counter.asks_a_server() {
            true => sharers,
            false => 0,
        };
        // A rank that is lost sends nothing more either; whoever needs its part says that it is lost.
        let _ = meeting.drained(u64::from(self.ordinal), sharers);
    }

    /// Writes the record of a part where rank 0 looks for it.
    fn leave(
        &self,
        meeting: &Meeting,
        fixture: &Fixture,
        prompt_tokens: usize,
        part: &mut Part,
    ) -> Result<(), MeetingError> {
        let bench = self.session.name.clone();
        let row = Row {
            concurrency: part.rank.concurrency,
            self_check: part.self_check.clone(),
            result: PointResult::Failed {
                failures: count_failures(part.requests.iter()),
                blocked: count_blocked(part.requests.iter()),
            },
            ..row(self, &fixture.endpoints, prompt_tokens, bench)
        };
        let whole = [Window {
            start_ns: part.rank.began_ns,
            end_ns: part.requests.iter().map(|r| r.end_ns).max().unwrap_or(0),
            iterations: (part.requests.len() / part.rank.concurrency) as u64,
            requests: std::mem::take(&mut part.requests),
            carried_in: 0,
            carried_out: 0,
        }];
        let mut record = record::record(
            self,
            fixture,
            &row,
            &fixture.endpoints,
            &[&whole],
            &ServersSaid::default(),
        );
        record.clock_unix_ns = part.clock_unix_ns;
        record.part = Some(part.rank.clone());
        let [whole] = whole;
        part.requests = whole.requests;
        let path = meeting.part(u64::from(self.ordinal), part.rank.rank);
        let json = serde_json::to_vec(&record).map_err(std::io::Error::from)?;
        Ok(results::write_atomically(&path, &json)?)
    }
}

/// Waits until the run's clock says `at_ns`, but no longer than a start ever lies ahead: where this
/// machine's clock is far behind rank 0's, the rank starts at once, which its lag then shows.
fn wait_until(fixture: &Fixture, at_ns: u64) {
    let ahead = Duration::from_nanos(at_ns.saturating_sub(fixture.clock.now_ns()));
    let sleep = async { tokio::time::sleep(ahead.min(START_AHEAD)).await };
    fixture.runtime.block_on(sleep);
}

/// A load under way, and what has ended of it.
struct Sending {
    /// Until it is drained.
    load: Option<Load<Serving>>,
    requests: Vec<RequestRecord>,
    clock: Clock,
    concurrency: usize,
    failed_in_a_row: usize,
    /// When a request last succeeded.
    succeeded: Instant,
    /// After so long without success there is nothing to measure.
    patience: Duration,
    gave_out_ns: Option<u64>,
}

impl Sending {
    fn new(load: Load<Serving>, clock: Clock, concurrency: usize, patience: Duration) -> Sending {
        Sending {
            load: Some(load),
            requests: Vec::new(),
            clock,
            concurrency,
            failed_in_a_row: 0,
            succeeded: Instant::now(),
            patience,
            gave_out_ns: None,
        }
    }

    /// Takes what has ended; gives out when nothing succeeds any more.
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
                Outcome::Failed(_) | Outcome::Blocked(_) => self.failed_in_a_row += 1,
            }
            self.requests.push(request);
        }
        let hopeless = self.failed_in_a_row >= FAILURES_IN_A_ROW.max(self.concurrency)
            || (self.failed_in_a_row > 0 && self.succeeded.elapsed() >= self.patience);
        if hopeless {
            self.gave_out_ns = Some(self.clock.now_ns());
            self.drain();
        }
    }

    /// Lets the load run until the clock says `at_ns`.
    fn until(&mut self, at_ns: u64) {
        loop {
            self.collect();
            let left = Duration::from_nanos(at_ns.saturating_sub(self.clock.now_ns()));
            if left.is_zero() || self.load.is_none() {
                return;
            }
            std::thread::sleep(left.min(POLL));
        }
    }

    /// Lets the load run until so many requests have ended since it began.
    fn until_ended(&mut self, requests: usize) {
        loop {
            self.collect();
            if self.requests.len() >= requests || self.load.is_none() {
                return;
            }
            std::thread::sleep(POLL);
        }
    }

    /// Sends no more and waits for what is in flight.
    fn drain(&mut self) {
        if let Some(load) = self.load.take() {
            self.requests.extend(load.drain());
        }
    }
}
