//! Timelines of a point, from the client's and the servers' view.

use super::view::PointView;
use crate::endpoint::ServerSample;
use crate::load::Window;
use crate::report::plot::{AxisScale, Curve, CurveAt, Plot, over_time};

/// The client's two timelines and the servers' three.
pub(super) fn timelines(point: &PointView<'_>) -> Vec<Plot> {
    vec![
        in_flight(point),
        tok_s(point),
        requests_at_servers(point),
        kv_cache(point),
        prefix_cache(point),
    ]
}

fn first_run<'a>(point: &'a PointView<'_>) -> &'a [Window] {
    point.runs.first().map_or(&[], Vec::as_slice)
}

fn in_flight(point: &PointView<'_>) -> Plot {
    let (begin, windows) = (point.start_ns(), first_run(point));
    let end = windows.last().map_or(0, |window| window.end_ns);
    let mut steps: Vec<(u64, i64)> = windows
        .iter()
        .flat_map(|window| window.requests.iter())
        .flat_map(|request| [(request.start_ns.max(begin), 1), (request.end_ns, -1)])
        .collect();
    // A request that ends is replaced at the same time.
    steps.sort_unstable();
    let mut count = 0;
    let mut points: Vec<CurveAt> = Vec::with_capacity(steps.len());
    for moment in steps.chunk_by(|a, b| a.0 == b.0) {
        count += moment.iter().map(|(_, change)| change).sum::<i64>();
        let at_ns = moment.first().map_or(begin, |(at, _)| *at);
        if at_ns <= end {
            points.push(CurveAt::sure(point.seconds(at_ns), count as f64));
        }
    }
    let curve = Curve {
        points,
        stepped: true,
        ..Curve::new("in flight", 0)
    };
    over_time(
        "Requests in flight, counted by the client",
        "Only requests that ended in the measured windows: those still in flight at the end are missing, so the \
         curve falls there.",
        "requests in flight",
        AxisScale::FromZero,
        vec![curve],
    )
}

fn tok_s(point: &PointView<'_>) -> Plot {
    let mut points = Vec::new();
    for window in first_run(point) {
        let Some(tokens) = window.output_tokens() else {
            continue;
        };
        let rate = tokens / (window.wall_ns() as f64 * 1e-9);
        points.push(CurveAt::sure(point.seconds(window.start_ns), rate));
        points.push(CurveAt::sure(point.seconds(window.end_ns), rate));
    }
    let curve = Curve {
        points,
        ..Curve::new("output tok/s", 0)
    };
    over_time(
        "Output tokens per second of each window",
        "Each horizontal section is a window: a sample of Criterion, and a block of the interval. A slope over the \
         run shows that the servers had not settled.",
        "output tok/s",
        AxisScale::FromZero,
        vec![curve],
    )
}

fn requests_at_servers(point: &PointView<'_>) -> Plot {
    let running = curves(point, "running", |sample| sample.running);
    let waiting = curves(point, "waiting", |sample| sample.waiting);
    let both = running.into_iter().chain(waiting).enumerate();
    servers(
        "Requests running and waiting, counted by the servers",
        "From each server's /metrics. Waiting requests exceed what the server processes at once: they increase the TTFT.",
        "requests",
        AxisScale::FromZero,
        both.map(|(series, curve)| Curve { series, ..curve })
            .collect(),
    )
}

fn kv_cache(point: &PointView<'_>) -> Plot {
    servers(
        "KV cache in use",
        "From each server's /metrics. Near 100 % requests wait for memory, or are preempted.",
        "share of the KV cache",
        AxisScale::Percent,
        curves(point, "endpoint", |sample| sample.kv_cache_usage),
    )
}

fn prefix_cache(point: &PointView<'_>) -> Plot {
    let timeline = &point.record.server_timeline;
    let share = |pair: &[ServerSample]| {
        let [before, after] = pair else { return None };
        let queries = after.prefix_cache_queries? - before.prefix_cache_queries?;
        let hits = after.prefix_cache_hits? - before.prefix_cache_hits?;
        let share = (queries > 0.0).then_some(hits / queries)?;
        let at = after.at_ns;
        (0.0..=1.0)
            .contains(&share)
            .then(|| CurveAt::sure(point.seconds(at), share))
    };
    let curves = timeline.iter().enumerate().map(|(at, samples)| Curve {
        points: samples.windows(2).filter_map(share).collect(),
        ..Curve::new(format!("endpoint {at}"), at)
    });
    servers(
        "Prompt tokens found in the prefix cache",
        "From each server's /metrics, as a share of the tokens looked up since the previous sample. The GPU does not \
         compute cached tokens.",
        "share of prompt tokens",
        AxisScale::Percent,
        curves.filter(|curve| !curve.points.is_empty()).collect(),
    )
}

/// A curve for each endpoint that has the figure.
fn curves(
    point: &PointView<'_>,
    name: &str,
    figure: fn(&ServerSample) -> Option<f64>,
) -> Vec<Curve> {
    let timeline = point.record.server_timeline.iter().enumerate();
    let curve = |(at, samples): (usize, &Vec<ServerSample>)| {
        let values = samples
            .iter()
            .filter_map(|s| Some(CurveAt::sure(point.seconds(s.at_ns).max(0.0), figure(s)?)));
        let name = match name {
            "endpoint" => format!("endpoint {at}"),
            name => format!("{name}, endpoint {at}"),
        };
        Curve {
            points: values.collect(),
            ..Curve::new(name, at)
        }
    };
    timeline
        .map(curve)
        .filter(|curve| !curve.points.is_empty())
        .collect()
}

fn servers(title: &str, caption: &str, unit: &str, scale: AxisScale, curves: Vec<Curve>) -> Plot {
    match curves.is_empty() {
        true => Plot::nothing(
            title,
            "n/a: the servers' /metrics did not have this figure during the load, or were not sampled.",
        ),
        false => over_time(title, caption, unit, scale, curves),
    }
}
