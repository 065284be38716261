//! Relative changes with their intervals, a row for each point.

use super::axis::{Axis, extent};
use super::canvas::{PlotFrame, draw};
use super::colors::ColorRole;
use super::plot_types::{LegendEntry, Plot, Table};
use crate::report::change::{percent, threshold as shown};
use crate::verdict::Verdict;

/// A change of one figure.
#[derive(Clone, Debug)]
pub(in crate::report) struct ChangeRow {
    pub name: String,
    /// After ÷ before − 1.
    pub relative: f64,
    /// 95 % interval of it.
    pub interval: (f64, f64),
    pub verdict: Verdict,
}

/// Color and marker of a verdict.
fn series(verdict: Verdict) -> usize {
    match verdict {
        Verdict::Regressed => 1,
        Verdict::Improved => 2,
        Verdict::Unchanged => 0,
        Verdict::Inconclusive => 3,
    }
}

/// Most rows of a plot; the table has all of them.
const MOST: usize = 40;

/// Changes beyond this (as a share) are drawn at the edge.
const FARTHEST: f64 = 3.0;

pub(in crate::report) fn changes(
    title: &str,
    threshold: f64,
    larger_is_better: bool,
    all: Vec<ChangeRow>,
) -> Plot {
    let rows = &all[..all.len().min(MOST)];
    let ends = rows.iter().flat_map(|row| [row.interval.0, row.interval.1]);
    let range = extent(ends.chain([-1.5 * threshold, 1.5 * threshold]));
    let Some((low, high)) = range.filter(|_| !rows.is_empty()) else {
        return Plot::nothing(title, "No point has it on both sides.");
    };
    let (low, high) = (1.05 * low.max(-1.0), 1.05 * high.min(FARTHEST));
    let mut x = Axis::linear("change", low, high);
    for (at, label) in &mut x.ticks {
        *label = percent(*at).replace(".0 %", " %");
    }
    let names = rows.iter().map(|row| row.name.clone());
    let frame = PlotFrame {
        height: 150 + 44 * rows.len() as u32,
        ..PlotFrame::new(x, Axis::names("", names).downwards())
    };
    let texts = rows
        .iter()
        .map(|row| format!("{}: {} {}", row.name, percent(row.relative), row.verdict));
    let alt = format!("{title}. {}.", Vec::from_iter(texts).join("; "));
    let drawn = draw(&frame, &alt, |panel| {
        let (top, bottom) = (panel.y_range().start, panel.y_range().end);
        panel.bar((-threshold, top), (threshold, bottom), ColorRole::Within)?;
        panel.line(&[(0.0, top), (0.0, bottom)], ColorRole::Axis)?;
        for (at, row) in rows.iter().enumerate() {
            let (at, series) = (at as f64, series(row.verdict));
            let within = |change: f64| change.clamp(low, high);
            let (from, to) = (within(row.interval.0), within(row.interval.1));
            panel.interval([(from, at), (to, at)], series)?;
            panel.marker((within(row.relative), at), series, false)?;
        }
        Ok(())
    });
    let better = if larger_is_better { "right" } else { "left" };
    let caption = format!(
        "A marker is the change, the line its 95 % interval; further {better} is better. Within the band of ±{} a \
         change does not matter.",
        shown(threshold)
    );
    Plot::new(title, caption, drawn, table(&all)).with_legend(legend(rows))
}

fn legend(rows: &[ChangeRow]) -> Vec<LegendEntry> {
    let all = [
        Verdict::Regressed,
        Verdict::Improved,
        Verdict::Unchanged,
        Verdict::Inconclusive,
    ];
    let seen = all
        .into_iter()
        .filter(|v| rows.iter().any(|row| row.verdict == *v));
    seen.map(|verdict| {
        LegendEntry::new(verdict.id(), |panel| {
            panel.interval([(0.1, 0.5), (0.9, 0.5)], series(verdict))?;
            panel.marker((0.5, 0.5), series(verdict), false)
        })
    })
    .collect()
}

fn table(rows: &[ChangeRow]) -> Table {
    let row = |row: &ChangeRow| {
        let (low, high) = row.interval;
        vec![
            row.name.clone(),
            row.verdict.to_string(),
            percent(row.relative),
            format!("{} … {}", percent(low), percent(high)),
        ]
    };
    Table::new(2, &["Point", "Verdict", "Change", "95 % interval"]).with(rows.iter().map(row))
}
