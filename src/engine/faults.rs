//! Faults on demand: which requests fail, and how, by rate and seed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::option_text::{Grammar, OptionTextError};
use super::text::mix;

/// Share of requests, 0 to 1, that meet a fault which lasts a while.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TimedFault {
    /// Share of requests, 0 to 1.
    pub rate: f64,
    /// How long it lasts.
    pub duration: Duration,
}

/// How often each fault happens, as a share of generation requests (of
/// connections for `refuse`), 0 to 1. The default is no fault at all.
///
/// Each rate is drawn on its own. Where two faults that exclude each other are
/// drawn for one request, the one named first here happens.
///
/// In text form: `http_500=0.1,cut=0.05,stall=0.1:2000` (the number after the
/// colon is milliseconds, for `slow_headers`, `stall` and `drip`).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Faults {
    /// The accepted connection is closed at once.
    pub refuse: f64,
    /// Status 429 with `Retry-After`.
    pub http_429: f64,
    /// Status 500.
    pub http_500: f64,
    /// Status 503.
    pub http_503: f64,
    /// The response head comes late.
    pub slow_headers: TimedFault,
    /// The connection is reset (TCP RST) in the middle of the output.
    pub reset: f64,
    /// The output pauses in its middle, then goes on.
    pub stall: TimedFault,
    /// The output ends cleanly in its middle, without `[DONE]`.
    pub cut: f64,
    /// One event carries broken JSON.
    pub malformed_sse: f64,
    /// Bytes that are no UTF-8 and no SSE in the middle of the output.
    pub garbage: f64,
    /// The usage counts are wrong.
    pub wrong_usage: f64,
    /// Usage is asked for but never sent.
    pub no_usage: f64,
    /// The output is aborted in its middle: `finish_reason` is `abort`.
    pub abort: f64,
    /// An error object comes in the place of the rest of the output, with status 200.
    pub error_event: f64,
    /// The output has no token, although it ends as one should.
    pub empty: f64,
    /// The usage counts no output token.
    pub zero_usage: f64,
    /// The bytes of a streamed output trickle out one by one, this far apart.
    pub drip: TimedFault,
}

const GRAMMAR: Grammar = Grammar {
    option: "fault",
    example: "http_500=0.1,stall=0.1:2000",
};

enum Slot<'a> {
    Rate(&'a mut f64),
    Timed(&'a mut TimedFault),
}

impl Faults {
    const NAMES: &'static str = "refuse, http_429, http_500, http_503, slow_headers, reset, stall, cut, malformed_sse, garbage, wrong_usage, no_usage, drip, abort, error_event, empty, zero_usage";

    fn slot(&mut self, name: &str) -> Option<Slot<'_>> {
        Some(match name {
            "refuse" => Slot::Rate(&mut self.refuse),
            "http_429" => Slot::Rate(&mut self.http_429),
            "http_500" => Slot::Rate(&mut self.http_500),
            "http_503" => Slot::Rate(&mut self.http_503),
            "slow_headers" => Slot::Timed(&mut self.slow_headers),
            "reset" => Slot::Rate(&mut self.reset),
            "stall" => Slot::Timed(&mut self.stall),
            "cut" => Slot::Rate(&mut self.cut),
            "malformed_sse" => Slot::Rate(&mut self.malformed_sse),
            "garbage" => Slot::Rate(&mut self.garbage),
            "wrong_usage" => Slot::Rate(&mut self.wrong_usage),
            "no_usage" => Slot::Rate(&mut self.no_usage),
            "drip" => Slot::Timed(&mut self.drip),
            "abort" => Slot::Rate(&mut self.abort),
            "error_event" => Slot::Rate(&mut self.error_event),
            "empty" => Slot::Rate(&mut self.empty),
            "zero_usage" => Slot::Rate(&mut self.zero_usage),
            _ => return None,
        })
    }

    /// Whether the `ordinal`-th connection is refused.
    pub(super) fn refuses(&self, seed: u64, ordinal: u64) -> bool {
        self.refuse > 0.0 && rng(seed, ordinal, 1).random::<f64>() < self.refuse
    }

    /// What happens to the `ordinal`-th request, whose output has `tokens` tokens.
    pub(super) fn draw(&self, seed: u64, ordinal: u64, tokens: u32) -> RequestFaults {
        let mut rng = rng(seed, ordinal, 2);
        // Every rate takes its draw, so that raising one does not move the others.
        let mut happens = |rate: f64| rng.random::<f64>() < rate;
        let status = [
            (happens(self.http_429), ErrorStatus::TooManyRequests),
            (happens(self.http_500), ErrorStatus::InternalServerError),
            (happens(self.http_503), ErrorStatus::ServiceUnavailable),
        ];
        let late = happens(self.slow_headers.rate);
        let midstream = [
            (happens(self.reset), Midstream::Reset),
            (
                happens(self.stall.rate),
                Midstream::Stall(self.stall.duration),
            ),
            (happens(self.cut), Midstream::Cut),
            (happens(self.malformed_sse), Midstream::MalformedEvent),
            (happens(self.garbage), Midstream::Garbage),
        ];
        let usage = if happens(self.wrong_usage) {
            UsageFault::Wrong
        } else if happens(self.no_usage) {
            UsageFault::Missing
        } else {
            UsageFault::None
        };
        let drip = happens(self.drip.rate);
        // At least one token before the fault and, if there are two, one after it.
        let after = rng.random_range(1..tokens.max(2));
        let mut happens = |rate: f64| rng.random::<f64>() < rate;
        let endings = [
            (happens(self.abort), Midstream::Abort),
            (happens(self.error_event), Midstream::ErrorEvent),
            (happens(self.empty), Midstream::Empty),
        ];
        let usage = match (usage, happens(self.zero_usage)) {
            (UsageFault::None, true) => UsageFault::Zero,
            (usage, _) => usage,
        };
        let mut midstream = midstream.into_iter().chain(endings);
        RequestFaults {
            status: status
                .into_iter()
                .find(|(on, _)| *on)
                .map(|(_, status)| status),
            slow_headers: late.then_some(self.slow_headers.duration),
            midstream: midstream.find(|(on, _)| *on).map(|(_, kind)| match kind {
                Midstream::Empty => (0, kind),
                _ => (after, kind),
            }),
            usage,
            drip: drip.then_some(self.drip.duration),
        }
    }
}

fn rng(seed: u64, ordinal: u64, purpose: u64) -> StdRng {
    StdRng::seed_from_u64(mix(seed ^ mix(ordinal ^ mix(purpose))))
}

/// An error status in place of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorStatus {
    TooManyRequests,
    InternalServerError,
    ServiceUnavailable,
}

/// What goes wrong in the middle of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Midstream {
    Reset,
    Stall(Duration),
    Cut,
    MalformedEvent,
    Garbage,
    Abort,
    ErrorEvent,
    Empty,
}

/// What goes wrong with the usage counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum UsageFault {
    #[default]
    None,
    Wrong,
    Missing,
    Zero,
}

/// The faults of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RequestFaults {
    pub(super) status: Option<ErrorStatus>,
    pub(super) slow_headers: Option<Duration>,
    /// After that many tokens, this happens.
    pub(super) midstream: Option<(u32, Midstream)>,
    pub(super) usage: UsageFault,
    /// Bytes come one by one, this far apart.
    pub(super) drip: Option<Duration>,
}

impl FromStr for Faults {
    type Err = OptionTextError;

    fn from_str(text: &str) -> Result<Faults, OptionTextError> {
        let mut faults = Faults::default();
        for entry in GRAMMAR.entries(text) {
            let entry = entry?;
            let rate = GRAMMAR.number(entry, entry.value)?;
            if rate > 1.0 {
                return Err(GRAMMAR.error(entry.text, "a rate is at most 1"));
            }
            let Some(slot) = faults.slot(entry.name) else {
                let problem = format!("there is no such fault; there are {}", Faults::NAMES);
                return Err(GRAMMAR.error(entry.text, problem));
            };
            match slot {
                Slot::Rate(slot) => {
                    GRAMMAR.no_extra(entry)?;
                    *slot = rate;
                }
                Slot::Timed(slot) => {
                    let millis = GRAMMAR.extra(entry, "its milliseconds")?;
                    let millis = GRAMMAR.number(entry, millis)?;
                    // Saturates at an end that nobody waits for.
                    let duration = Duration::try_from_secs_f64(millis / 1e3);
                    *slot = TimedFault {
                        rate,
                        duration: duration.unwrap_or(Duration::MAX),
                    };
                }
            }
        }
        Ok(faults)
    }
}

impl fmt::Display for Faults {
    /// The text form; empty where there are no faults.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut faults = *self;
        let mut comma = "";
        for name in Faults::NAMES.split(", ") {
            match faults.slot(name) {
                Some(Slot::Rate(rate)) if *rate > 0.0 => write!(f, "{comma}{name}={rate}")?,
                Some(Slot::Timed(TimedFault { rate, duration })) if *rate > 0.0 => {
                    let millis = duration.as_secs_f64() * 1e3;
                    write!(f, "{comma}{name}={rate}:{millis}")?;
                }
                _ => continue,
            }
            comma = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_form_is_read_and_written() {
        let text = "http_500=0.1, cut=0.05 ,stall=0.1:2000,";
        let faults: Faults = text.parse().expect("valid");
        let expected = Faults {
            http_500: 0.1,
            cut: 0.05,
            stall: TimedFault {
                rate: 0.1,
                duration: Duration::from_secs(2),
            },
            ..Faults::default()
        };
        assert_eq!(faults, expected);
        assert_eq!(faults.to_string(), "http_500=0.1,stall=0.1:2000,cut=0.05");
        assert_eq!("".parse(), Ok(Faults::default()));
        for name in Faults::NAMES.split(", ") {
            assert!(Faults::default().slot(name).is_some(), "{name}");
        }
    }

    #[test]
    fn a_bad_specification_is_explained() {
        let table = [
            ("http_418=0.1", "no such fault"),
            ("cut", "has no value"),
            ("cut=2", "at most 1"),
            ("cut=NaN", "no number"),
            ("stall=0.1", "needs its milliseconds"),
            ("stall=0.1:soon", "no number"),
            ("cut=0.1:5", "takes nothing after a colon"),
        ];
        for (text, words) in table {
            let error = text.parse::<Faults>().expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }

    #[test]
    fn faults_happen_at_their_rate_and_follow_the_seed() {
        let faults = Faults {
            cut: 0.25,
            refuse: 0.25,
            ..Faults::default()
        };
        let drawn = |seed| {
            (0..4000)
                .map(|n| faults.draw(seed, n, 10))
                .collect::<Vec<_>>()
        };
        let cuts = drawn(1)
            .iter()
            .filter(|fault| fault.midstream.is_some())
            .count();
        assert!((800..1200).contains(&cuts), "{cuts} of 4000");
        let refused = (0..4000).filter(|&n| faults.refuses(1, n)).count();
        assert!((800..1200).contains(&refused), "{refused} of 4000");
        assert_eq!(drawn(1), drawn(1));
        assert_ne!(drawn(1), drawn(2));
    }

    #[test]
    fn raising_one_rate_does_not_move_another_fault() {
        let hit = |faults: Faults| {
            (0..500)
                .map(|n| faults.draw(3, n, 10).usage)
                .collect::<Vec<_>>()
        };
        let alone = Faults {
            no_usage: 0.3,
            ..Faults::default()
        };
        let beside = Faults { cut: 0.9, ..alone };
        assert_eq!(hit(alone), hit(beside));
    }
}
