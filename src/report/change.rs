//! How changes are written, in tables, summaries and files alike.

use clap::builder::styling::Style;

use super::number::{NOT_AVAILABLE, of_needed, value};
use super::style::{BAD, DOUBTFUL, GOOD};
use crate::capacity::UnknownCapacity;
use crate::verdict::{
    Change, Comparison, FALSE_DISCOVERY_RATE, Figure, FigureChange, NotComparable, Thresholds,
    Verdict,
};

/// A relative change: `−4.8 %`.
pub(super) fn percent(share: f64) -> String {
    format!("{} %", signed(share))
}

/// The change of a figure; for a share the difference in percentage points.
pub(super) fn relative(entry: &FigureChange, share: f64) -> String {
    match entry.figure.is_share() {
        true => format!("{} pp", signed(share)),
        false => percent(share),
    }
}

fn signed(share: f64) -> String {
    let text = format!("{:+.1}", 100.0 * share);
    match text.as_str() {
        "-0.0" | "+0.0" => "0.0".to_owned(),
        _ => text.replace('-', "−"),
    }
}

/// A threshold: `3 %`.
pub(super) fn threshold(share: f64) -> String {
    // 7 % is not 7.000000000000001 %.
    format!("{} %", (share * 1e8).round() / 1e6)
}

/// The smallest change of a figure that matters: `3 %`, for a share `1 pp`.
pub(super) fn allowed(entry: &FigureChange) -> String {
    match entry.figure.is_share() {
        true => points(entry.threshold),
        false => threshold(entry.threshold),
    }
}

/// Percentage points: `1 pp`.
fn points(share: f64) -> String {
    threshold(share).replace('%', "pp")
}

/// The cells for the values before and after, and for their change.
pub(super) fn cells(entry: &FigureChange) -> [String; 3] {
    let numbers = |change: &Change| [value(change.before), value(change.after)];
    let values = match (&entry.values, &entry.change) {
        (Some(values), _) => values.clone(),
        (None, Ok(change)) => numbers(change),
        (None, Err(_)) => [NOT_AVAILABLE; 2].map(String::from),
    };
    let [before, after] = values;
    let relative = match &entry.change {
        Ok(change) => relative(entry, change.relative),
        Err(_) => NOT_AVAILABLE.to_owned(),
    };
    [before, after, relative]
}

/// The interval of a change, or briefly why there is none.
pub(super) fn interval(entry: &FigureChange) -> String {
    match &entry.change {
        Ok(change) => {
            let (low, high) = change.interval;
            format!("{} … {}", signed(low), relative(entry, high))
        }
        Err(NotComparable::NotMeasured) => "not measured".to_owned(),
        Err(NotComparable::TooFewWindows { windows, needed }) => {
            format!("{windows} of {needed} windows")
        }
        Err(NotComparable::TooFewValues(few)) => format!("{} values", of_needed(few)),
        Err(NotComparable::UnknownCapacity(why)) => unknown_capacity(why).to_owned(),
        Err(NotComparable::Zero) => "zero".to_owned(),
        Err(NotComparable::OtherSlo) => "different SLO".to_owned(),
    }
}

fn unknown_capacity(why: &UnknownCapacity) -> &'static str {
    match why {
        UnknownCapacity::Partial => "ended early",
        UnknownCapacity::NoLevel => "no level passes",
        UnknownCapacity::OpenAbove => "open above",
        UnknownCapacity::OpenBelow => "open below",
        UnknownCapacity::NotConfirmed(_) => "not confirmed",
        UnknownCapacity::NotMonotone(..) => "not monotone",
    }
}

/// The verdict; for an inconclusive one, by how much its interval exceeds the threshold.
pub(super) fn verdict(entry: &FigureChange) -> String {
    if let Some(withheld) = entry.withheld {
        return format!("inconclusive: {withheld}");
    }
    match (entry.verdict, &entry.change) {
        (Verdict::Inconclusive, Ok(change)) => {
            let (low, high) = change.interval;
            let beyond = low.abs().max(high.abs()) - entry.threshold;
            let unit = if entry.figure.is_share() { "pp" } else { "%" };
            format!("inconclusive, {:.1} {unit} too wide", 100.0 * beyond)
        }
        (verdict, _) => verdict.to_string(),
    }
}

/// How a terminal shows the verdict.
pub(super) fn style(entry: &FigureChange) -> Style {
    match entry.verdict {
        Verdict::Regressed => BAD,
        Verdict::Improved => GOOD,
        Verdict::Unchanged => Style::new(),
        Verdict::Inconclusive => DOUBTFUL,
    }
}

/// `1464 → 1394 (−4.8 %, 95 %: −6.0 … −3.5 %)`, or why there is no change.
pub(super) fn sentence(entry: &FigureChange) -> String {
    let [before, after, relative] = cells(entry);
    match &entry.change {
        Ok(_) => format!("{before} → {after} ({relative}, 95 %: {})", interval(entry)),
        Err(reason) => reason.to_string(),
    }
}

/// The thresholds of the figures, as briefly as possible.
pub(super) fn thresholds(thresholds: &Thresholds) -> String {
    let has_own = |figure: Figure| match figure {
        Figure::Capacity => Some("of the capacity"),
        Figure::Failed => Some("of failed requests"),
        _ => None,
    };
    let all = thresholds.iter();
    let own = all.filter_map(|(figure, share)| {
        let share = if figure.is_share() {
            points(share)
        } else {
            threshold(share)
        };
        Some(format!("{}: {share}", has_own(figure)?))
    });
    let own = Vec::from_iter(own).join(", ");
    let shared = thresholds
        .iter()
        .filter(|(figure, _)| has_own(*figure).is_none());
    let mut shares = Vec::from_iter(shared.map(|(_, share)| share));
    shares.dedup();
    match (shares.as_slice(), own.is_empty()) {
        ([one], true) => threshold(*one),
        ([one], false) => format!("{} ({own})", threshold(*one)),
        _ => {
            let each = thresholds
                .iter()
                .map(|(figure, share)| format!("{} {}", figure.id(), threshold(share)));
            each.collect::<Vec<_>>().join(", ")
        }
    }
}

/// The number of each verdict: `2 regressed, 0 improved, 5 unchanged, 1 inconclusive`.
pub(super) fn counts(comparison: &Comparison) -> String {
    let verdicts = [
        Verdict::Regressed,
        Verdict::Improved,
        Verdict::Unchanged,
        Verdict::Inconclusive,
    ];
    let counts = verdicts.map(|verdict| format!("{} {verdict}", comparison.count(verdict)));
    counts.join(", ")
}

/// The error rate that is controlled, over `tested` figures.
pub(super) fn error_rate(tested: usize) -> String {
    let rate = 100.0 * FALSE_DISCOVERY_RATE;
    format!(
        "False discovery rate {rate:.0} % (Benjamini–Hochberg over all {tested} tests): of the changes called \
         regressed or improved,\nat most {rate:.0} % are none, in expectation; where nothing changed, any is called so \
         with at most {rate:.0} % probability."
    )
}

/// The number of tested figures.
pub(super) fn tested(comparison: &Comparison) -> usize {
    comparison
        .figure_changes()
        .filter(|(_, entry)| entry.change.is_ok())
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::TooFewValues;

    #[test]
    fn figures_and_changes_are_written_for_people() {
        assert_eq!(value(1464.28), "1464");
        assert_eq!(value(45.741), "45.74");
        assert_eq!(percent(-0.0481), "−4.8 %");
        assert_eq!(percent(-0.0001), "0.0 %");
        assert_eq!(threshold(0.07), "7 %");
        assert_eq!(threshold(0.025), "2.5 %");
        let all: Thresholds = "tok_s=3%,rps=3%".parse().expect("valid");
        assert_eq!(thresholds(&all), "3 %");
        let each: Thresholds = "tok_s=3%,ttft_p99=10%".parse().expect("valid");
        assert_eq!(thresholds(&each), "tok_s 3 %, ttft_p99 10 %");
    }

    #[test]
    fn an_inconclusive_change_says_by_how_much() {
        let entry = |change| FigureChange {
            figure: Figure::TokS,
            threshold: 0.03,
            change,
            adjusted_p: None,
            verdict: Verdict::Inconclusive,
            withheld: None,
            values: None,
        };
        let wide = entry(Ok(Change {
            before: 1464.0,
            after: 1440.0,
            relative: -0.016,
            interval: (-0.052, 0.021),
            p_value: 0.3,
        }));
        assert_eq!(verdict(&wide), "inconclusive, 2.2 % too wide");
        assert_eq!(sentence(&wide), "1464 → 1440 (−1.6 %, 95 %: −5.2 … +2.1 %)");
        let few = entry(Err(NotComparable::TooFewValues(TooFewValues {
            values: 80,
            needed: 1_000,
        })));
        assert_eq!(verdict(&few), "inconclusive");
        assert_eq!(interval(&few), "80 of 1,000 values");
    }
}
