//! The pages of searches for the capacity, and their answers on other pages.

use maud::{Markup, html};

use super::frame::{PageContent, PageFrame, facts, list, plots, table};
use super::links::{Packaging, Page};
use super::run_facts;
use super::view::{CapacityView, View};
use crate::level::Level;
use crate::report::capacity::percent;
use crate::report::plot::{Curve, CurveAt, Plot, Table, against_level};
use crate::results::CapacityRecord;

/// The page of one search, alone.
pub fn capacity_page(record: &CapacityRecord) -> String {
    let frame = PageFrame {
        packaging: Packaging::SingleFile,
        simulated: record.simulated.iter().cloned().collect(),
        insecure: record.setup().insecure(),
        menu: Vec::new(),
        criterion: None,
        date: run_facts::date(record.setup().ended()),
    };
    frame.document(&[page(record, html! {})])
}

/// A page for each capacity of a report.
pub(super) fn bodies(view: &View<'_>) -> Vec<PageContent> {
    let body = |capacity: &CapacityView<'_>| {
        let own = Page::Capacity(capacity.record.key());
        let overview = view.packaging.link(&own, &Page::Overview);
        let heading = html! {
            nav aria-label="Points" { ul { li { a href=(overview) { "All points" } } } }
            p { (capacity_marks(capacity)) }
        };
        page(capacity.record, heading)
    };
    view.capacities.iter().map(body).collect()
}

/// The answer of each search, with a link to its page.
pub(super) fn answers(view: &View<'_>) -> Markup {
    html! {
        @if !view.capacities.is_empty() {
            h2 { "Capacity" }
            ul {
                @for capacity in &view.capacities {
                    li {
                        (link(view, &Page::Overview, capacity)) ": " (capacity.record.capacity)
                        (capacity_marks(capacity))
                    }
                }
            }
        }
    }
}

/// A link to the page of a capacity.
pub(super) fn link(view: &View<'_>, from: &Page, capacity: &CapacityView<'_>) -> Markup {
    let key = capacity.record.key();
    let name = format!("Capacity of {key}");
    html! { a href=(view.packaging.link(from, &Page::Capacity(key))) { (name) } }
}

fn capacity_marks(capacity: &CapacityView<'_>) -> Markup {
    let record = capacity.record;
    let marks = [
        (record.partial.is_some(), "partial"),
        (capacity.is_older, "older run"),
        (record.simulated.is_some(), "simulated"),
    ];
    html! { @for (_, mark) in marks.iter().filter(|(is, _)| *is) { " " span.mark { (mark) } } }
}

/// The capacity, a plot for each objective, and the trials.
fn page(record: &CapacityRecord, heading: Markup) -> PageContent {
    let title = format!("Capacity of {}", record.key());
    let doubts = record.capacity.doubts().into_iter();
    let doubts = doubts.chain(record.notes.clone());
    let partial = record.partial.iter().map(|why| format!("partial: {why}"));
    let doubts = Vec::from_iter(doubts.chain(partial));
    let known = [
        ("Capacity", record.capacity.to_string()),
        ("Servers", servers(record)),
        ("Ended", run_facts::date(record.setup().ended())),
        ("Trials", record.trials.len().to_string()),
    ];
    let content = html! {
        h1 { (title) }
        (heading)
        (facts(&known))
        (list(&doubts))
        (plots((0..record.objectives.len()).map(|at| plot(record, at))))
        h2 { "Trials" }
        (table(&trials(record), "Trials"))
    };
    PageContent {
        page: Page::Capacity(record.key()),
        title,
        content,
    }
}

/// Address and version of each server.
fn servers(record: &CapacityRecord) -> String {
    let servers = record
        .endpoints
        .iter()
        .map(|endpoint| match &endpoint.server {
            Some(server) => format!("{} {server}", endpoint.url),
            None => endpoint.url.clone(),
        });
    Vec::from_iter(servers).join(", ")
}

/// The share of requests that missed an objective, against the level.
fn plot(record: &CapacityRecord, at: usize) -> Plot {
    let objective = &record.objectives[at];
    let levels = Vec::from_iter(record.trials.iter().map(|trial| trial.level));
    let points = record.trials.iter().map(|trial| {
        let (lower, upper) = trial.counts[at].interval();
        CurveAt {
            x: trial.level.value(),
            y: 100.0 * trial.counts[at].share(),
            interval: Some((100.0 * lower, 100.0 * upper)),
        }
    });
    let mut points = Vec::from_iter(points);
    points.sort_by(|a, b| a.x.total_cmp(&b.x));
    let ends = [points.first(), points.last()].into_iter().flatten();
    let allowed = ends.map(|end| CurveAt::sure(end.x, 100.0 * objective.allowed));
    let curves = vec![
        Curve {
            points: allowed.collect(),
            ..Curve::new("allowed", 1)
        },
        Curve {
            points,
            ..Curve::new("missed", 0)
        },
    ];
    against_level(
        &match objective.is_latency() {
            true => format!("Requests that missed {objective}"),
            false => "Failed requests".to_owned(),
        },
        "Bars are 95 % intervals. The capacity is where the share exceeds the allowed one.",
        "requests (%)",
        &distinct(levels),
        curves,
        None,
    )
}

fn distinct(mut levels: Vec<Level>) -> Vec<Level> {
    levels.sort();
    levels.dedup();
    levels
}

fn trials(record: &CapacityRecord) -> Table {
    let mut head = vec!["level", "RPS (req/s)"];
    head.extend(record.objectives.iter().map(|objective| &*objective.name));
    head.push("result");
    let rows = record.trials.iter().map(|trial| {
        let mut row = vec![trial.level.to_string(), format!("{:.1}", trial.rps)];
        row.extend(
            trial
                .counts
                .iter()
                .map(|count| format!("{} of {}", percent(count.share()), count.requests)),
        );
        row.push(trial.judgement.to_string());
        row
    });
    Table::new(1, &head).with(rows)
}
