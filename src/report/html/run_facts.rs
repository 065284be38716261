//! Facts about the measurement of points: servers, load, configuration, and whether the client kept up.

use chrono::{DateTime, Utc};

use super::view::PointView;
use crate::report::number::{NOT_AVAILABLE, count};
use crate::report::plot::Table;
use crate::results::RunRecord;

/// A time, to the minute.
pub(super) fn date(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// The distinct values of a fact, in the order of the points.
fn each(points: &[&PointView<'_>], fact: impl Fn(&RunRecord) -> String) -> String {
    let mut facts: Vec<String> = Vec::new();
    for point in points {
        let fact = fact(point.record);
        if !facts.contains(&fact) {
            facts.push(fact);
        }
    }
    facts.join("; ")
}

/// Servers, load and client of points.
pub(super) fn measured(points: &[&PointView<'_>]) -> Vec<(&'static str, String)> {
    let config = |key: &'static str| each(points, |record| record.setup().setting(key));
    let gpus = each(points, |record| match record.num_gpu() {
        Some(gpus) => gpus.to_string(),
        None => "n/a: NUM_GPU is not set, so there are no figures per GPU".to_owned(),
    });
    let ended = || points.iter().map(|point| point.record.ended());
    let dates = match (ended().min(), ended().max()) {
        (Some(first), Some(last)) if date(first) != date(last) => {
            format!("{} to {}", date(first), date(last))
        }
        (_, last) => last.map_or(NOT_AVAILABLE.to_owned(), date),
    };
    vec![
        ("Server", each(points, RunRecord::server)),
        ("Model", each(points, RunRecord::model)),
        ("Endpoints", each(points, endpoints)),
        ("GPUs", gpus),
        (
            "Load",
            format!(
                "{}, {}, prefix cache: {}",
                config("LOAD_SHAPE"),
                each(points, new_tokens),
                config("PREFIX_CACHE")
            ),
        ),
        ("Ended", dates),
        ("Client", client(points)),
        ("Tokenizer", each(points, |r| r.tokenizer.clone())),
        ("servemark", each(points, |r| r.servemark_version.clone())),
    ]
}

/// The output tokens that its requests ask for.
fn new_tokens(record: &RunRecord) -> String {
    match record.lengths().output {
        Some(tokens) => format!("{tokens} new tokens"),
        None => format!(
            "at most {} new tokens",
            record.setup().setting("MAX_NEW_TOKENS")
        ),
    }
}

fn endpoints(record: &RunRecord) -> String {
    let urls: Vec<&str> = record.endpoints.iter().map(|e| e.url.as_str()).collect();
    format!("{} ({})", record.endpoints.len(), urls.join(", "))
}

/// Whether the client kept up, over points.
fn client(points: &[&PointView<'_>]) -> String {
    let checks = || {
        points
            .iter()
            .filter_map(|point| point.record.self_check.as_ref())
    };
    let bound = points
        .iter()
        .filter(|point| is_client_bound(point.record))
        .count();
    let unwatched = points.len() - checks().count();
    let busiest = checks()
        .filter_map(|check| check.busy_share)
        .reduce(f64::max);
    let mut text = match (checks().count(), bound) {
        (0, _) => return "n/a: it was not checked".to_owned(),
        (_, 0) => "kept up at every point".to_owned(),
        (_, bound) => format!("client-bound at {}", count(bound, "point")),
    };
    if let Some(share) = busiest {
        text += &format!(
            "; its threads were busy at most {:.0} % of the time",
            100.0 * share
        );
    }
    if unwatched > 0 {
        text += &format!("; not checked at {}", count(unwatched, "point"));
    }
    text
}

/// Whether a point was limited by its client.
pub(super) fn is_client_bound(record: &RunRecord) -> bool {
    let check = record.self_check.as_ref();
    check.is_some_and(|check| !check.client_bound.is_empty())
}

/// The whole configuration of a record, one key per row.
pub(super) fn configuration(record: &RunRecord) -> Table {
    let keys = record.config.as_object();
    let rows = keys.into_iter().flatten();
    Table::new(2, &["Key", "Value"])
        .with(rows.map(|(key, _)| vec![key.clone(), record.setup().setting(key)]))
}

/// Why a record has no token times.
pub(super) fn why_no_tokens(record: &RunRecord) -> &'static str {
    match record.config["STREAM"].as_bool() {
        Some(false) => "n/a: responses were not streamed (STREAM: false)",
        _ => "n/a: no request has it",
    }
}
