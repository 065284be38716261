//! The latest run against its baseline: what differs, and every figure's change.

use maud::{Markup, html};

use super::frame::{self, Body, plots, table};
use super::links::Page;
use super::view::View;
use crate::report::plot::{ChangeRow, Plot, Table, changes};
use crate::report::{change, sides};
use crate::verdict::{Comparison, Figure, Finding, PointComparison, RunSet, Thresholds};

/// `None` where there is nothing to compare with.
pub(super) fn body(view: &View<'_>) -> Option<Body> {
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
    Some(Body {
        page: Page::Comparison,
        title,
        content,
    })
}

/// With the points in the order of the overview: short prompts first.
fn ordered(view: &View<'_>, comparison: &Comparison) -> Comparison {
    let mut ordered = comparison.clone();
    let place = |point: &PointComparison| view.points.iter().position(|p| *p.key == point.point);
    ordered.points.sort_by_key(place);
    ordered
}

/// What each side is.
pub(super) fn legend(sides: &[(&str, &RunSet)]) -> Markup {
    let row = |(role, side): &(&str, &RunSet)| {
        let points = sides::count(side.points().len(), "point");
        let facts = [
            side.name.clone(),
            side.server(),
            sides::models(side),
            points,
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
        differences.push("nothing that the records know of".to_owned());
    }
    let warnings = sides::warnings(comparison);
    html! {
        p { (change::counts(comparison)) "; changes below " (change::thresholds(&Thresholds::default())) " do not matter. "
            (change::error_rate(change::tested(comparison))) }
        h2 { "What differs" }
        (frame::list(&differences))
        @if !warnings.is_empty() { h2 { "Warnings" } (frame::list(&warnings)) }
        h2 { "Changes by figure" }
        (plots(forests(comparison)))
        h2 { "Every figure" }
        (table(&findings(comparison), "Every figure"))
    }
}

/// A plot for each figure that any point has on both sides.
fn forests(comparison: &Comparison) -> Vec<Plot> {
    let plot = |figure: Figure| {
        let found: Vec<(&PointComparison, &Finding)> = comparison
            .findings()
            .filter(|(_, finding)| finding.figure == figure && finding.change.is_ok())
            .collect();
        let threshold = found.first()?.1.threshold;
        let rows = found.iter().filter_map(|(point, finding)| {
            let change = finding.change.as_ref().ok()?;
            Some(ChangeRow {
                name: name(comparison, point),
                relative: change.relative,
                interval: change.interval,
                verdict: finding.verdict,
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

/// A point's name, without the bench's where there is but one.
fn name(comparison: &Comparison, point: &PointComparison) -> String {
    let key = &point.point;
    let one = comparison
        .points
        .iter()
        .all(|other| other.point.bench == key.bench);
    match one {
        true => format!("{} c={}", key.prompt, key.concurrency),
        false => key.to_string(),
    }
}

fn findings(comparison: &Comparison) -> Table {
    let head = [
        "Point",
        "Figure",
        "Verdict",
        "Before",
        "After",
        "Change",
        "95 % interval",
    ];
    let row = |(point, finding): (&PointComparison, &Finding)| {
        let [before, after, relative] = change::cells(finding);
        let doubt = if point.doubts.is_empty() {
            ""
        } else {
            " (doubtful)"
        };
        vec![
            name(comparison, point),
            finding.figure.title().to_owned(),
            change::verdict(finding) + doubt,
            before,
            after,
            relative,
            change::interval(finding),
        ]
    };
    Table::new(3, &head).with(comparison.findings().map(row))
}
