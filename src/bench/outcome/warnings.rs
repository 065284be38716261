//! Warnings beside a point's figures.

use std::fs::File;
use std::io::BufReader;

use serde::Deserialize;

use crate::bench::point_info::PointInfo;
use crate::endpoint::{Endpoints, MetricsInterval};
use crate::fixture::Fixture;
use crate::load::Window;
use crate::metrics::{self, FailureCount, Outage, RunTrace, Summary, Unanswered};
use crate::report::{DOUBTFUL, Row, styled};

/// A server that answers from its prefix cache is faster than its GPU: say how much of it did.
pub fn prefix_cache(row: &Row, intervals: &[Option<MetricsInterval>]) -> Option<String> {
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

/// A client that did not keep up measures itself. The note has a style.
pub fn client_bound(row: &Row) -> Option<String> {
    let check = row.self_check.as_ref()?;
    (!check.client_bound.is_empty()).then(|| {
        format!(
            "{}: {}: {}; the servers may be faster than these figures. Leave the client more of its machine, or split the load over processes (docs/scale.md)",
            row.name(),
            styled(DOUBTFUL, "client-bound"),
            check.client_bound.join(", ")
        )
    })
}

/// The fields needed of the previous run's record; its requests are skipped.
#[derive(Deserialize)]
struct Before {
    simulated: Option<String>,
    summary: Option<Summary>,
}

/// When an endpoint served nothing in a run of these windows; `unanswered` as [`RunTrace::unanswered`].
pub fn outages(
    windows: &[Window],
    endpoints: &Endpoints,
    unanswered: Option<&[Unanswered]>,
) -> Vec<Outage> {
    let waiting = || unanswered.into_iter().flatten();
    let first = windows.first().map(|window| window.start_ns);
    let Some(start_ns) = first.or_else(|| waiting().map(|request| request.sent_ns).min()) else {
        return Vec::new();
    };
    // Requests still waiting extend the time covered beyond the last request that ended.
    let end_ns = windows.last().map_or(start_ns, |window| window.end_ns);
    let end_ns = waiting().fold(end_ns, |end_ns, request| end_ns.max(request.ended_ns));
    let urls = Vec::from_iter(endpoints.iter().map(|e| e.identity.url.clone()));
    let trace = RunTrace {
        span_ns: start_ns..end_ns,
        unanswered,
        urls: &urls,
    };
    metrics::outages(|| windows.iter().flat_map(|w| w.requests.iter()), &trace)
}

/// Criterion compares with whatever ran before; say so where that was another kind of server, or where fewer
/// requests failed.
pub fn changed(point: &PointInfo<'_>, row: &Row) -> Option<String> {
    let before = File::open(point.record_path(point.record_name)).ok()?;
    let before: Before = serde_json::from_reader(BufReader::new(before)).ok()?;
    other_kind(&before, row).or_else(|| more_failed(&before, row))
}

/// Criterion judges the successful requests alone.
fn more_failed(before: &Before, row: &Row) -> Option<String> {
    let share = |failures: &[FailureCount], completed: usize| {
        let failed: usize = failures.iter().map(|failure| failure.count).sum();
        failed as f64 / (failed + completed).max(1) as f64
    };
    let summary = before.summary.as_ref()?;
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

fn other_kind(before: &Before, row: &Row) -> Option<String> {
    let kind = |simulated: bool| {
        if simulated {
            "simulated"
        } else {
            "a real server"
        }
    };
    let (was, is) = (before.simulated.is_some(), row.simulated.is_some());
    (was != is).then(|| {
        format!(
            "{}: the run before was {}, this one {}: ignore the change that Criterion reports",
            row.name(),
            kind(was),
            kind(is)
        )
    })
}

/// Longest text that is tokenized again (bytes): a longer one takes seconds.
const MOST_RECOUNTED: usize = 64 * 1024;

/// The tokenizer's count of the generated texts that were kept ÷ the server's, − 1.
pub fn recount(fixture: &Fixture, windows: &[Window]) -> Option<f64> {
    if !fixture.counts_as_the_server() {
        return None;
    }
    let (mut server, mut recounted) = (0_u64, 0_u64);
    for answer in windows.iter().flat_map(Window::completed) {
        if let (Some(usage), Some(text)) = (answer.outcome.usage_output, &answer.outcome.text)
            && text.len() <= MOST_RECOUNTED
        {
            server += u64::from(usage);
            recounted += u64::from(fixture.count_output(text)?);
        }
    }
    (server > 0).then(|| recounted as f64 / server as f64 - 1.0)
}

/// Says that re-tokenizing would have given other figures, if it would by more than 2 %.
pub fn recounted(recounts: &[f64]) -> Option<String> {
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
