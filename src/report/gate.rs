use super::change;
use super::label;
use super::sides;
use crate::verdict::{Finding, Gate, Outcome, PointComparison, Verdict};

/// Most rows of a list, so that the summary fits a screen.
const MOST_ROWS: usize = 6;

/// The answer of a gate on one screen: what it is, why, and what it could not see.
pub fn gate(gate: &Gate) -> String {
    let comparison = &gate.comparison;
    let mut text = format!(
        "gate: {}: {} against {}{}\n",
        heading(gate.outcome()),
        comparison.after,
        comparison.before,
        label::of(comparison.simulated.as_deref(), comparison.insecure)
    );
    let differences = sides::differences(comparison);
    text.push_str(&listed("what differs", &differences));
    text.push_str(&format!(
        "{} of {}; changes below {} do not matter\n",
        change::counts(comparison),
        sides::count(comparison.points.len(), "point"),
        change::thresholds(&gate.thresholds)
    ));
    let regressed: Vec<String> = gate.regressions().map(regression).collect();
    text.push_str(&listed("regressed", &regressed));
    text.push_str(&listed("could not tell", &unknown(gate)));
    text.push_str(&listed("warnings", &sides::remarks(comparison)));
    text.push_str(&hidden(gate));
    text.push_str(&change::error_rate(change::tested(comparison)));
    text.push('\n');
    text
}

/// The answer in a word or three.
pub(super) fn heading(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Passed => "passed",
        Outcome::Regressed => "REGRESSED",
        Outcome::CouldNotTell => "COULD NOT TELL",
    }
}

fn regression((point, finding): (&PointComparison, &Finding)) -> String {
    format!(
        "{} {}: {}, allowed {}",
        point.point,
        finding.figure.title(),
        change::sentence(finding),
        change::allowed(finding)
    )
}

/// What could not be told, one line each; regressions that are not sure are among it.
pub(super) fn unknown(gate: &Gate) -> Vec<String> {
    let lines = gate.unknown.iter().map(|unknown| match unknown.figure {
        Some(figure) => format!("{} {}: {}", unknown.point, figure.title(), unknown.reason),
        None => {
            let sure = |finding: &Finding| {
                gate.regressions()
                    .any(|(_, sure)| std::ptr::eq(sure, finding))
            };
            let unsure = |(point, finding): &(&PointComparison, &Finding)| {
                let regressed = finding.verdict == Verdict::Regressed;
                point.point == unknown.point && regressed && !sure(finding)
            };
            let unsure = gate.comparison.findings().filter(unsure);
            let figures: Vec<&str> = unsure.map(|(_, f)| f.figure.id()).collect();
            let unsure = match figures.as_slice() {
                [] => String::new(),
                figures => format!(" (regressed, if it holds: {})", figures.join(", ")),
            };
            format!("{}: {}{unsure}", unknown.point, unknown.reason)
        }
    });
    lines.collect()
}

/// How large a regression the inconclusive figures leave room for.
pub(super) fn hidden(gate: &Gate) -> String {
    let Some((worst, point, finding)) = gate.hidden() else {
        return String::new();
    };
    let worst = match finding.figure.larger_is_better() {
        true => -worst,
        false => worst,
    };
    format!(
        "inconclusive figures leave room for a regression of up to {} ({} {}); more runs narrow it\n",
        change::relative(finding, worst),
        point.point,
        finding.figure.title()
    )
}

/// A short list; nothing without lines.
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
