//! Horizontal bars: a row for each name.

use super::axis::Axis;
use super::canvas::{PlotFrame, draw};
use super::colors::ColorRole;
use super::plot_types::{Plot, Table};
use crate::report::number::{grouped, value};

/// A bar of a row.
#[derive(Clone, Debug)]
pub(in crate::report) struct Bar {
    pub name: String,
    pub length: f64,
}

/// Most bars that are drawn; the table has all of them.
const MOST: usize = 24;

/// A bar for each name, from the top downwards.
pub(in crate::report) fn bars(title: &str, caption: &str, unit: &str, all: Vec<Bar>) -> Plot {
    if all.is_empty() {
        return Plot::nothing(title, "There are no values.");
    }
    let rows = &all[..all.len().min(MOST)];
    let names = rows.iter().map(|bar| bar.name.clone());
    let frame = PlotFrame {
        height: 150 + 56 * rows.len() as u32,
        ..PlotFrame::new(
            Axis::from_zero(unit, rows.iter().map(|bar| bar.length)),
            Axis::names("", names).downwards(),
        )
    };
    let texts = rows
        .iter()
        .map(|bar| format!("{}: {}", bar.name, value(bar.length)));
    let alt = format!("{title} ({unit}). {}.", Vec::from_iter(texts).join("; "));
    let drawn = draw(&frame, &alt, |panel| {
        for (at, bar) in rows.iter().enumerate() {
            let at = at as f64;
            panel.bar(
                (0.0, at - 0.32),
                (bar.length, at + 0.32),
                ColorRole::Fill(0),
            )?;
        }
        Ok(())
    });
    let cell = |bar: &Bar| match bar.length.fract() == 0.0 {
        true => grouped(bar.length, 0),
        false => value(bar.length),
    };
    let more = match all.len() - rows.len() {
        0 => String::new(),
        more => format!(" {more} more are in the table."),
    };
    let table = Table::new(1, &["Name", unit])
        .with(all.iter().map(|bar| vec![bar.name.clone(), cell(bar)]));
    Plot::new(title, format!("{caption}{more}"), drawn, table)
}
