use std::collections::BTreeMap;
use std::str::FromStr;

use super::Figure;
use crate::results::ResultKey;

/// The figures to compare, each with the smallest relative change that matters.
#[derive(Clone, Debug, PartialEq)]
pub struct Thresholds(BTreeMap<Figure, f64>);

impl Default for Thresholds {
    /// The figures that are compared by default, each with its default threshold.
    fn default() -> Thresholds {
        Thresholds::of(Figure::ALL.into_iter().filter(|f| f.is_default()))
    }
}

impl Thresholds {
    /// These figures with their default thresholds: 3 %, for a capacity 5 %, for the share of failed requests 1
    /// percentage point.
    pub fn of(figures: impl IntoIterator<Item = Figure>) -> Thresholds {
        let figures = figures.into_iter();
        Thresholds(
            figures
                .map(|figure| (figure, figure.default_threshold()))
                .collect(),
        )
    }

    /// Adds the figures of `other`, or changes their thresholds.
    pub fn extend(&mut self, other: &Thresholds) {
        self.0.extend(&other.0);
    }

    /// The figures of a result, with their thresholds.
    pub fn of_result(&self, result: &ResultKey) -> impl Iterator<Item = (Figure, f64)> {
        self.iter().filter(|(figure, _)| figure.is_of(result))
    }

    /// Whether a result is to be compared: without any figure each is, to see whether it can be.
    pub(super) fn include(&self, result: &ResultKey) -> bool {
        self.0.is_empty() || self.of_result(result).next().is_some()
    }

    /// Figures and thresholds, in the order of [`Figure::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = (Figure, f64)> {
        self.0
            .iter()
            .map(|(figure, threshold)| (*figure, *threshold))
    }
}

/// A text that is not a valid list of thresholds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{entry:?} {problem}; write figures with their thresholds like tok_s=3%,ttft_p99=10%")]
pub struct ThresholdsError {
    entry: String,
    problem: String,
}

impl FromStr for Thresholds {
    type Err = ThresholdsError;

    /// Parses `tok_s=3%,ttft_p99=10%`: only these figures.
    fn from_str(text: &str) -> Result<Thresholds, ThresholdsError> {
        let entries = text.split(',').map(|entry| {
            let error = |problem: String| ThresholdsError {
                entry: entry.trim().to_owned(),
                problem,
            };
            let (name, share) = entry
                .split_once('=')
                .ok_or_else(|| error("has no threshold".to_owned()))?;
            let figure = Figure::named(name.trim()).ok_or_else(|| {
                let names = Figure::ALL.map(Figure::id).join(", ");
                error(format!("is not a valid figure, such as {names}"))
            })?;
            let percent = share.trim().strip_suffix('%');
            let percent = percent.and_then(|percent| percent.trim().parse::<f64>().ok());
            let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 1000.0);
            let percent = percent.ok_or_else(|| {
                error("has no valid percentage, above 0 and at most 1000".to_owned())
            })?;
            Ok((figure, percent / 100.0))
        });
        entries.collect::<Result<_, _>>().map(Thresholds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_names_figures_and_their_thresholds() {
        let thresholds: Thresholds = "ttft_p99 = 10%,tok_s=2.5 %".parse().expect("valid");
        let read: Vec<_> = thresholds.iter().collect();
        assert_eq!(read, [(Figure::TokS, 0.025), (Figure::TtftP99, 0.1)]);
        let mut all = Thresholds::default();
        all.extend(&thresholds);
        assert_eq!(all.iter().count(), 12);
        assert_eq!(all.iter().next(), Some((Figure::TokS, 0.025)));
        assert_eq!(all.iter().nth(1), Some((Figure::Rps, 0.03)));
        assert_eq!(all.iter().last(), Some((Figure::Capacity, 0.05)));
    }

    #[test]
    fn an_invalid_threshold_is_reported() {
        for (text, words) in [
            ("tok_s", "has no threshold"),
            ("toks=3%", "is not a valid figure, such as tok_s"),
            ("tok_s=3", "has no valid percentage"),
            ("tok_s=-3%", "has no valid percentage"),
            ("tok_s=3%,,", "has no threshold"),
        ] {
            let error = text.parse::<Thresholds>().expect_err(text).to_string();
            assert!(error.contains(words), "{text}: {error}");
            assert!(error.contains("tok_s=3%,ttft_p99=10%"), "{error}");
        }
    }
}
