//! The sides of a comparison, the differences between them, and warnings about them.

use super::number::count;
use super::style::{DOUBTFUL, styled};
use crate::results::RunRecord;
use crate::verdict::{Comparison, PointComparison, RunSet};

/// The letter of a side in tables: A is the first.
pub(super) fn letter(at: usize) -> String {
    let letter = char::from_u32('A' as u32 + (at % 26) as u32).unwrap_or('?');
    // More than 26 versions: A2 follows Z.
    match at / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{}", round + 1),
    }
}

/// The side of each letter.
pub(super) fn legend(sides: &[RunSet]) -> String {
    let width = sides.iter().map(|side| side.name.chars().count()).max();
    let width = width.unwrap_or(0);
    let line = |(at, side): (usize, &RunSet)| {
        format!(
            "{}  {:width$}  {}, {}, {}, {}\n",
            letter(at),
            side.name,
            side.server(),
            side.model(),
            contents(side),
            measured(side)
        )
    };
    sides.iter().enumerate().map(line).collect()
}

/// The number of its points and capacities.
pub(super) fn contents(side: &RunSet) -> String {
    let points = count(side.points().len(), "point");
    match side.capacities().len() {
        0 => points,
        1 => format!("{points} and 1 capacity"),
        capacities => format!("{points} and {capacities} capacities"),
    }
}

/// When a side was measured, and the number of runs of each point.
pub(super) fn measured(side: &RunSet) -> String {
    let runs = side.points().values().map(|records| {
        let runs = records.iter().map(RunRecord::run_count);
        runs.sum::<usize>()
    });
    let ended = side
        .ended()
        .unwrap_or_default()
        .format("%Y-%m-%d %H:%M UTC");
    match runs.max() {
        Some(runs) if runs > 1 => format!("{runs} runs each, the last ended {ended}"),
        _ => format!("ended {ended}"),
    }
}

/// The differences between the sides, one line each.
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

/// Warnings about the sides and their points, one line each.
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

/// Doubts, warnings and points of only one side, one line each; doubts in their style.
pub(super) fn warnings(comparison: &Comparison) -> Vec<String> {
    let mut doubts = of_points(comparison, |point| &point.doubts);
    for doubt in &mut doubts {
        *doubt = styled(DOUBTFUL, doubt);
    }
    doubts.extend(remarks(comparison));
    let missing = comparison
        .missing
        .iter()
        .map(|(point, side)| format!("{point}: {}", point.missing_in(side)));
    doubts.into_iter().chain(missing).collect()
}

/// Lines under a heading; empty without lines.
pub(super) fn section(heading: &str, lines: &[String]) -> String {
    match lines {
        [] => String::new(),
        lines => format!("{heading}\n- {}\n\n", lines.join("\n- ")),
    }
}
