//! A page for each point.

use maud::{Markup, html};

use super::frame::{self, PageContent, plots, table};
use super::links::Page;
use super::overview::{interval, marks, point_link};
use super::point_plots;
use super::point_times;
use super::run_facts::{self, why_no_tokens};
use super::view::{PointView, View};
use super::workers;
use crate::client::CompletedRequest;
use crate::load::Window;
use crate::metrics::latency;
use crate::report::columns::{self, Column};
use crate::report::notes;
use crate::report::number::{NOT_AVAILABLE, count, fixed};
use crate::report::plot::Table;

/// Number of requests in the table of the slowest.
const SLOWEST: usize = 20;

pub(super) fn bodies(view: &View<'_>) -> Vec<PageContent> {
    let places: Vec<usize> = (0..view.points.len()).collect();
    workers::each(&places, |at| body(view, *at))
}

fn body(view: &View<'_>, at: usize) -> PageContent {
    let point = &view.points[at];
    let page = Page::Point(point.key.clone());
    let content = html! {
        h1 { (point.key) @for mark in marks(point) { " " span.mark { (mark) } } }
        (neighbours(view, at, &page))
        (frame::facts(&run_facts::measured(&[point])))
        (frame::list(&notes(std::slice::from_ref(&point.row))))
        @if let Some(check) = &point.record.self_check {
            @if !check.client_bound.is_empty() {
                p.banner { b { "Client-bound: " } (check.client_bound.join(", ")) ". The servers may be faster than these figures." }
            }
        }
        @match point.row.summary() {
            None => {
                h2 { "No request succeeded" }
                (plots([point_plots::failures(point)]))
            }
            Some(_) => { (measured(point)) }
        }
    };
    PageContent {
        page,
        title: point.key.to_string(),
        content,
    }
}

/// Links to the previous and next point.
fn neighbours(view: &View<'_>, at: usize, page: &Page) -> Markup {
    let before = at.checked_sub(1).and_then(|at| view.points.get(at));
    let after = view.points.get(at + 1);
    html! {
        nav aria-label="Points" {
            ul {
                li { a href=(view.packaging.link(page, &Page::Overview)) { "All points" } }
                @if let Some(point) = before { li { "← " (point_link(view, page, point, &point.key.to_string())) } }
                @if let Some(point) = after { li { (point_link(view, page, point, &point.key.to_string())) " →" } }
            }
        }
    }
}

fn measured(point: &PointView<'_>) -> Markup {
    html! {
        h2 { "Figures" }
        div.tables { (table(&throughput(point), "Throughput")) (table(&latencies(point), "Latencies")) }
        div.wide { (frame::facts(&context(point))) }
        h2 { "How latencies are distributed" }
        (plots(point_plots::distributions(point)))
        h2 { "Over time" }
        @if point.runs.len() > 1 { p.soft { "Of the first of " (point.runs.len()) " runs." } }
        (plots(point_times::timelines(point)))
        h2 { "Endpoints and failures" }
        (plots(point_plots::endpoints(point).into_iter().chain([point_plots::failures(point)])))
        h2 { "Requests one by one" }
        (plots([point_plots::sample(point)]))
        h3 { "The " (SLOWEST) " slowest requests" }
        (table(&slowest(point), "Slowest requests"))
    }
}

/// Rates with their intervals, or why there are none.
fn throughput(point: &PointView<'_>) -> Table {
    let row = |name: &str, column: &Column, why: &str, interval: String| {
        let value = match column.cell(&point.row) {
            value if value == NOT_AVAILABLE => format!("{NOT_AVAILABLE}: {why}"),
            value => value,
        };
        vec![name.to_owned(), value, interval]
    };
    let original = &columns::ORIGINAL;
    let (goodput, none) = (&columns::CONTEXT[0], String::new);
    let uncounted = "the output tokens were not counted";
    let no_gpus = "NUM_GPU is not set";
    let (tok_s, rps) = (interval(&point.tok_s), interval(&point.rps));
    let rows = [
        row("Output tok/s", &original[4], uncounted, tok_s),
        row("Output tok/s per GPU", &original[5], no_gpus, none()),
        row("Output tok/s per request", &original[8], uncounted, none()),
        row("Input tok/s", &original[6], "", none()),
        row("RPS (req/s)", &original[3], "", rps),
        row("Goodput (req/s)", goodput, "no SLO is set", none()),
    ];
    Table::new(1, &["Throughput", "Value", "95 % interval"]).with(rows)
}

/// Mean and percentiles of each latency.
fn latencies(point: &PointView<'_>) -> Table {
    let names = ["TTFT", "TPOT", "ITL", "E2EL", "Safety check", "TTFO"];
    let rows = names
        .iter()
        .zip(&columns::LATENCY)
        .filter_map(|(name, columns)| {
            let cells = columns.iter().map(|column| column.cell(&point.row));
            let mut row: Vec<String> = [(*name).to_owned()].into_iter().chain(cells).collect();
            let missing = row[1] == NOT_AVAILABLE;
            if missing {
                row[1] = why_no_tokens(point.record).to_owned();
            }
            let is_optional = ["Safety check", "TTFO"].contains(name);
            (!missing || !is_optional).then_some(row)
        });
    let head = [&["Latency (ms)"], columns::LATENCY_FIGURES.as_slice()].concat();
    Table::new(1, &head).with(rows)
}

/// The conditions of the measurement.
fn context(point: &PointView<'_>) -> Vec<(&'static str, String)> {
    let below = &columns::ORIGINAL[9];
    let context = &columns::CONTEXT;
    let columns = [&context[1], &context[2], &context[3], below, &context[6]];
    let columns = columns.into_iter().chain(&columns::CLIENT[1..]);
    let mut facts: Vec<(&'static str, String)> = columns
        .map(|column| (column.name, column.cell(&point.row)))
        .collect();
    let windows = point.runs.iter().map(Vec::len).sum::<usize>();
    facts.push((
        "Windows",
        format!("{windows} in {}", count(point.runs.len(), "run")),
    ));
    facts
}

/// The slowest requests.
fn slowest(point: &PointView<'_>) -> Table {
    let head = [
        "Request",
        "Endpoint",
        "Sent (s of the run)",
        "E2EL (ms)",
        "TTFT (ms)",
        "TPOT (ms)",
        "Input tokens",
        "Output tokens",
        "Ended by",
    ];
    let windows = point.runs.iter().flatten();
    let requests = with_greatest_e2el(windows.flat_map(Window::completed));
    let ms = |ns: Option<f64>| fixed(ns.map(|ns| ns * 1e-6), 2);
    let row = |request: &CompletedRequest| {
        let completion = &request.outcome;
        let output = completion.output_tokens();
        vec![
            point.request_name(request),
            request.endpoint.to_string(),
            format!("{:.3}", point.seconds(request.sent_ns)),
            ms(Some(latency::e2el_ns(request))),
            ms(latency::ttft_ns(request)),
            ms(latency::tpot_ns(request)),
            completion.input_tokens().0.to_string(),
            output.map_or(NOT_AVAILABLE.to_owned(), |(tokens, _)| tokens.to_string()),
            completion
                .finish_reason
                .clone()
                .unwrap_or_else(|| NOT_AVAILABLE.to_owned()),
        ]
    };
    Table::new(1, &head).with(requests.iter().map(row))
}

/// The requests with the greatest E2EL, from the greatest on.
fn with_greatest_e2el(requests: impl Iterator<Item = CompletedRequest>) -> Vec<CompletedRequest> {
    let mut slowest: Vec<CompletedRequest> = Vec::new();
    for request in requests {
        let slower =
            |other: &CompletedRequest| latency::e2el_ns(other) >= latency::e2el_ns(&request);
        let place = slowest.partition_point(slower);
        if place < SLOWEST {
            slowest.truncate(SLOWEST - 1);
            slowest.insert(place, request);
        }
    }
    slowest
}
