//! The latest run compared with its baseline: the differences, and the change of every figure.

use maud::{Markup, html};

use super::frame::{self, PageContent, plots, table};
use super::links::Page;
use super::view::View;
use crate::report::plot::{ChangeRow, Plot, Table, changes};
use crate::report::{change, plain, sides};
use crate::verdict::{Comparison, Figure, FigureChange, PointComparison, RunSet, Thresholds};

/// The page; `None` without a baseline.
pub(super) fn body(view: &View<'_>) -> Option<PageContent> {
    let comparison = view.comparison.as_ref()?;
    let before = view.source.baseline.as_ref()?;
    let title = format!("{} against {}", view.source.latest.name, before.name);
    let content = html! {
        h1 { (title) }
        (legend(&[("Before", before), ("After", &view.source.latest)]))
        @match comparison {
            Err(why) => p { "These cannot be compared: " (why) },
            Ok(comparison) => { (compared(&ordered(view, comparison))) }
        }
    };
    Some(PageContent {
        page: Page::Comparison,
        title,
        content,
    })
}

/// The comparison with its points in the order of the overview: short prompts first.
fn ordered(view: &View<'_>, comparison: &Comparison) -> Comparison {
    let mut ordered = comparison.clone();
    let place = |point: &PointComparison| {
        let key = point.point.point()?;
        view.points.iter().position(|p| p.key == key)
    };
    ordered.points.sort_by_key(place);
    ordered
}

/// A table of the sides.
pub(super) fn legend(sides: &[(&str, &RunSet)]) -> Markup {
    let row = |(role, side): &(&str, &RunSet)| {
        let facts = [
            side.name.clone(),
            side.server(),
            side.model(),
            sides::contents(side),
            sides::measured(side),
        ];
        [(*role).to_owned()].into_iter().chain(facts).collect()
    };
    let head = ["Side", "Name", "Server", "Model", "Points", "Measured"];
    let sides = Table::new(6, &head).with(sides.iter().map(row));
    table(&sides, "The sides")
}

fn compared(comparison: &Comparison) -> Markup {
    let mut differences = sides::differences(comparison);
    if differences.is_empty() {
        differences.push("nothing that the records contain".to_owned());
    }
    let warnings = sides::warnings(comparison);
    let warnings = Vec::from_iter(warnings.iter().map(|warning| plain(warning)));
    html! {
        p { (change::counts(comparison)) "; changes below " (change::thresholds(&Thresholds::default())) " do not matter. "
            (change::error_rate(change::tested(comparison))) }
        h2 { "What differs" }
        (frame::list(&differences))
        @if !warnings.is_empty() { h2 { "Warnings" } (frame::list(&warnings)) }
        h2 { "Changes by figure" }
        (plots(forests(comparison)))
        h2 { "Every figure" }
        (table(&figure_changes(comparison), "Every figure"))
    }
}

/// A plot for each figure that a point has on both sides.
fn forests(comparison: &Comparison) -> Vec<Plot> {
    let plot = |figure: Figure| {
        let found: Vec<(&PointComparison, &FigureChange)> = comparison
            .figure_changes()
            .filter(|(_, entry)| entry.figure == figure && entry.change.is_ok())
            .collect();
        let threshold = found.first()?.1.threshold;
        let rows = found.iter().filter_map(|(point, entry)| {
            let change = entry.change.as_ref().ok()?;
            Some(ChangeRow {
                name: name(comparison, point),
                relative: change.relative,
                interval: change.interval,
                verdict: entry.verdict,
            })
        });
        let title = format!("Change of {} at each point", figure.title());
        Some(changes(
            &title,
            threshold,
            figure.larger_is_better(),
            rows.collect(),
        ))
    };
    Figure::ALL.into_iter().filter_map(plot).collect()
}

/// A point's name, without the bench if there is only one.
fn name(comparison: &Comparison, point: &PointComparison) -> String {
    let key = &point.point;
    let one = comparison
        .points
        .iter()
        .all(|other| other.point.bench() == key.bench());
    match one {
        true => key.name_in_bench(),
        false => key.to_string(),
    }
}

fn figure_changes(comparison: &Comparison) -> Table {
    let head = [
        "Point",
        "Figure",
        "Verdict",
        "Before",
        "After",
        "Change",
        "95 % interval",
    ];
    let row = |(point, entry): (&PointComparison, &FigureChange)| {
        let [before, after, relative] = change::cells(entry);
        let doubt = if point.doubts.is_empty() {
            ""
        } else {
            " (doubtful)"
        };
        vec![
            name(comparison, point),
            entry.figure.title().to_owned(),
            change::verdict(entry) + doubt,
            before,
            after,
            relative,
            change::interval(entry),
        ]
    };
    Table::new(3, &head).with(comparison.figure_changes().map(row))
}
