//! Plots of a point's requests: distributions of latencies, endpoints, and a sample of single requests.

use super::run_facts::why_no_tokens;
use super::view::PointView;
use crate::client::CompletedRequest;
use crate::load::Window;
use crate::metrics::{Distribution, Percentile, SortedValues, latency, sorted_itl_ms};
use crate::report::columns::LATENCY_FIGURES;
use crate::report::number::{NOT_AVAILABLE, percentile, value};
use crate::report::plot::{Bar, Plot, RequestStages, Table, bars, density, ecdf, waterfall};

const MS_PER_NS: f64 = 1e-6;

/// Number of requests in the sample.
const SAMPLE: usize = 40;

fn completed<'a>(point: &'a PointView<'_>) -> impl Iterator<Item = CompletedRequest> + use<'a> {
    point.runs.iter().flatten().flat_map(Window::completed)
}

/// Values in ms, sorted.
fn sorted(values: impl Iterator<Item = f64>) -> SortedValues {
    values.map(|ns| ns * MS_PER_NS).collect()
}

/// The cumulative distribution and the density of each latency.
pub(super) fn distributions(point: &PointView<'_>) -> Vec<Plot> {
    let each = || completed(point);
    let latencies = [
        ("TTFT", sorted(each().filter_map(|r| latency::ttft_ns(&r)))),
        ("ITL", sorted_itl_ms(point.runs.iter().flatten())),
        ("TPOT", sorted(each().filter_map(|r| latency::tpot_ns(&r)))),
        ("E2EL", sorted(each().map(|r| latency::e2el_ns(&r)))),
    ];
    let plots = latencies.into_iter().flat_map(|(name, values)| {
        let title = format!("{name}: share of values up to each time");
        match values.is_empty() {
            true => vec![Plot::nothing(title, why_no_tokens(point.record))],
            false => vec![
                ecdf(&title, name, &values),
                density(&format!("{name}: density of values"), name, &values),
            ],
        }
    });
    plots.collect()
}

/// Failed requests by cause.
pub(super) fn failures(point: &PointView<'_>) -> Plot {
    const TITLE: &str = "Failed requests by cause";
    let failures = point.row.failures();
    if failures.is_empty() {
        return Plot::nothing(TITLE, "No request failed.");
    }
    let bar = |(cause, count): (&str, usize)| Bar {
        name: cause.to_owned(),
        length: count as f64,
    };
    let all = failures
        .iter()
        .map(|failure| bar((&failure.cause, failure.count)));
    let mut plot = bars(
        TITLE,
        "Failed requests are not part of other figures. The table has the first message of each cause.",
        "requests",
        all.collect(),
    );
    let row = |failure: &crate::metrics::FailureCount| {
        let (cause, message) = (failure.cause.clone(), failure.first_message.clone());
        vec![cause, message, failure.count.to_string()]
    };
    plot.table =
        Table::new(2, &["Cause", "First message", "Requests"]).with(failures.iter().map(row));
    plot
}

/// Each endpoint's share of the requests and their latency.
pub(super) fn endpoints(point: &PointView<'_>) -> Vec<Plot> {
    let Some(summary) = point.row.summary() else {
        return Vec::new();
    };
    let name = |at: usize| {
        let url = point
            .record
            .endpoints
            .get(at)
            .map_or("", |endpoint| &endpoint.url);
        format!("{at}: {url}")
    };
    let shares = summary.endpoints.iter().enumerate();
    let shares = shares.map(|(at, share)| Bar {
        name: format!("endpoint {at}"),
        length: share.requests as f64,
    });
    let mut share = bars(
        "Requests of each endpoint",
        "Including failed requests. Round robin gives every endpoint the same number.",
        "requests",
        shares.collect(),
    );
    let mut e2el = vec![Vec::new(); summary.endpoints.len()];
    for request in completed(point) {
        if let Some(own) = e2el.get_mut(request.endpoint) {
            own.push(latency::e2el_ns(&request));
        }
    }
    let e2el: Vec<Option<Distribution>> = e2el
        .into_iter()
        .map(|own| Distribution::of(own.into_iter(), MS_PER_NS))
        .collect();
    let medians = e2el.iter().enumerate().filter_map(|(at, own)| {
        let length = own.as_ref()?.percentile(Percentile::P50).ok()?;
        let name = format!("endpoint {at}");
        Some(Bar { name, length })
    });
    let mut latencies = bars(
        "E2EL P50 of each endpoint",
        "An endpoint with a longer bar is slower, or has more requests at once.",
        "E2EL P50 (ms)",
        medians.collect(),
    );
    let rows = summary.endpoints.iter().zip(&e2el).enumerate();
    let rows = rows.map(|(at, (share, own))| {
        let counts = [share.requests, share.completed].map(|count| count.to_string());
        let latencies = own.as_ref().map_or_else(
            || LATENCY_FIGURES.map(|_| NOT_AVAILABLE.to_owned()),
            latency_cells,
        );
        [name(at)]
            .into_iter()
            .chain(counts)
            .chain(latencies)
            .collect()
    });
    let [_, percentiles @ ..] = &LATENCY_FIGURES;
    let head = ["Endpoint", "Requests", "Succeeded", "E2EL mean (ms)"];
    let head = [head.as_slice(), percentiles].concat();
    let table = Table::new(1, &head).with(rows);
    (share.table, latencies.table) = (table.clone(), table);
    vec![share, latencies]
}

/// The figures of a latency as cells, in the order of [`LATENCY_FIGURES`].
fn latency_cells(latency: &Distribution) -> [String; LATENCY_FIGURES.len()] {
    let at = |at| percentile(latency.percentile(at));
    let mean = value(latency.mean);
    let [p50, p90] = [Percentile::P50, Percentile::P90].map(at);
    let [p95, p99, p99_9] = [Percentile::P95, Percentile::P99, Percentile::P99_9].map(at);
    [mean, p50, p90, p95, p99, p99_9]
}

/// Consecutive requests from the middle of the run.
pub(super) fn sample(point: &PointView<'_>) -> Plot {
    let run = point.runs.first().into_iter().flatten();
    // First only the times of all requests: they have many content events.
    let starts = run.clone().flat_map(Window::completed);
    let mut starts: Vec<u64> = starts.map(|request| request.start_ns).collect();
    starts.sort_unstable();
    let first = (starts.len() / 2).saturating_sub(SAMPLE / 2);
    let shown = starts.get(first..(first + SAMPLE).min(starts.len()));
    let shown = shown.unwrap_or_default();
    let range = shown.first().copied().unwrap_or(1)..=shown.last().copied().unwrap_or(0);
    let requests = run.flat_map(Window::completed);
    let requests = requests.filter(|request| range.contains(&request.start_ns));
    let mut requests: Vec<CompletedRequest> = requests.collect();
    requests.sort_by_key(|request| request.start_ns);
    let spans = requests.iter().take(SAMPLE).map(|request| RequestStages {
        name: point.request_name(request),
        endpoint: request.endpoint.to_string(),
        start: point.seconds(request.start_ns),
        sent: point.seconds(request.sent_ns),
        first: request
            .outcome
            .content_ns
            .first()
            .map(|at| point.seconds(at)),
        end: point.seconds(request.outcome.last_byte_ns),
    });
    let spans: Vec<RequestStages> = spans.collect();
    let title = match spans.len() < starts.len() {
        true => format!("{} requests from the middle of the run", spans.len()),
        false => "Every request of the run".to_owned(),
    };
    waterfall(&title, spans)
}
