use clap::builder::styling::Style;

use super::change;
use super::label;
use super::number::count;
use super::sides;
use super::style::{BAD, DOUBTFUL, styled};
use crate::verdict::{FigureChange, Gate, GateOutcome, PointComparison, Verdict};

/// Most lines of a list, so that the summary fits a screen.
const MOST_ROWS: usize = 6;

/// The outcome of a gate on one screen, with the reasons.
pub fn gate(gate: &Gate) -> String {
    let comparison = &gate.comparison;
    let mut text = format!(
        "gate: {}: {} against {}{}\n",
        styled(outcome_style(gate.outcome()), heading(gate.outcome())),
        comparison.after,
        comparison.before,
        label::shown(comparison.simulated.as_deref(), comparison.insecure)
    );
    let differences = sides::differences(comparison);
    text.push_str(&listed("what differs", &differences));
    text.push_str(&format!(
        "{} of {}; changes below {} do not matter\n",
        change::counts(comparison),
        count(comparison.points.len(), "point"),
        change::thresholds(&gate.thresholds)
    ));
    let regressed: Vec<String> = gate.regressions().map(regression).collect();
    text.push_str(&listed("regressed", &regressed));
    text.push_str(&listed("could not tell", &undetermined(gate)));
    text.push_str(&listed("warnings", &sides::remarks(comparison)));
    text.push_str(&hidden(gate));
    text.push_str(&change::error_rate(change::tested(comparison)));
    text.push('\n');
    text
}

fn outcome_style(outcome: GateOutcome) -> Style {
    match outcome {
        GateOutcome::Passed => Style::new(),
        GateOutcome::Regressed => BAD,
        GateOutcome::CouldNotTell => DOUBTFUL,
    }
}

/// The outcome in up to three words.
pub(super) fn heading(outcome: GateOutcome) -> &'static str {
    match outcome {
        GateOutcome::Passed => "passed",
        GateOutcome::Regressed => "REGRESSED",
        GateOutcome::CouldNotTell => "COULD NOT TELL",
    }
}

fn regression((point, entry): (&PointComparison, &FigureChange)) -> String {
    format!(
        "{} {}: {}, allowed {}",
        point.point,
        entry.figure.title(),
        change::sentence(entry),
        change::allowed(entry)
    )
}

/// Points and figures without a verdict, one line each, with doubtful regressions.
pub(super) fn undetermined(gate: &Gate) -> Vec<String> {
    let lines = gate
        .undetermined
        .iter()
        .map(|undetermined| match undetermined.figure {
            Some(figure) => format!(
                "{} {}: {}",
                undetermined.point,
                figure.title(),
                undetermined.reason
            ),
            None => {
                let sure = |entry: &FigureChange| {
                    gate.regressions()
                        .any(|(_, sure)| std::ptr::eq(sure, entry))
                };
                let unsure = |(point, entry): &(&PointComparison, &FigureChange)| {
                    let regressed = entry.verdict == Verdict::Regressed;
                    point.point == undetermined.point && regressed && !sure(entry)
                };
                let unsure = gate.comparison.figure_changes().filter(unsure);
                let figures: Vec<&str> = unsure.map(|(_, f)| f.figure.id()).collect();
                let unsure = match figures.as_slice() {
                    [] => String::new(),
                    figures => format!(" (regressed, if it holds: {})", figures.join(", ")),
                };
                format!("{}: {}{unsure}", undetermined.point, undetermined.reason)
            }
        });
    lines.collect()
}

/// The largest regression that inconclusive figures may hide.
pub(super) fn hidden(gate: &Gate) -> String {
    let Some((worst, point, entry)) = gate.hidden() else {
        return String::new();
    };
    let worst = match entry.figure.larger_is_better() {
        true => -worst,
        false => worst,
    };
    format!(
        "inconclusive figures leave room for a regression of up to {} ({} {}); more runs narrow it\n",
        change::relative(entry, worst),
        point.point,
        entry.figure.title()
    )
}

/// A short list; empty without lines.
fn listed(heading: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let mut text = format!("{heading}:\n");
    for line in lines.iter().take(MOST_ROWS) {
        text.push_str(&format!("  {line}\n"));
    }
    if let Some(more) = lines.len().checked_sub(MOST_ROWS).filter(|more| *more > 0) {
        text.push_str(&format!("  … and {more} more: --markdown FILE has all\n"));
    }
    text
}
