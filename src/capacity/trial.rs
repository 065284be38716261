use std::fmt;

use rand::Rng;
use rand_distr::{Beta, Distribution as _};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use statrs::distribution::{Beta as BetaLaw, ContinuousCDF};

use super::objective::Objective;
use crate::level::Level;
use crate::load::Window;
use crate::metrics::Saturation;

/// Requests of a level, and those that missed an objective.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Count {
    /// Requests that it judges.
    pub requests: u64,
    /// Those that missed it.
    pub missed: u64,
    /// How much more the windows differ than independent requests would (Pearson's statistic over its degrees of
    /// freedom, and what the correlation of neighbouring windows adds), at least 1: each request has this much less
    /// weight.
    pub dispersion: f64,
}

/// Whether a level meets an objective, at a confidence of 97.5 %.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Judgement {
    /// It does.
    Passes,
    /// It does not.
    Fails,
    /// Too few requests, or too close to the limit.
    CannotTell,
}

impl fmt::Display for Judgement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Judgement::Passes => "passes",
            Judgement::Fails => "fails",
            Judgement::CannotTell => "cannot tell",
        })
    }
}

/// The probability that a judgement is wrong.
const ERROR: f64 = 0.025;

impl Count {
    /// Of windows, each given as missed and all requests.
    pub fn of(windows: impl Iterator<Item = (u64, u64)>) -> Count {
        let windows: Vec<(u64, u64)> = windows.filter(|(_, all)| *all > 0).collect();
        let missed: u64 = windows.iter().map(|window| window.0).sum();
        let requests: u64 = windows.iter().map(|window| window.1).sum();
        let share = missed as f64 / requests.max(1) as f64;
        // How far each window is from its expectation, in standard deviations of independent requests.
        let deviations = windows.iter().map(|(missed, all)| {
            let (missed, all) = (*missed as f64, *all as f64);
            (missed - all * share) / (all * share * (1.0 - share)).sqrt()
        });
        let deviations = Vec::from_iter(deviations);
        let squares: f64 = deviations
            .iter()
            .map(|deviation| deviation * deviation)
            .sum();
        let dispersion = squares / windows.len().saturating_sub(1) as f64;
        let dispersion = dispersion * inflation(&deviations, squares);
        Count {
            requests,
            missed,
            // Not a number where no request missed it, or all did.
            dispersion: dispersion.clamp(1.0, requests.max(1) as f64).max(1.0),
        }
    }

    /// Together with another count of the same level.
    pub fn with(self, other: Count) -> Count {
        let weight = |count: &Count| count.requests as f64;
        let both = (weight(&self) + weight(&other)).max(1.0);
        let dispersions = self.dispersion * weight(&self) + other.dispersion * weight(&other);
        Count {
            requests: self.requests + other.requests,
            missed: self.missed + other.missed,
            dispersion: (dispersions / both).max(1.0),
        }
    }

    /// Missed and all requests, as so many independent ones.
    fn independent(self) -> (f64, f64) {
        let weight = 1.0 / self.dispersion;
        (self.missed as f64 * weight, self.requests as f64 * weight)
    }

    /// The share that missed it.
    pub fn share(self) -> f64 {
        self.missed as f64 / self.requests.max(1) as f64
    }

    /// The exact 95 % interval of the share [Clopper and Pearson 1934], which is that of the percentile by order
    /// statistics.
    pub fn interval(self) -> (f64, f64) {
        let (missed, all) = self.independent();
        let quantile = |a: f64, b: f64, at: f64| BetaLaw::new(a, b).map(|law| law.inverse_cdf(at));
        let upper = quantile(missed + 1.0, all - missed, 1.0 - ERROR).unwrap_or(1.0);
        let lower = quantile(missed, all - missed + 1.0, ERROR).unwrap_or(0.0);
        (lower, upper)
    }

    /// Judges by the interval of the share.
    pub fn judge(self, allowed: f64) -> Judgement {
        let (lower, upper) = self.interval();
        match () {
            () if upper <= allowed => Judgement::Passes,
            () if lower > allowed => Judgement::Fails,
            () => Judgement::CannotTell,
        }
    }

    /// How far the share is beyond the allowed one: the logarithm of their ratio, below 0 within it. As counted, with
    /// its weight (1 ÷ variance).
    pub(super) fn margin(self, allowed: f64) -> (f64, f64) {
        let (missed, all) = self.independent();
        let share = (missed + 0.5) / (all + 1.0);
        let weight = (missed + 0.5) / (1.0 - share).max(1e-9);
        ((share / allowed).ln(), weight)
    }

    /// The same, as it may be in truth: drawn from what the counts leave open (with Jeffreys' prior).
    pub(super) fn drawn_margin(self, allowed: f64, rng: &mut impl Rng) -> f64 {
        let (missed, all) = self.independent();
        let share = Beta::new(missed + 0.5, (all - missed).max(0.0) + 0.5);
        let share = share.map_or(0.5, |law| law.sample(rng));
        (share.max(f64::MIN_POSITIVE) / allowed.max(f64::MIN_POSITIVE)).ln()
    }
}

/// What was seen at a level.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The level.
    pub level: Level,
    /// For each objective.
    pub counts: Vec<Count>,
    /// Completed requests per second, for the length of the next trial.
    pub rps: f64,
    /// Whether arrivals outran completions: then no longer trial would pass.
    pub is_saturated: bool,
}

/// By how much the variance of a mean of windows exceeds that of independent ones, by the correlation of neighbours: a
/// queue that fills slowly is in all of them.
fn inflation(deviations: &[f64], squares: f64) -> f64 {
    let count = deviations.len() as f64;
    let products = deviations.windows(2).map(|pair| pair[0] * pair[1]);
    // Of independent windows it is -1 ÷ their number in expectation.
    let correlation = products.sum::<f64>() / squares + 1.0 / count;
    let most = (count - 1.0) / (count + 1.0);
    match correlation > 0.0 {
        true => (1.0 + correlation.min(most)) / (1.0 - correlation.min(most)),
        // Also where it is undefined, as no request missed it.
        false => 1.0,
    }
}

impl Trial {
    /// Of the windows of one load.
    pub fn of(level: Level, windows: &[Window], objectives: &[Objective]) -> Trial {
        let completed: usize = windows.iter().map(Window::succeeded).sum();
        Trial {
            level,
            counts: objectives.iter().map(|o| o.count(windows)).collect(),
            rps: completed as f64 / (Window::total_wall_ns(windows) as f64 * 1e-9),
            is_saturated: Saturation::of(windows).is_some(),
        }
    }

    /// The worst judgement of all objectives.
    pub fn judge(&self, objectives: &[Objective]) -> Judgement {
        if self.is_saturated {
            return Judgement::Fails;
        }
        let judged = objectives.iter().zip(&self.counts);
        let mut judged = judged.map(|(objective, count)| count.judge(objective.allowed));
        judged
            .try_fold(Judgement::Passes, |worst, next| match (worst, next) {
                (_, Judgement::Fails) => Err(Judgement::Fails),
                (Judgement::CannotTell, _) | (_, Judgement::CannotTell) => {
                    Ok(Judgement::CannotTell)
                }
                _ => Ok(Judgement::Passes),
            })
            .unwrap_or_else(|fails| fails)
    }

    /// Together with another trial of the same level.
    pub(super) fn with(mut self, other: &Trial) -> Trial {
        let pairs = self.counts.iter_mut().zip(&other.counts);
        pairs.for_each(|(count, more)| *count = count.with(*more));
        self.is_saturated |= other.is_saturated;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(missed: u64, requests: u64) -> Count {
        Count::of([(missed, requests)].into_iter())
    }

    #[test]
    fn too_few_requests_cannot_tell() {
        // Of 20 requests none tells whether 1 % would miss; of 368 that none missed it is known.
        assert_eq!(count(0, 20).judge(0.01), Judgement::CannotTell);
        assert_eq!(count(0, 365).judge(0.01), Judgement::CannotTell);
        assert_eq!(count(0, 370).judge(0.01), Judgement::Passes);
        assert_eq!(count(2, 20).judge(0.01), Judgement::Fails);
        assert_eq!(count(50, 1_000).judge(0.05), Judgement::CannotTell);
        assert_eq!(count(0, 0).judge(0.01), Judgement::CannotTell);
        assert_eq!(count(5, 5).judge(0.01), Judgement::Fails);
    }

    #[test]
    fn windows_that_differ_beyond_chance_have_less_weight() {
        let even = Count::of([(5, 100); 10].into_iter());
        assert_eq!(even.dispersion, 1.0);
        let bursts = Count::of((0..10).map(|window| (if window == 3 { 50 } else { 0 }, 100)));
        assert!(bursts.dispersion > 30.0, "{bursts:?}");
        assert_eq!((even.missed, bursts.missed), (50, 50));
        assert_eq!(even.judge(0.03), Judgement::Fails);
        assert_eq!(bursts.judge(0.03), Judgement::CannotTell);
    }
}
