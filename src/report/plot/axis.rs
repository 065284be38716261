//! Axes: range, and positions of labels.

use std::ops::Range;

use crate::level::Level;
use crate::report::number::grouped;

/// An axis of a plot.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Its quantity, with the unit.
    pub label: String,
    /// Its range.
    pub range: Range<f64>,
    /// Positions and texts of labels.
    pub ticks: Vec<(f64, String)>,
}

/// Approximate number of labels of an axis.
const TICKS: f64 = 5.0;

impl Axis {
    /// From zero to a little above the greatest of `values`.
    pub fn from_zero(label: impl Into<String>, values: impl IntoIterator<Item = f64>) -> Axis {
        let most = values
            .into_iter()
            .filter(|value| value.is_finite())
            .fold(0.0, f64::max);
        Axis::linear(label, 0.0, if most > 0.0 { most * 1.06 } else { 1.0 })
    }

    /// Exactly from `low` to `high`.
    pub fn linear(label: impl Into<String>, low: f64, high: f64) -> Axis {
        let high = if high > low { high } else { low + 1.0 };
        let step = nice_step((high - low) / TICKS);
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let decimals = decimals(step);
        let tick = |at: i64| (at as f64 * step, grouped(at as f64 * step, decimals));
        Axis {
            label: label.into(),
            range: low..high,
            ticks: (first..=last).map(tick).collect(),
        }
    }

    /// Shares from zero to `high`, written in percent.
    pub fn percent(label: impl Into<String>, high: f64) -> Axis {
        let percent = Axis::linear(label, 0.0, 100.0 * high);
        let ticks = percent.ticks.into_iter();
        Axis {
            label: percent.label,
            range: 0.0..high,
            ticks: ticks
                .map(|(at, label)| (at / 100.0, label + " %"))
                .collect(),
        }
    }

    /// Levels, with equal distances for equal ratios of their values: a label for each level, unless it
    /// stands too near to another.
    pub fn levels(label: impl Into<String>, levels: &[Level]) -> Axis {
        // The rate `max` has no place among numbers.
        let levels = levels.iter().filter(|level| level.value().is_finite());
        let places: Vec<f64> = levels.clone().map(|level| place(level.value())).collect();
        let (low, high) = extent(places.iter().copied()).unwrap_or((0.0, 1.0));
        let room = 0.06 * (high - low).max(1.0);
        let mut axis = Axis {
            label: label.into(),
            range: low - room..high + room,
            ticks: Vec::new(),
        };
        let apart = (high - low) / 16.0;
        let mut last = f64::NEG_INFINITY;
        for (at, level) in places.into_iter().zip(levels) {
            if at - last > apart {
                axis.ticks.push((at, level.value_text()));
                last = at;
            }
        }
        axis
    }

    /// Names beside each other, at 0, 1, 2 and so on.
    pub fn names(label: impl Into<String>, names: impl IntoIterator<Item = String>) -> Axis {
        let ticks: Vec<(f64, String)> = names
            .into_iter()
            .enumerate()
            .map(|(at, name)| (at as f64, name))
            .collect();
        Axis {
            label: label.into(),
            range: -0.6..ticks.len() as f64 - 0.4,
            ticks,
        }
    }

    /// The axis reversed: names of rows run from the top downwards.
    pub fn downwards(mut self) -> Axis {
        self.range = self.range.end..self.range.start;
        self
    }
}

/// Position of a level's value on an axis of [`Axis::levels`].
pub(super) fn place(value: f64) -> f64 {
    value.log2()
}

/// Least and greatest of the finite values.
pub(super) fn extent(values: impl IntoIterator<Item = f64>) -> Option<(f64, f64)> {
    let finite = values.into_iter().filter(|value| value.is_finite());
    finite.fold(None, |extent, value| {
        let (low, high) = extent.unwrap_or((value, value));
        Some((low.min(value), high.max(value)))
    })
}

/// A round step of at least `least`: 1, 2, 2.5 or 5 times a power of ten.
fn nice_step(least: f64) -> f64 {
    let power = 10.0_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 2.5, 5.0, 10.0];
    let step = steps.into_iter().find(|step| step * power >= least * 0.999);
    step.unwrap_or(10.0) * power
}

/// Decimals that distinguish multiples of a step.
fn decimals(step: f64) -> usize {
    (0..6)
        .find(|digits| {
            let scaled = step * 10.0_f64.powi(*digits as i32);
            (scaled - scaled.round()).abs() < 1e-6
        })
        .unwrap_or(6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn labels_are_round_numbers_and_name_every_level() {
        let axis = Axis::from_zero("tok/s", [3_000.0, f64::NAN]);
        assert_eq!(labels(&axis), ["0", "1,000", "2,000", "3,000"]);
        assert_eq!(
            labels(&Axis::linear("", 0.0, 0.1)),
            ["0.00", "0.02", "0.04", "0.06", "0.08", "0.10"]
        );
        assert_eq!(
            labels(&Axis::linear("", -10.0, 10.0)),
            ["−10", "−5", "0", "5", "10"]
        );
        assert_eq!(
            labels(&Axis::percent("", 0.01)),
            ["0.0 %", "0.2 %", "0.4 %", "0.6 %", "0.8 %", "1.0 %"]
        );
        let few = ["c=1", "c=8", "c=32"].map(|level| level.parse().unwrap());
        assert_eq!(labels(&Axis::levels("", &few)), ["1", "8", "32"]);
        let many = (1..=100).map(|c| format!("c={c}").parse().unwrap());
        let many: Vec<Level> = many.collect();
        assert!(Axis::levels("", &many).ticks.len() < 20);
    }

    #[test]
    fn no_value_and_one_value_have_an_axis() {
        assert_eq!(Axis::from_zero("", []).range, 0.0..1.0);
        assert!(Axis::levels("", &["c=8".parse().unwrap()]).range.start < 3.0);
        assert_eq!(Axis::linear("", 3.0, 3.0).range, 3.0..4.0);
    }
}
