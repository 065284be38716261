//! The first page: what was measured, the best point, the verdicts, and each prompt's plots.

use maud::{Markup, html};

use super::facts::{self, NOT_AVAILABLE, configuration, is_client_bound};
use super::frame::{self, Body, table};
use super::links::Page;
use super::prompt_plots::Levels;
use super::view::{PointView, View};
use crate::report::change;
use crate::report::columns::Column;
use crate::report::plot::{Table, grouped};
use crate::report::{columns, notes};
use crate::verdict::{Comparison, Known, Unclear, Verdict};

pub(super) fn body(view: &View<'_>) -> Body {
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
        (verdicts(view))
        @for points in &benches { (figures(view, points)) }
    };
    Body {
        page: Page::Overview,
        title,
        content,
    }
}

/// What a bench measured, and its best points.
fn measured(view: &View<'_>, points: &[PointView<'_>]) -> Markup {
    let all: Vec<&PointView<'_>> = points.iter().collect();
    html! {
        h2 { "What " (points[0].key.bench) " measured" }
        (frame::facts(&facts::measured(&all)))
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
        @for points in points.chunk_by(|a, b| a.key.prompt == b.key.prompt) {
            (prompt(view, points))
        }
    }
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
        h2 { (first.key.bench) " / " (first.key.prompt) " (" (first.record.prompt_tokens) " prompt tokens)" }
        p {
            "Each point in detail: "
            @for (at, point) in points.iter().enumerate() {
                @if at > 0 { ", " }
                (point_link(view, &Page::Overview, point, &format!("c={}", point.key.concurrency)))
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
    html! { a href=(view.form.link(from, &to)) { (text) } }
}

/// The figures that matter first.
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
    let ttft = best(|point| Some(-point.row.summary()?.ttft_ms?.p50));
    let name = |point: &PointView<'_>| format!("{} c={}", point.key.prompt, point.key.concurrency);
    let card = |what: &str, figure: String, point: &PointView<'_>| {
        html! {
            div.card {
                (what) b { (figure) }
                "at " (point_link(view, &Page::Overview, point, &name(point)))
                @if is_client_bound(point.record) { " " span.mark { "client-bound" } }
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
                (card("Most goodput within the SLO", format!("{} req/s", change::value(rate)), point))
            }
            @if let Some((ttft, point)) = ttft {
                (card("Shortest TTFT P50", format!("{} ms", change::value(-ttft)), point))
            }
        }
    }
}

/// Every point with its figures, and the interval of tok/s.
fn point_table(view: &View<'_>, points: &[PointView<'_>]) -> Markup {
    let (original, latency) = (&columns::ORIGINAL, &columns::LATENCY);
    let figures: [(&str, &Column); 9] = [
        ("tok/s per GPU", &original[5]),
        ("RPS (req/s)", &original[3]),
        ("Goodput (req/s)", &columns::CONTEXT[0]),
        ("TTFT P50 (ms)", &latency[0][1]),
        ("TTFT P99 (ms)", &latency[0][3]),
        ("TPOT P50 (ms)", &latency[1][1]),
        ("E2EL P50 (ms)", &original[1]),
        ("E2EL P99 (ms)", &original[2]),
        ("Failed", &columns::CONTEXT[2]),
    ];
    // A column of nothing but n/a says less than its absence; the notes below have the reasons.
    let known = |(_, column): &(&str, &Column)| {
        let cells = points.iter().map(|point| column.cell(&point.row));
        cells.into_iter().any(|cell| cell != NOT_AVAILABLE)
    };
    let figures: Vec<(&str, &Column)> = figures.into_iter().filter(known).collect();
    let name = |point: &PointView<'_>| format!("{} c={}", point.key.prompt, point.key.concurrency);
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
                            td.w { (point_link(view, &Page::Overview, point, &name(point))) }
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

/// What a reader must know of a point before its figures.
pub(super) fn marks(point: &PointView<'_>) -> Vec<&'static str> {
    let marks = [
        (point.row.summary().is_none(), "failed"),
        (point.is_older, "older run"),
        (is_client_bound(point.record), "client-bound"),
        (point.row.simulated.is_some(), "simulated"),
    ];
    let is = marks.into_iter().filter(|(is, _)| *is);
    is.map(|(_, mark)| mark).collect()
}

/// An interval, or in few words why there is none.
pub(super) fn interval(known: &Result<Known, Unclear>) -> String {
    match known {
        Ok(Known {
            interval: (low, high),
            ..
        }) => {
            format!("{} … {}", change::value(*low), change::value(*high))
        }
        Err(Unclear::TooFewWindows { windows, needed }) => {
            format!("{NOT_AVAILABLE}: {windows} of {needed} windows")
        }
        Err(unclear) => format!("{NOT_AVAILABLE}: {unclear}"),
    }
}

/// The verdicts against the baseline in short.
fn verdicts(view: &View<'_>) -> Markup {
    let name = view.source.baseline.as_ref().map_or("", |side| &side.name);
    html! {
        h2 { "Against the baseline" }
        @match &view.comparison {
            None => p {
                "No comparable baseline is kept. Keep this run, and the next one is held against it: "
                code { "servemark baseline save" }
            },
            Some(Err(why)) => p { "This run cannot be compared with " (name) ": " (why) },
            Some(Ok(comparison)) => {
                p {
                    "Against " b { (name) } ": " (change::counts(comparison)) ". "
                    a href=(view.form.link(&Page::Overview, &Page::Comparison)) { "Comparison in full" }
                }
                (changed(comparison))
            }
        }
    }
}

/// Most changes that the overview shows.
const MOST_CHANGES: usize = 12;

/// What regressed or improved.
fn changed(comparison: &Comparison) -> Markup {
    let is_change = |verdict| matches!(verdict, Verdict::Regressed | Verdict::Improved);
    let mut found: Vec<_> = comparison
        .findings()
        .filter(|(_, finding)| is_change(finding.verdict))
        .collect();
    // Regressions first, which is what a reader looks for.
    found.sort_by_key(|(_, finding)| finding.verdict != Verdict::Regressed);
    let more = found.len().saturating_sub(MOST_CHANGES);
    let rows = found.iter().take(MOST_CHANGES).map(|(point, finding)| {
        let doubt = if point.doubts.is_empty() {
            ""
        } else {
            " (doubtful)"
        };
        vec![
            point.point.to_string(),
            finding.figure.title().to_owned(),
            format!("{}{doubt}", finding.verdict),
            change::sentence(finding),
        ]
    });
    let rows = Table::new(3, &["Point", "Figure", "Verdict", "Change"]).with(rows);
    html! {
        @if !found.is_empty() { (table(&rows, "What regressed or improved")) }
        @if more > 0 { p.soft { (more) " more changes are on the comparison page." } }
    }
}
