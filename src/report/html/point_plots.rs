//! Plots of a point's requests: how latencies are distributed, who served them, a sample one by one.

use super::facts::why_no_tokens;
use super::point::{begin_ns, request_name, seconds};
use super::view::PointView;
use crate::client::{Completion, RequestRecord};
use crate::load::Window;
use crate::metrics::{Distribution, latency};
use crate::report::change::value;
use crate::report::plot::{Bar, Plot, Span, Table, bars, density, ecdf, waterfall};

const MS_PER_NS: f64 = 1e-6;

/// Requests of the sample.
const SAMPLE: usize = 40;

fn completed<'a>(
    point: &'a PointView<'_>,
) -> impl Iterator<Item = (&'a RequestRecord, &'a Completion)> {
    point.runs.iter().flatten().flat_map(Window::completed)
}

/// Values in ms, sorted.
fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.map(|ns| ns * MS_PER_NS).collect();
    values.sort_unstable_by(f64::total_cmp);
    values
}

/// Of each latency the share of values up to a time, and where they are dense.
pub(super) fn distributions(point: &PointView<'_>) -> Vec<Plot> {
    let each = || completed(point);
    let latencies = [
        (
            "TTFT",
            sorted(each().filter_map(|(r, c)| latency::ttft_ns(r, c))),
        ),
        ("ITL", sorted(each().flat_map(|(_, c)| latency::itl_ns(c)))),
        (
            "TPOT",
            sorted(each().filter_map(|(r, c)| latency::tpot_ns(r, c))),
        ),
        ("E2EL", sorted(each().map(|(r, _)| latency::e2el_ns(r)))),
    ];
    let plots = latencies.into_iter().flat_map(|(name, values)| {
        let title = format!("{name}: share of values up to each time");
        match values.is_empty() {
            true => vec![Plot::nothing(title, why_no_tokens(point.record))],
            false => vec![
                ecdf(&title, name, &values),
                density(&format!("{name}: where values are dense"), name, &values),
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
        "They enter no other figure. The table has the first message of each cause.",
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
        "Failed requests included. Round robin gives every endpoint as many.",
        "requests",
        shares.collect(),
    );
    let mut e2el = vec![Vec::new(); summary.endpoints.len()];
    for (request, _) in completed(point) {
        if let Some(own) = e2el.get_mut(request.endpoint) {
            own.push(latency::e2el_ns(request));
        }
    }
    let e2el: Vec<Option<Distribution>> = e2el
        .into_iter()
        .map(|own| Distribution::of(own.into_iter(), MS_PER_NS))
        .collect();
    let medians = e2el.iter().enumerate().filter_map(|(at, own)| {
        let length = own.as_ref()?.p50;
        let name = format!("endpoint {at}");
        Some(Bar { name, length })
    });
    let mut latencies = bars(
        "E2EL P50 of each endpoint",
        "An endpoint whose bar is longer than the others' is slower, or has more to do.",
        "E2EL P50 (ms)",
        medians.collect(),
    );
    let rows = summary.endpoints.iter().zip(&e2el).enumerate();
    let rows = rows.map(|(at, (share, own))| {
        let ms = |percentile: fn(&Distribution) -> f64| {
            own.as_ref()
                .map_or("n/a".to_owned(), |own| value(percentile(own)))
        };
        let counts = [share.requests, share.completed].map(|count| count.to_string());
        let latencies = [ms(|d| d.mean), ms(|d| d.p50), ms(|d| d.p90), ms(|d| d.p99)];
        [name(at)]
            .into_iter()
            .chain(counts)
            .chain(latencies)
            .collect()
    });
    let head = [
        "Endpoint",
        "Requests",
        "Succeeded",
        "E2EL mean (ms)",
        "P50",
        "P90",
        "P99",
    ];
    let table = Table::new(1, &head).with(rows);
    (share.table, latencies.table) = (table.clone(), table);
    vec![share, latencies]
}

/// Requests that were sent one after another in the middle of the run.
pub(super) fn sample(point: &PointView<'_>) -> Plot {
    let begin_ns = begin_ns(point);
    let run = point.runs.first().into_iter().flatten();
    let mut requests: Vec<_> = run.flat_map(Window::completed).collect();
    requests.sort_by_key(|(request, _)| request.start_ns);
    let first = (requests.len() / 2).saturating_sub(SAMPLE / 2);
    let spans = requests
        .iter()
        .skip(first)
        .take(SAMPLE)
        .map(|(request, completion)| Span {
            name: request_name(point, request),
            endpoint: request.endpoint.to_string(),
            start: seconds(begin_ns, request.start_ns),
            sent: seconds(begin_ns, request.sent_ns),
            first: completion
                .content_ns
                .first()
                .map(|at| seconds(begin_ns, at)),
            end: seconds(begin_ns, completion.last_byte_ns),
        });
    let spans: Vec<Span> = spans.collect();
    let title = match spans.len() < requests.len() {
        true => format!("{} requests from the middle of the run", spans.len()),
        false => "Every request of the run".to_owned(),
    };
    waterfall(&title, spans)
}
