//! Injected faults: which requests fail, and how, by rate and seed.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::option_text::{Grammar, OptionTextError};
use super::text::mix;

/// A fault with a duration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TimedFault {
    /// Share of requests, 0 to 1.
    pub rate: f64,
    /// Its duration.
    pub duration: Duration,
}

/// How often each fault happens, as a share of generation requests (of
/// connections for `refuse`), 0 to 1. The default is no fault at all.
///
/// Each rate is drawn independently. If two faults that exclude each other are
/// drawn for one request, the first of them in this list happens.
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
    /// The response head is late.
    pub slow_headers: TimedFault,
    /// The connection is reset (TCP RST) in the middle of the output.
    pub reset: f64,
    /// The output pauses in its middle, then goes on.
    pub stall: TimedFault,
    /// The output ends cleanly in its middle, without `[DONE]`.
    pub cut: f64,
    /// One event carries broken JSON.
    pub malformed_sse: f64,
    /// Bytes that are neither UTF-8 nor SSE in the middle of the output.
    pub garbage: f64,
    /// The usage counts are wrong.
    pub wrong_usage: f64,
    /// Requested usage is never sent.
    pub no_usage: f64,
    /// The output is aborted in its middle: `finish_reason` is `abort`.
    pub abort: f64,
    /// An error object replaces the rest of the output, with status 200.
    pub error_event: f64,
    /// The output has no token, but ends regularly.
    pub empty: f64,
    /// The usage counts no output token.
    pub zero_usage: f64,
    /// The bytes of a streamed output are sent one by one, with this pause between them.
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

type SlotOf = fn(&mut Faults) -> Slot<'_>;

/// Every fault, in the order of the text form.
const SLOTS: [(&str, SlotOf); 17] = [
    ("refuse", |f| Slot::Rate(&mut f.refuse)),
    ("http_429", |f| Slot::Rate(&mut f.http_429)),
    ("http_500", |f| Slot::Rate(&mut f.http_500)),
    ("http_503", |f| Slot::Rate(&mut f.http_503)),
    ("slow_headers", |f| Slot::Timed(&mut f.slow_headers)),
    ("reset", |f| Slot::Rate(&mut f.reset)),
    ("stall", |f| Slot::Timed(&mut f.stall)),
    ("cut", |f| Slot::Rate(&mut f.cut)),
    ("malformed_sse", |f| Slot::Rate(&mut f.malformed_sse)),
    ("garbage", |f| Slot::Rate(&mut f.garbage)),
    ("wrong_usage", |f| Slot::Rate(&mut f.wrong_usage)),
    ("no_usage", |f| Slot::Rate(&mut f.no_usage)),
    ("drip", |f| Slot::Timed(&mut f.drip)),
    ("abort", |f| Slot::Rate(&mut f.abort)),
    ("error_event", |f| Slot::Rate(&mut f.error_event)),
    ("empty", |f| Slot::Rate(&mut f.empty)),
    ("zero_usage", |f| Slot::Rate(&mut f.zero_usage)),
];

impl Faults {
    fn slot(&mut self, name: &str) -> Option<Slot<'_>> {
        let (_, slot) = SLOTS.iter().find(|(known, _)| *known == name)?;
        Some(slot(self))
    }

    /// Whether the `ordinal`-th connection is refused.
    pub(super) fn refuses(&self, seed: u64, ordinal: u64) -> bool {
        self.refuse > 0.0 && rng(seed, ordinal, 1).random::<f64>() < self.refuse
    }

    /// Draws the faults of the `ordinal`-th request, whose output has `tokens` tokens.
    pub(super) fn draw(&self, seed: u64, ordinal: u64, tokens: u32) -> RequestFaults {
        let mut rng = rng(seed, ordinal, 2);
        // Every rate is drawn, so that raising one does not change the others.
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

/// An error status instead of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorStatus {
    TooManyRequests,
    InternalServerError,
    ServiceUnavailable,
}

/// A fault in the middle of an output.
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

/// A fault of the usage counts.
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
    /// A fault after a number of tokens.
    pub(super) midstream: Option<(u32, Midstream)>,
    pub(super) usage: UsageFault,
    /// The pause between single bytes.
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
                let names = SLOTS.map(|(name, _)| name).join(", ");
                let problem = format!("there is no such fault; the faults are {names}");
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
                    // Saturates at a duration that is practically infinite.
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
    /// The text form; empty without faults.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut faults = *self;
        let mut comma = "";
        for (name, slot) in SLOTS {
            match slot(&mut faults) {
                Slot::Rate(rate) if *rate > 0.0 => write!(f, "{comma}{name}={rate}")?,
                Slot::Timed(TimedFault { rate, duration }) if *rate > 0.0 => {
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
    fn the_text_form_is_parsed_and_formatted() {
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
        for (name, slot) in SLOTS {
            let text = match slot(&mut Faults::default()) {
                Slot::Rate(_) => format!("{name}=0.5"),
                Slot::Timed(_) => format!("{name}=0.5:10"),
            };
            let faults: Faults = text.parse().expect(name);
            assert_eq!(faults.to_string(), text);
        }
    }

    #[test]
    fn an_invalid_specification_is_explained() {
        let table = [
            ("http_418=0.1", "no such fault"),
            ("cut", "has no value"),
            ("cut=2", "at most 1"),
            ("cut=NaN", "not a number"),
            ("stall=0.1", "needs its milliseconds"),
            ("stall=0.1:soon", "not a number"),
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
    fn raising_one_rate_does_not_change_another_fault() {
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
