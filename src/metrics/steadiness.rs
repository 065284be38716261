//! Whether a load was in a steady state: as many requests ended as arrived, and as many were in flight as their rate
//! and their latency imply.

use std::fmt;
use std::num::NonZeroUsize;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::latency;
use crate::load::Window;

/// An open loop whose arrivals outran the completions: its latencies grow for as long as it runs, and are no figures
/// of the servers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Saturation {
    /// Requests in flight at the end of the first window.
    pub in_flight_at_begin: u64,
    /// Requests in flight at the end of the last window.
    pub in_flight_at_end: u64,
    /// By how many they grew per second (requests/s): the slope of a line through the windows' ends.
    pub growth: f64,
    /// Arrivals that were not sent because `MAX_IN_FLIGHT` requests were in flight.
    pub not_sent: usize,
}

/// Standard deviations of the number in flight beyond which its growth is not chance.
const NOTABLE_DEVIATIONS: f64 = 4.0;

/// Least growth over the measurement as a share of the arrivals.
const NOTABLE_SHARE: f64 = 0.03;

impl Saturation {
    /// Of the windows of one run; `None` in a closed loop, and where the load was steady.
    ///
    /// In a steady state the number in flight at two times differs by chance alone. Around a mean of L it has a
    /// variance of about L where requests do not disturb each other, and of more where they queue: the mean itself is
    /// taken from the windows, so that a busy server is not called saturated.
    pub fn of(windows: &[Window]) -> Option<Saturation> {
        let requests = windows.iter().flat_map(|window| window.requests.iter());
        let not_sent = requests.filter(|request| !request.was_sent()).count();
        let ends = windows
            .iter()
            .filter_map(|w| Some((w.end_ns, w.in_flight?)));
        let ends: Vec<(u64, u64)> = ends.collect();
        let (first, last) = (*ends.first()?, *ends.last()?);
        let growth = slope(&ends);
        let seconds = last.0.saturating_sub(first.0) as f64 * 1e-9;
        let grown = growth * seconds;
        let mean = ends.iter().map(|end| end.1 as f64).sum::<f64>() / ends.len() as f64;
        let ended: usize = windows.iter().skip(1).map(|w| w.requests.len()).sum();
        let by_chance = NOTABLE_DEVIATIONS * (2.0 * mean).sqrt();
        let outran = ends.len() > 2 && grown > by_chance && grown > NOTABLE_SHARE * ended as f64;
        (outran || not_sent > 0).then_some(Saturation {
            in_flight_at_begin: first.1,
            in_flight_at_end: last.1,
            growth,
            not_sent,
        })
    }
}

impl fmt::Display for Saturation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "saturated: arrivals outran completions, from {} to {} requests in flight ({:+.1} per second)",
            self.in_flight_at_begin, self.in_flight_at_end, self.growth
        )?;
        if self.not_sent > 0 {
            write!(f, ", {} not sent", self.not_sent)?;
        }
        f.write_str("; TTFT, E2EL and goodput are n/a, as they depend on how long the load ran")
    }
}

/// The least-squares slope of counts over times (per second); 0 where there is only one time.
fn slope(ends: &[(u64, u64)]) -> f64 {
    let n = ends.len() as f64;
    let origin = ends.first().map_or(0, |end| end.0);
    let seconds = |end: &(u64, u64)| end.0.saturating_sub(origin) as f64 * 1e-9;
    let mean_s = ends.iter().map(seconds).sum::<f64>() / n;
    let mean = ends.iter().map(|end| end.1 as f64).sum::<f64>() / n;
    let products = ends
        .iter()
        .map(|end| (seconds(end) - mean_s) * (end.1 as f64 - mean));
    let squares = ends.iter().map(|end| (seconds(end) - mean_s).powi(2));
    match squares.sum::<f64>() {
        0.0 => 0.0,
        squares => products.sum::<f64>() / squares,
    }
}

/// A contradiction to Little's law: the mean number in flight is the rate of completions × their mean E2EL in any
/// steady state.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LittlesLaw {
    /// Requests in flight, as the load counted them: its concurrency, or the mean over the windows' ends.
    pub in_flight: f64,
    /// Requests that ended per second × their mean E2EL (s).
    pub rate_times_latency: f64,
}

/// A difference that is no contradiction, as a share of the greater.
const TOLERANCE: f64 = 0.2;

impl LittlesLaw {
    /// Of the windows of one run, of a closed loop of `concurrency` or of an open loop; `None` where both agree, and
    /// for another load.
    ///
    /// A window cuts requests at both ends and few requests vary by chance, so a difference counts only beyond three
    /// standard deviations of the number in flight, too.
    pub fn contradiction(
        windows: &[Window],
        concurrency: Option<NonZeroUsize>,
    ) -> Option<LittlesLaw> {
        let closed = concurrency.map(|requests| requests.get() as f64);
        let in_flight = closed.or_else(|| mean_in_flight(windows))?;
        let seconds = Window::total_wall_ns(windows) as f64 * 1e-9;
        // Failed requests were in flight, too.
        let ended = windows.iter().flat_map(|window| window.requests.iter());
        let waited_s: f64 = ended.map(|request| latency::e2el_ns(&request) * 1e-9).sum();
        let rate_times_latency = waited_s / seconds;
        let difference = (rate_times_latency - in_flight).abs();
        let greater = rate_times_latency.max(in_flight);
        let by_chance = 1.0 + 3.0 * (greater / windows.len().max(1) as f64).sqrt();
        (difference > TOLERANCE * greater && difference > by_chance).then_some(LittlesLaw {
            in_flight,
            rate_times_latency,
        })
    }
}

/// The mean number in flight at the ends of an open loop's windows; `None` in a closed loop.
fn mean_in_flight(windows: &[Window]) -> Option<f64> {
    let counts = Vec::from_iter(windows.iter().filter_map(|window| window.in_flight));
    let sum: u64 = counts.iter().sum();
    (!counts.is_empty()).then(|| sum as f64 / counts.len() as f64)
}

impl fmt::Display for LittlesLaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:.1} requests in flight, but rate × latency is {:.1} (Little's law): the load was not steady, or requests wait outside of what is measured; measure longer",
            self.in_flight, self.rate_times_latency
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Preset;
    use crate::load::OPEN;
    use crate::load::Sampling;
    use crate::metrics::Summary;
    use crate::simulation::{VirtualLoad, VirtualSetup};

    fn setup(seed: u64) -> VirtualSetup {
        VirtualSetup {
            seeds: seed.into(),
            ..VirtualSetup::new(Preset::named("sim-small").expect("shipped"))
        }
    }

    fn windows(setup: VirtualSetup) -> Vec<Window> {
        let sampling = Sampling {
            measurement: std::time::Duration::from_secs(20),
            ..Sampling::DEFAULT
        };
        let mut load = VirtualLoad::start(setup).expect("a sound preset");
        sampling.run(&mut load)
    }

    /// What the engine serves with very many requests in flight (req/s).
    fn most_rps(seed: u64) -> f64 {
        let most = windows(VirtualSetup {
            concurrency: NonZeroUsize::new(600).expect("above 0"),
            ..setup(seed)
        });
        Summary::of(&most, 0.0, 1).expect("answers").rps
    }

    fn open(seed: u64, request_rate: f64) -> Vec<Window> {
        windows(VirtualSetup {
            shape: &OPEN,
            request_rate,
            concurrency: NonZeroUsize::new(50_000).expect("above 0"),
            ..setup(seed)
        })
    }

    #[test]
    fn only_a_load_that_arrives_faster_than_it_is_served_is_saturated() {
        for seed in 0..8 {
            let most_rps = most_rps(seed);
            for share in [0.1, 0.5, 0.8] {
                let windows = open(seed, share * most_rps);
                assert_eq!(
                    Saturation::of(&windows),
                    None,
                    "{share} of capacity, seed {seed}"
                );
                assert_eq!(LittlesLaw::contradiction(&windows, None), None, "{share}");
            }
            let windows = open(seed, 1.3 * most_rps);
            let saturation = Saturation::of(&windows).expect("more than it serves");
            assert!(saturation.growth > 0.0 && saturation.not_sent == 0);
            let runs: [&[Window]; 1] = [&windows];
            let summary = Summary::of(&windows, 0.0, 1).expect("answers");
            let summary = summary.with_steadiness(&runs, None);
            assert!(summary.ttft_ms.is_none() && summary.e2el_ms.is_none());
            assert!(summary.rps > 0.0 && summary.tpot_ms.is_some());
        }
    }

    #[test]
    fn arrivals_that_are_not_sent_are_saturation() {
        let windows = windows(VirtualSetup {
            shape: &OPEN,
            request_rate: 100.0,
            concurrency: NonZeroUsize::MIN,
            ..setup(1)
        });
        let saturation = Saturation::of(&windows).expect("one at a time is too few");
        assert!(saturation.not_sent > 100, "{saturation}");
    }

    #[test]
    fn closed_loops_are_never_saturated_and_keep_littles_law() {
        for concurrency in [1, 8, 64].map(|n| NonZeroUsize::new(n).expect("above 0")) {
            let windows = windows(VirtualSetup {
                concurrency,
                ..setup(2)
            });
            assert_eq!(Saturation::of(&windows), None);
            assert_eq!(LittlesLaw::contradiction(&windows, Some(concurrency)), None);
            let more = concurrency.saturating_mul(NonZeroUsize::new(3).expect("above 0"));
            let contradiction = LittlesLaw::contradiction(&windows, Some(more));
            assert!(
                concurrency.get() == 1 || contradiction.is_some(),
                "{concurrency}"
            );
        }
    }

    #[test]
    fn a_stall_shows_in_an_open_loop_and_hides_in_a_closed_one() {
        let p99_ms = |setup: VirtualSetup, rounds: u64| {
            let noise = "stall=0.02:2000".parse().expect("a noise");
            let mut load = VirtualLoad::start(VirtualSetup { noise, ..setup }).expect("sound");
            let windows = [load.window(rounds)];
            let summary = Summary::of(&windows, 0.0, 1).expect("answers");
            (summary.e2el_ms.expect("answers").p99, windows[0].wall_ns())
        };
        let closed = setup(3);
        let (hidden, closed_ns) = p99_ms(
            VirtualSetup {
                concurrency: NonZeroUsize::new(2).expect("two"),
                ..closed
            },
            20_000,
        );
        let (shown, open_ns) = p99_ms(
            VirtualSetup {
                shape: &OPEN,
                request_rate: 20.0,
                concurrency: NonZeroUsize::new(4_096).expect("above 0"),
                ..setup(3)
            },
            16_000,
        );
        assert!(
            closed_ns.min(open_ns) > 600_000_000_000,
            "both ran for many stalls: {closed_ns} and {open_ns} ns"
        );
        assert!(hidden < 500.0, "hidden: {hidden} ms");
        assert!(shown > 1_500.0, "shown: {shown} ms");
    }
}
