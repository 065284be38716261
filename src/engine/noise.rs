//! Noise of the step times, by seed.
//!
//! ```text
//! time of a step = run × drift(t) × jitter × exact time + stalls
//! ```
//! *run* is drawn once per run and *drift* changes slowly (both belong to the machine: see
//! [`Seeds`]); *jitter* is drawn in every step. All three are log-normal with mean 1, so that
//! noise does not change the long-run mean. *Stalls* are a Poisson process and add their
//! length. As on real servers, windows are autocorrelated and runs differ: the known truth
//! against which the statistics are tested.

use std::fmt;
use std::str::FromStr;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Poisson, StandardNormal};
use serde::{Deserialize, Serialize};

use super::option_text::{Grammar, OptionTextError};
use super::parameters::first_invalid;
use super::text::mix;

const GRAMMAR: Grammar = Grammar {
    option: "noise",
    example: "step=0.02,drift=0.01:30,run=0.01,stall=0.1:200",
};

/// How much of each kind of noise there is. The default is none.
///
/// In text form `step=0.02,drift=0.01:30,run=0.01,stall=0.1:200`: the numbers after
/// a colon are the drift's correlation time in seconds and a stall's length in
/// milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Noise {
    /// Standard deviation of the logarithm of each step's time.
    pub step_sigma: f64,
    /// Standard deviation of the logarithm of the slow drift.
    pub drift_sigma: f64,
    /// Correlation time of the drift (s): after it, 63 % of a deviation has decayed.
    pub drift_time_s: f64,
    /// Standard deviation of the logarithm of the run's own offset.
    pub run_sigma: f64,
    /// Stalls per second of simulated work.
    pub stalls_per_s: f64,
    /// Length of a stall (ms).
    pub stall_ms: f64,
}

impl Noise {
    /// Describes why this noise is invalid; `None` for a valid one.
    pub fn problem(&self) -> Option<String> {
        let invalid = first_invalid(&[
            ("step_sigma", self.step_sigma),
            ("drift_sigma", self.drift_sigma),
            ("drift_time_s", self.drift_time_s),
            ("run_sigma", self.run_sigma),
            ("stalls_per_s", self.stalls_per_s),
            ("stall_ms", self.stall_ms),
        ]);
        if let Some(name) = invalid {
            return Some(format!("{name} must be a number of 0 or more"));
        }
        if self.drift_sigma > 0.0 && self.drift_time_s == 0.0 {
            return Some("drift_sigma needs a drift_time_s above 0".to_owned());
        }
        None
    }
}

impl FromStr for Noise {
    type Err = OptionTextError;

    fn from_str(text: &str) -> Result<Noise, OptionTextError> {
        let mut noise = Noise::default();
        for entry in GRAMMAR.entries(text) {
            let entry = entry?;
            let value = GRAMMAR.number(entry, entry.value)?;
            let extra = |meaning| {
                let extra = GRAMMAR.extra(entry, meaning)?;
                GRAMMAR.number(entry, extra)
            };
            match entry.name {
                "step" => {
                    GRAMMAR.no_extra(entry)?;
                    noise.step_sigma = value;
                }
                "run" => {
                    GRAMMAR.no_extra(entry)?;
                    noise.run_sigma = value;
                }
                "drift" => {
                    noise.drift_sigma = value;
                    noise.drift_time_s = extra("its correlation time in seconds")?;
                }
                "stall" => {
                    noise.stalls_per_s = value;
                    noise.stall_ms = extra("its length in milliseconds")?;
                }
                _ => {
                    let problem = "there is no such noise; the kinds are step, drift, run, stall";
                    return Err(GRAMMAR.error(entry.text, problem));
                }
            }
        }
        match noise.problem() {
            Some(problem) => Err(GRAMMAR.error(text, problem)),
            None => Ok(noise),
        }
    }
}

impl fmt::Display for Noise {
    /// The text form; empty without noise.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.step_sigma > 0.0 {
            parts.push(format!("step={}", self.step_sigma));
        }
        if self.drift_sigma > 0.0 {
            parts.push(format!("drift={}:{}", self.drift_sigma, self.drift_time_s));
        }
        if self.run_sigma > 0.0 {
            parts.push(format!("run={}", self.run_sigma));
        }
        if self.stalls_per_s > 0.0 {
            parts.push(format!("stall={}:{}", self.stalls_per_s, self.stall_ms));
        }
        f.write_str(&parts.join(","))
    }
}

/// Seeds of a run's noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seeds {
    /// The machine: the run's offset, and the drift as a function of time. Two servers that are
    /// measured in turns share it.
    pub machine: u64,
    /// Jitter and stalls.
    pub steps: u64,
}

impl From<u64> for Seeds {
    fn from(seed: u64) -> Seeds {
        Seeds {
            machine: seed,
            steps: seed,
        }
    }
}

/// The noise of one replica in one run, step by step.
#[derive(Debug)]
pub(super) struct NoiseProcess {
    noise: Noise,
    rng: StdRng,
    run_factor: f64,
    drift: Drift,
}

/// The drift in standard deviations: an Ornstein-Uhlenbeck process, drawn at even intervals and
/// interpolated between them, so that it depends only on the time and not on the calls.
#[derive(Debug)]
struct Drift {
    rng: StdRng,
    interval_ns: f64,
    /// Share of a deviation that remains after an interval.
    kept: f64,
    /// Number of intervals before the current one.
    passed: u64,
    /// The drift at the start and at the end of the current interval.
    ends: (f64, f64),
}

/// Intervals in a correlation time.
const DRIFT_INTERVALS: f64 = 16.0;

impl Drift {
    fn new(time_s: f64, mut rng: StdRng) -> Drift {
        let kept = (-1.0 / DRIFT_INTERVALS).exp();
        let start = rng.sample(StandardNormal);
        let mut drift = Drift {
            rng,
            // Without drift there is no correlation time, and the value is not used.
            interval_ns: (time_s * 1e9 / DRIFT_INTERVALS).max(1.0),
            kept,
            passed: 0,
            ends: (start, start),
        };
        drift.ends.1 = drift.next();
        drift
    }

    /// The drift one interval after the end of the current one.
    fn next(&mut self) -> f64 {
        let fresh: f64 = self.rng.sample(StandardNormal);
        self.ends.1 * self.kept + (1.0 - self.kept * self.kept).sqrt() * fresh
    }

    /// The drift at `now_ns`, which must not decrease between calls.
    fn at(&mut self, now_ns: u64) -> f64 {
        let intervals = now_ns as f64 / self.interval_ns;
        let skipped = (intervals as u64).saturating_sub(self.passed);
        for _ in 0..skipped.min(MOST_STEPS) {
            self.ends = (self.ends.1, self.next());
        }
        self.passed += skipped;
        let (start, end) = self.ends;
        start + (end - start) * intervals.fract()
    }
}

/// Most intervals that are drawn one by one: after 65,536 correlation times the start no longer matters.
const MOST_STEPS: u64 = 1 << 20;

impl NoiseProcess {
    /// Creates the process of `seeds`. Replicas of a run share its offset only.
    pub(super) fn new(noise: Noise, seeds: Seeds, replica: usize) -> NoiseProcess {
        let own = |seed| StdRng::seed_from_u64(mix(mix(seed) ^ mix(replica as u64)));
        let mut run_rng = StdRng::seed_from_u64(mix(seeds.machine));
        let run_factor = log_normal(noise.run_sigma, run_rng.sample(StandardNormal));
        NoiseProcess {
            noise,
            // Differs from the drift's stream even if both seeds are equal.
            rng: own(!seeds.steps),
            run_factor,
            drift: Drift::new(noise.drift_time_s, own(seeds.machine)),
        }
    }

    /// The duration of a step that begins at `now_ns` and takes `exact_ns` without noise.
    pub(super) fn apply(&mut self, now_ns: u64, exact_ns: f64) -> f64 {
        let noise = self.noise;
        let mut time_ns = exact_ns * self.run_factor;
        if noise.drift_sigma > 0.0 {
            time_ns *= log_normal(noise.drift_sigma, self.drift.at(now_ns));
        }
        if noise.step_sigma > 0.0 {
            time_ns *= log_normal(noise.step_sigma, self.rng.sample(StandardNormal));
        }
        time_ns + self.draw_stalls(time_ns) * noise.stall_ms * 1e6
    }

    /// The number of stalls in `time_ns` of work, which is Poisson distributed.
    fn draw_stalls(&mut self, time_ns: f64) -> f64 {
        // There is no distribution for a mean of zero, nor for an excessive one.
        match Poisson::new(self.noise.stalls_per_s * time_ns * 1e-9) {
            Ok(stalls) => stalls.sample(&mut self.rng),
            Err(_) => 0.0,
        }
    }
}

/// The log-normal value of mean 1 that lies `z` standard deviations out.
fn log_normal(sigma: f64, z: f64) -> f64 {
    (sigma * z - sigma * sigma / 2.0).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXACT_NS: f64 = 1e6;

    /// Step times one after another.
    fn steps(noise: Noise, seed: u64, count: usize) -> Vec<f64> {
        let mut process = NoiseProcess::new(noise, seed.into(), 0);
        let mut now_ns = 0;
        let step = |_| {
            let time = process.apply(now_ns, EXACT_NS);
            now_ns += time as u64;
            time
        };
        (0..count).map(step).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    /// Correlation of each value with the one `lag` later.
    fn autocorrelation(values: &[f64], lag: usize) -> f64 {
        let mean = mean(values);
        let spread = |pair: (&f64, &f64)| (pair.0 - mean) * (pair.1 - mean);
        let covariance: f64 = values.iter().zip(&values[lag..]).map(spread).sum();
        covariance / values.iter().zip(values).map(spread).sum::<f64>()
    }

    #[test]
    fn without_noise_a_step_is_exact() {
        assert_eq!(steps(Noise::default(), 1, 3), [EXACT_NS; 3]);
    }

    #[test]
    fn jitter_keeps_the_mean_and_follows_the_seed() {
        let noise: Noise = "step=0.2".parse().expect("valid");
        let times = steps(noise, 1, 20_000);
        let ratio = mean(&times) / EXACT_NS;
        assert!((ratio - 1.0).abs() < 0.01, "mean ratio {ratio}");
        assert!(autocorrelation(&times, 1).abs() < 0.05);
        assert_eq!(times, steps(noise, 1, 20_000));
        assert_ne!(times, steps(noise, 2, 20_000));
    }

    #[test]
    fn drift_is_correlated_over_its_time_and_decays_after() {
        // 1,000 steps of 1 ms are one correlation time.
        let noise: Noise = "drift=0.1:1".parse().expect("valid");
        let times = steps(noise, 3, 400_000);
        let (near, far) = (autocorrelation(&times, 100), autocorrelation(&times, 5_000));
        assert!((0.8..0.97).contains(&near), "e^-0.1 = 0.90, got {near}");
        assert!(far.abs() < 0.25, "e^-5 = 0.007, got {far}");
        let ratio = mean(&times) / EXACT_NS;
        assert!((ratio - 1.0).abs() < 0.05, "mean ratio {ratio}");
    }

    #[test]
    fn servers_of_one_machine_share_drift_and_offset_but_not_jitter() {
        let seeds = |steps| Seeds { machine: 7, steps };
        let times = |noise: &str, steps, start_ns: u64, stride: u64| -> Vec<f64> {
            let mut process = NoiseProcess::new(noise.parse().expect("valid"), seeds(steps), 0);
            let at = |k| start_ns + stride * k;
            (0..50).map(|k| process.apply(at(k), EXACT_NS)).collect()
        };
        let second = 1_000_000_000;
        let slow = "drift=0.05:10,run=0.02";
        assert_eq!(times(slow, 1, 0, second), times(slow, 2, 0, second));
        // A server that starts later has the same drift from there on.
        let late = times(slow, 2, 20 * second, second);
        assert_eq!(times(slow, 1, 0, second)[20..], late[..30]);
        assert_ne!(
            times("step=0.05", 1, 0, second),
            times("step=0.05", 2, 0, second)
        );
    }

    #[test]
    fn a_run_has_one_offset_for_all_replicas_and_runs_differ() {
        let noise: Noise = "run=0.05".parse().expect("valid");
        let first = |seed: u64, replica| {
            NoiseProcess::new(noise, Seeds::from(seed), replica).apply(0, EXACT_NS)
        };
        assert_eq!(first(1, 0), first(1, 1));
        let runs: Vec<f64> = (0..2_000).map(|seed| first(seed, 0) / EXACT_NS).collect();
        let average = mean(&runs);
        let squares: Vec<f64> = runs.iter().map(|run| (run - average).powi(2)).collect();
        assert!((average - 1.0).abs() < 0.01, "{average}");
        let deviation = mean(&squares).sqrt();
        assert!((0.045..0.055).contains(&deviation), "{deviation}");
    }

    #[test]
    fn stalls_come_at_their_rate_with_their_length() {
        // One in ten steps of 1 ms on average.
        let noise: Noise = "stall=100:7".parse().expect("valid");
        let times = steps(noise, 5, 20_000);
        let stalls: f64 = times.iter().map(|time| (time - EXACT_NS) / 7e6).sum();
        assert!((1_800.0..2_200.0).contains(&stalls), "{stalls} of 2,000");
        assert!(times.contains(&(EXACT_NS + 7e6)));
    }

    #[test]
    fn the_text_form_is_parsed_and_formatted() {
        let text = "step=0.02,drift=0.01:30,run=0.01,stall=0.1:200";
        let noise: Noise = text.parse().expect("valid");
        assert_eq!(noise.to_string(), text);
        assert_eq!(noise.drift_time_s, 30.0);
        assert_eq!("".parse(), Ok(Noise::default()));
        for (text, words) in [
            ("step", "has no value"),
            ("step=-1", "not a number"),
            ("step=1:2", "nothing after a colon"),
            ("drift=0.1", "correlation time"),
            ("drift=0.1:0", "drift_time_s above 0"),
            ("stall=1", "length in milliseconds"),
            ("hum=1", "no such noise"),
        ] {
            let error = text.parse::<Noise>().expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
