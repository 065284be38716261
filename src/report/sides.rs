//! What the sides of a comparison are, what differs between them, and what is wrong with them.

use std::collections::BTreeSet;

use crate::results::RunRecord;
use crate::verdict::{Comparison, PointComparison, RunSet};

/// The letter by which tables call a side: A is the first.
pub(super) fn letter(at: usize) -> String {
    let letter = char::from_u32('A' as u32 + (at % 26) as u32).unwrap_or('?');
    // More than 26 versions: A2 follows Z.
    match at / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{}", round + 1),
    }
}

/// What each letter stands for.
pub(super) fn legend(sides: &[RunSet]) -> String {
    let width = sides.iter().map(|side| side.name.chars().count()).max();
    let width = width.unwrap_or(0);
    let line = |(at, side): (usize, &RunSet)| {
        format!(
            "{}  {:width$}  {}, {}, {}, {}\n",
            letter(at),
            side.name,
            side.server(),
            models(side),
            count(side.points().len(), "point"),
            measured(side)
        )
    };
    sides.iter().enumerate().map(line).collect()
}

pub(super) fn models(side: &RunSet) -> String {
    let models: BTreeSet<String> = side.records().map(RunRecord::model).collect();
    Vec::from_iter(models).join(", ")
}

/// `1 point`, `2 points`.
pub(super) fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    }
}

/// When a side was measured, and in how many runs of each point.
pub(super) fn measured(side: &RunSet) -> String {
    let runs = side.points().values().map(|records| {
        let runs = records.iter().map(RunRecord::run_count);
        runs.sum::<usize>()
    });
    let ended = side.records().map(RunRecord::ended).max();
    let ended = ended.unwrap_or_default().format("%Y-%m-%d %H:%M UTC");
    match runs.max() {
        Some(runs) if runs > 1 => format!("{runs} runs each, the last ended {ended}"),
        _ => format!("ended {ended}"),
    }
}

/// What differs between the sides, one line each.
pub(super) fn differences(comparison: &Comparison) -> Vec<String> {
    let differences = comparison.differences.iter();
    differences
        .map(|d| {
            let shown = |text: &str| match text {
                "" => "none".to_owned(),
                text => text.to_owned(),
            };
            format!("{}: {} → {}", d.what, shown(&d.before), shown(&d.after))
        })
        .collect()
}

/// What else must be known of the sides and of the points' measurements, one line each.
pub(super) fn remarks(comparison: &Comparison) -> Vec<String> {
    let of_sides = comparison.warnings.iter().cloned();
    let of_points = of_points(comparison, |point| &point.warnings);
    of_sides.chain(of_points).collect()
}

fn of_points(comparison: &Comparison, lines: fn(&PointComparison) -> &[String]) -> Vec<String> {
    let points = comparison.points.iter();
    let lines = points.flat_map(|point| {
        let lines = lines(point).iter();
        lines.map(move |line| format!("{}: {line}", point.point))
    });
    lines.collect()
}

/// What makes figures doubtful, the remarks, and what only one side has; one line each.
pub(super) fn warnings(comparison: &Comparison) -> Vec<String> {
    let mut doubts = of_points(comparison, |point| &point.doubts);
    doubts.extend(remarks(comparison));
    let missing = comparison
        .missing
        .iter()
        .map(|(point, side)| format!("{point}: {side} has not measured it"));
    doubts.into_iter().chain(missing).collect()
}

/// Lines under a heading; nothing without lines.
pub(super) fn section(heading: &str, lines: &[String]) -> String {
    match lines {
        [] => String::new(),
        lines => format!("{heading}\n- {}\n\n", lines.join("\n- ")),
    }
}
