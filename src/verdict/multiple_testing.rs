//! Multiple testing: p-values adjusted over all comparisons, and the verdicts from them.

use super::Change;

/// Expected share of false alarms among the changes called *regressed* or *improved*. If nothing changed, this
/// is the probability of calling anything changed.
pub const FALSE_DISCOVERY_RATE: f64 = 0.05;

/// What a change means for the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Worse, by the threshold or more.
    Regressed,
    /// Better, by the threshold or more.
    Improved,
    /// Any change is smaller than the threshold.
    Unchanged,
    /// None of the above.
    Inconclusive,
}

impl Verdict {
    /// The verdict on a change with its adjusted p-value, if changes below `threshold` (a share) do not matter.
    ///
    /// A figure is called regressed or improved if its change is significant among all tests and its estimate
    /// reaches the threshold; it is unchanged if the whole interval lies within the threshold.
    pub(super) fn of(
        change: &Change,
        adjusted_p: f64,
        threshold: f64,
        larger_is_better: bool,
    ) -> Verdict {
        let (low, high) = change.interval;
        if adjusted_p < FALSE_DISCOVERY_RATE && change.relative.abs() >= threshold {
            match (change.relative > 0.0) == larger_is_better {
                true => Verdict::Improved,
                false => Verdict::Regressed,
            }
        } else if -threshold < low && high < threshold {
            Verdict::Unchanged
        } else {
            Verdict::Inconclusive
        }
    }

    /// `regressed`, `improved`, `unchanged` or `inconclusive`.
    pub fn id(self) -> &'static str {
        match self {
            Verdict::Regressed => "regressed",
            Verdict::Improved => "improved",
            Verdict::Unchanged => "unchanged",
            Verdict::Inconclusive => "inconclusive",
        }
    }
}

impl std::fmt::Display for Verdict {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

/// Adjusts p-values so that calling those below α changed has a false discovery rate of at most α
/// (Benjamini and Hochberg 1995, which holds for figures that rise and fall together, too: Benjamini and
/// Yekutieli 2001).
pub(super) fn adjusted(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*b].total_cmp(&p_values[*a]));
    let tests = p_values.len() as f64;
    let (mut adjusted, mut least) = (vec![1.0; p_values.len()], 1.0_f64);
    for (position, at) in order.into_iter().enumerate() {
        let rank = tests - position as f64;
        least = least.min(p_values[at] * tests / rank);
        adjusted[at] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(relative: f64, half: f64) -> Change {
        Change {
            before: 100.0,
            after: 100.0 * (1.0 + relative),
            relative,
            interval: (relative - half, relative + half),
            p_value: 0.01,
        }
    }

    #[test]
    fn a_verdict_takes_significance_and_size() {
        let cases = [
            (-0.05, 0.01, 0.01, true, Verdict::Regressed),
            (-0.05, 0.01, 0.01, false, Verdict::Improved),
            (0.05, 0.01, 0.01, true, Verdict::Improved),
            (0.05, 0.01, 0.01, false, Verdict::Regressed),
            (-0.05, 0.06, 0.30, true, Verdict::Inconclusive),
            (-0.02, 0.005, 0.01, true, Verdict::Unchanged),
            (-0.02, 0.015, 0.01, true, Verdict::Inconclusive),
            (0.001, 0.01, 0.90, true, Verdict::Unchanged),
        ];
        for (relative, half, p, larger_is_better, expected) in cases {
            let verdict = Verdict::of(&change(relative, half), p, 0.03, larger_is_better);
            assert_eq!(verdict, expected, "{relative} ± {half}, p = {p}");
        }
    }

    #[test]
    fn p_values_are_adjusted_as_r_does() {
        // p.adjust(c(0.01, 0.02, 0.03, 0.5, 0.04), "BH")
        let adjusted = adjusted(&[0.01, 0.02, 0.03, 0.5, 0.04]);
        let expected = [0.05, 0.05, 0.05, 0.5, 0.05];
        for (adjusted, expected) in adjusted.iter().zip(expected) {
            assert!((adjusted - expected).abs() < 1e-12, "{adjusted} {expected}");
        }
        assert_eq!(super::adjusted(&[]), [0.0; 0]);
    }
}
