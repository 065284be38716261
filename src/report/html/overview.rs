//! The overview page: facts, the best points, verdicts, and plots for each prompt.

use maud::{Markup, html};

use super::capacity;
use super::frame::{self, PageContent, table};
use super::links::Page;
use super::prompt_plots::Levels;
use super::run_facts::{self, configuration, is_client_bound};
use super::view::{PointView, View};
use crate::metrics::Percentile;
use crate::report::change;
use crate::report::columns::Column;
use crate::report::number::{NOT_AVAILABLE, grouped, value};
use crate::report::plot::Table;
use crate::report::{columns, notes};
use crate::verdict::{Comparison, Estimate, NotComparable, Verdict};

pub(super) fn body(view: &View<'_>) -> PageContent {
    let benches: Vec<&[PointView<'_>]> = view
        .points
        .chunk_by(|a, b| a.key.bench == b.key.bench)
        .collect();
    let names: Vec<&str> = benches.iter().map(|points| &*points[0].key.bench).collect();
    let title = match names.is_empty() {
        true => "Nothing was measured".to_owned(),
        false => names.join(", "),
    };
    let content = html! {
        h1 { (title) }
        @if benches.is_empty() {
            p { "There is no record of a point. Measure first: " code { "cargo bench --bench chat_throughput" } }
        }
        (frame::list(&view.source.notes))
        @for points in &benches { (measured(view, points)) }
        (capacity::answers(view))
        (verdicts(view))
        @for points in &benches { (figures(view, points)) }
    };
    PageContent {
        page: Page::Overview,
        title,
        content,
    }
}

/// The facts of a bench, and its best points.
fn measured(view: &View<'_>, points: &[PointView<'_>]) -> Markup {
    let all: Vec<&PointView<'_>> = points.iter().collect();
    html! {
        h2 { "What " (points[0].key.bench) " measured" }
        (frame::facts(&run_facts::measured(&all)))
        @if let Some(point) = points.last() {
            details {
                summary { "Whole configuration" }
                (table(&configuration(point.record), "Configuration"))
            }
        }
        (cards(view, points))
    }
}

/// The points of a bench, and the plots of its prompts.
fn figures(view: &View<'_>, points: &[PointView<'_>]) -> Markup {
    let rows: Vec<_> = points.iter().map(|point| point.row.clone()).collect();
    html! {
        h2 { "All points of " (points[0].key.bench) }
        (point_table(view, points))
        (frame::list(&notes(&rows)))
        @for points in points.chunk_by(of_one_load) {
            (prompt(view, points))
        }
    }
}

/// Whether two points have one prompt, and levels of one kind.
fn of_one_load(a: &PointView<'_>, b: &PointView<'_>) -> bool {
    a.key.prompt == b.key.prompt && a.key.level.quantity() == b.key.level.quantity()
}

fn prompt(view: &View<'_>, points: &[PointView<'_>]) -> Markup {
    let first = &points[0];
    let baseline = view.source.baseline.as_ref().map(|side| side.name.clone());
    let levels = Levels {
        points,
        before: view.before(points),
        baseline: baseline.unwrap_or_default(),
    };
    html! {
        h2 { (first.key.bench) " / " (first.key.prompt) " (" (first.record.lengths().prompt) " prompt tokens)" }
        p {
            "Each point in detail: "
            @for (at, point) in points.iter().enumerate() {
                @if at > 0 { ", " }
                (point_link(view, &Page::Overview, point, &point.key.level.to_string()))
            }
        }
        (frame::plots(levels.plots()))
    }
}

/// A link to a point's page.
pub(super) fn point_link(
    view: &View<'_>,
    from: &Page,
    point: &PointView<'_>,
    text: &str,
) -> Markup {
    let to = Page::Point(point.key.clone());
    html! { a href=(view.packaging.link(from, &to)) { (text) } }
}

/// Cards with the main figures.
fn cards(view: &View<'_>, points: &[PointView<'_>]) -> Markup {
    type Rate = fn(&PointView<'_>) -> Option<f64>;
    let best = |rate: Rate| {
        let rated = points
            .iter()
            .filter_map(|point| Some((rate(point)?, point)));
        rated.max_by(|a, b| a.0.total_cmp(&b.0))
    };
    let tok_s = best(|point| point.row.summary()?.output_tok_s);
    let goodput = best(|point| point.row.summary()?.goodput);
    let ttft = best(|point| {
        let ttft = point.row.summary()?.ttft_ms?;
        Some(-ttft.percentile(Percentile::P50).ok()?)
    });
    let card = |what: &str, figure: String, point: &PointView<'_>| {
        html! {
            div.card {
                (what) b { (figure) }
                "at " (point_link(view, &Page::Overview, point, &point.key.name_in_bench()))
                @if is_client_bound(point.record) { " " span.mark { "client-bound" } }
                @if point.row.partial.is_some() { " " span.mark { "partial" } }
            }
        }
    };
    html! {
        div.cards {
            @if let Some((rate, point)) = tok_s {
                (card("Best point: most output", format!("{} tok/s", grouped(rate, 0)), point))
                @if let Some(gpus) = point.row.num_gpu {
                    (card("The same per GPU", format!("{} tok/s", grouped(rate / f64::from(gpus), 0)), point))
                }
            }
            @if let Some((rate, point)) = goodput {
                (card("Most goodput within the SLO", format!("{} req/s", value(rate)), point))
            }
            @if let Some((ttft, point)) = ttft {
                (card("Shortest TTFT P50", format!("{} ms", value(-ttft)), point))
            }
        }
    }
}

/// A table of the points with their figures, and the interval of tok/s.
fn point_table(view: &View<'_>, points: &[PointView<'_>]) -> Markup {
    let (original, latency) = (&columns::ORIGINAL, &columns::LATENCY);
    let figures: [(&str, &Column); 13] = [
        ("tok/s per GPU", &original[5]),
        ("RPS (req/s)", &original[3]),
        ("Goodput (req/s)", &columns::CONTEXT[0]),
        ("TTFT P50 (ms)", &latency[0][1]),
        ("TTFT P95 (ms)", &latency[0][3]),
        ("TTFT P99 (ms)", &latency[0][4]),
        ("TTFT P99.9 (ms)", &latency[0][5]),
        ("TPOT P50 (ms)", &latency[1][1]),
        ("E2EL P50 (ms)", &original[1]),
        ("E2EL P95 (ms)", &latency[3][3]),
        ("E2EL P99 (ms)", &original[2]),
        ("E2EL P99.9 (ms)", &latency[3][5]),
        ("Failed", &columns::CONTEXT[2]),
    ];
    // Columns of n/a are left out; the notes below give the reasons.
    let rows: Vec<_> = points.iter().map(|point| point.row.clone()).collect();
    let shown = |(_, column): &(&str, &Column)| column.is_shown(&rows);
    let figures: Vec<(&str, &Column)> = figures.into_iter().filter(shown).collect();
    html! {
        div.scroll tabindex="0" role="region" aria-label="All points" {
            table {
                thead {
                    tr {
                        th.w scope="col" { "Point" }
                        th.w scope="col" { "Remarks" }
                        th scope="col" { "Output tok/s" }
                        th scope="col" { "95 % interval" }
                        @for (head, _) in &figures { th scope="col" { (head) } }
                    }
                }
                tbody {
                    @for point in points {
                        tr {
                            td.w { (point_link(view, &Page::Overview, point, &point.key.name_in_bench())) }
                            td.w { @for mark in marks(point) { span.mark { (mark) } " " } }
                            td { (original[4].cell(&point.row)) }
                            td { (interval(&point.tok_s)) }
                            @for (_, column) in &figures { td { (column.cell(&point.row)) } }
                        }
                    }
                }
            }
        }
        @if points.iter().any(|point| point.is_older) {
            p.note { "“older run”: the last run of this bench did not measure the point again; each point's page has its date." }
        }
    }
}

/// The marks of a point.
pub(super) fn marks(point: &PointView<'_>) -> Vec<&'static str> {
    let is_saturated = point.row.summary().is_some_and(|s| s.saturation.is_some());
    let marks = [
        (point.row.summary().is_none(), "failed"),
        (point.row.partial.is_some(), "partial"),
        (is_saturated, "saturated"),
        (point.is_older, "older run"),
        (is_client_bound(point.record), "client-bound"),
        (point.row.simulated.is_some(), "simulated"),
    ];
    let is = marks.into_iter().filter(|(is, _)| *is);
    is.map(|(_, mark)| mark).collect()
}

/// An interval, or briefly why there is none.
pub(super) fn interval(estimate: &Result<Estimate, NotComparable>) -> String {
    match estimate {
        Ok(Estimate {
            interval: (low, high),
            ..
        }) => {
            format!("{} … {}", value(*low), value(*high))
        }
        Err(NotComparable::TooFewWindows { windows, needed }) => {
            format!("{NOT_AVAILABLE}: {windows} of {needed} windows")
        }
        Err(reason) => format!("{NOT_AVAILABLE}: {reason}"),
    }
}

/// A summary of the verdicts against the baseline.
fn verdicts(view: &View<'_>) -> Markup {
    let name = view.source.baseline.as_ref().map_or("", |side| &side.name);
    html! {
        h2 { "Against the baseline" }
        @match &view.comparison {
            None => p {
                "There is no comparable baseline. Save this run to compare the next one with it: "
                code { "servemark baseline save" }
            },
            Some(Err(why)) => p { "This run cannot be compared with " (name) ": " (why) },
            Some(Ok(comparison)) => {
                p {
                    "Against " b { (name) } ": " (change::counts(comparison)) ". "
                    a href=(view.packaging.link(&Page::Overview, &Page::Comparison)) { "Comparison in full" }
                }
                (changed(comparison))
            }
        }
    }
}

/// Most changes shown in the overview.
const MOST_CHANGES: usize = 12;

/// The figures that regressed or improved.
fn changed(comparison: &Comparison) -> Markup {
    let is_change = |verdict| matches!(verdict, Verdict::Regressed | Verdict::Improved);
    let mut found: Vec<_> = comparison
        .figure_changes()
        .filter(|(_, entry)| is_change(entry.verdict))
        .collect();
    // Regressions first: readers look for them.
    found.sort_by_key(|(_, entry)| entry.verdict != Verdict::Regressed);
    let more = found.len().saturating_sub(MOST_CHANGES);
    let rows = found.iter().take(MOST_CHANGES).map(|(point, entry)| {
        let doubt = if point.doubts.is_empty() {
            ""
        } else {
            " (doubtful)"
        };
        vec![
            point.point.to_string(),
            entry.figure.title().to_owned(),
            format!("{}{doubt}", entry.verdict),
            change::sentence(entry),
        ]
    });
    let rows = Table::new(3, &["Point", "Figure", "Verdict", "Change"]).with(rows);
    html! {
        @if !found.is_empty() { (table(&rows, "What regressed or improved")) }
        @if more > 0 { p.soft { (more) " more changes are on the comparison page." } }
    }
}
