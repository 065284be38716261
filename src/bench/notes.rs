//! What a reader must know of a run beside its figures.

use super::point::Point;
use super::record;
use crate::endpoint::MetricsInterval;
use crate::fixture::Fixture;
use crate::load::Window;
use crate::metrics::{FailureCount, Summary};
use crate::report::Row;

/// A server that answers from its prefix cache is faster than its GPU: say how much of it did.
pub(super) fn prefix_cache(row: &Row, intervals: &[Option<MetricsInterval>]) -> Option<String> {
    const HIGH: f64 = 0.2;
    let (mut hits, mut queries) = (0.0, 0.0);
    for delta in intervals.iter().flatten().filter_map(|i| i.delta.as_ref()) {
        hits += delta.prefix_cache_hits?;
        queries += delta.prefix_cache_queries?;
    }
    let rate = hits / queries;
    (rate > HIGH).then(|| {
        format!(
            "{}: the server's prefix cache answered {:.0} % of the prompt tokens; input tok/s is not its GPU's",
            row.name(),
            100.0 * rate
        )
    })
}

/// A client that did not keep up measures itself.
pub(super) fn client_bound(row: &Row) -> Option<String> {
    let check = row.self_check.as_ref()?;
    (!check.client_bound.is_empty()).then(|| {
        format!(
            "{}: client-bound: {}; the servers may be faster than these figures. Leave the client more of its machine, or split the load over processes (docs/scale.md)",
            row.name(),
            check.client_bound.join(", ")
        )
    })
}

/// Criterion compares with whatever ran before; say so where that was another kind of server, or where fewer
/// requests failed.
pub(super) fn changed(point: &Point<'_>, row: &Row) -> Option<String> {
    let before = std::fs::read(record::path(point, point.session.record_name())).ok()?;
    let before: serde_json::Value = serde_json::from_slice(&before).ok()?;
    other_kind(&before, row).or_else(|| more_failed(&before, row))
}

/// Criterion judges the successful requests alone.
fn more_failed(before: &serde_json::Value, row: &Row) -> Option<String> {
    let share = |failures: &[FailureCount], completed: usize| {
        let failed: usize = failures.iter().map(|failure| failure.count).sum();
        failed as f64 / (failed + completed).max(1) as f64
    };
    let summary: Summary = serde_json::from_value(before["summary"].clone()).ok()?;
    let was = share(&summary.failures, summary.completed);
    let is = share(row.failures(), row.summary()?.completed);
    (is > was).then(|| {
        format!(
            "{}: {:.1} % of the requests failed, {:.1} % in the run before: what Criterion calls improved is of the others alone",
            row.name(),
            100.0 * is,
            100.0 * was
        )
    })
}

fn other_kind(before: &serde_json::Value, row: &Row) -> Option<String> {
    let kind = |simulated: bool| {
        if simulated {
            "simulated"
        } else {
            "a real server"
        }
    };
    let (was, is) = (!before["simulated"].is_null(), row.simulated.is_some());
    (was != is).then(|| {
        format!(
            "{}: the run before was {}, this one {}: what Criterion calls a change is none",
            row.name(),
            kind(was),
            kind(is)
        )
    })
}

/// Longest text that is tokenized again (bytes): a longer one takes seconds.
const MOST_RECOUNTED: usize = 64 * 1024;

/// The tokenizer's count of the generated texts that were kept ÷ the server's, − 1.
pub(super) fn recount(fixture: &Fixture, windows: &[Window]) -> Option<f64> {
    if !fixture.counts_as_the_server() {
        return None;
    }
    let (mut server, mut recounted) = (0_u64, 0_u64);
    for (_, completion) in windows.iter().flat_map(Window::completed) {
        if let (Some(usage), Some(text)) = (completion.usage_output, &completion.text)
            && text.len() <= MOST_RECOUNTED
        {
            server += u64::from(usage);
            recounted += u64::from(fixture.count_output(text)?);
        }
    }
    (server > 0).then(|| recounted as f64 / server as f64 - 1.0)
}

/// Says that re-tokenizing would have given other figures, if it would by more than 2 %.
pub(super) fn recounted(recounts: &[f64]) -> Option<String> {
    const NOTABLE: f64 = 0.02;
    let least = recounts.iter().copied().reduce(f64::min)?;
    let most = recounts.iter().copied().reduce(f64::max)?;
    (least.abs().max(most.abs()) > NOTABLE).then(|| {
        format!(
            "output tokens are the server's count; re-tokenizing the text would have changed it by {:+.1} % to {:+.1} %",
            100.0 * least,
            100.0 * most
        )
    })
}
