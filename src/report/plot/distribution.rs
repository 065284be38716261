//! How values are distributed: the share up to each, and how dense they lie.

use super::axis::Axis;
use super::canvas::{DrawError, Frame, Panel, draw};
use super::ink::Ink;
use super::sampling::steps;
use super::{Drawing, Plot, Table};
use crate::metrics::percentile;
use crate::report::change::value;

/// Steps of a distribution that are drawn.
const STEPS: usize = 400;

/// Places at which a density is drawn.
const PLACES: usize = 160;

/// Percentiles of the data table.
const PERCENTILES: [f64; 11] = [
    0.0, 1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 100.0,
];

/// Percentiles that are marked in the plots.
const MARKED: [f64; 3] = [50.0, 90.0, 99.0];

/// The share of the values up to each, of sorted values (ms). `what` is what they are.
pub(in crate::report) fn ecdf(title: &str, what: &str, sorted: &[f64]) -> Plot {
    let Some(end) = visible_end(sorted) else {
        return Plot::nothing(title, format!("There is no {what}."));
    };
    let share = Axis::percent("share of values up to it", 1.0);
    let frame = Frame::new(
        Axis::linear(format!("{what} (ms)"), start(sorted), end),
        share,
    );
    let drawn = draw(&frame, &alt(title, sorted), |panel| {
        marks(panel, sorted)?;
        let mut at = (frame.x.range.start, 0.0);
        let mut line = vec![at];
        for (x, share) in steps(sorted, STEPS).into_iter().filter(|(x, _)| *x <= end) {
            line.extend([(x, at.1), (x, share)]);
            at = (x, share);
        }
        line.push((end, at.1));
        panel.line(&line, Ink::Solid(0))
    });
    Plot {
        title: title.to_owned(),
        caption: format!(
            "The height of the curve at a time is the share of the {} values that took no longer; upright lines \
             are the P50, P90 and P99.{}",
            sorted.len(),
            beyond(sorted, end)
        ),
        drawing: Drawing::from(drawn),
        legend: Vec::new(),
        table: percentiles(what, sorted),
    }
}

/// How dense sorted values (ms) lie.
pub(in crate::report) fn density(title: &str, what: &str, sorted: &[f64]) -> Plot {
    let Some(end) = visible_end(sorted) else {
        return Plot::nothing(title, format!("There is no {what}."));
    };
    let start = start(sorted);
    let curve = smoothed(sorted, start, end);
    let mut y = Axis::from_zero(
        "density (share of values per ms)",
        curve.iter().map(|c| c.1),
    );
    if y.ticks.iter().any(|(_, label)| label.len() > 6) {
        y.ticks.clear();
    }
    let frame = Frame::new(Axis::linear(format!("{what} (ms)"), start, end), y);
    let drawn = draw(&frame, &alt(title, sorted), |panel| {
        let shape = [(start, 0.0)]
            .into_iter()
            .chain(curve.iter().copied())
            .chain([(end, 0.0)]);
        panel.area(&Vec::from_iter(shape), Ink::Area(0))?;
        panel.line(&curve, Ink::Solid(0))?;
        marks(panel, sorted)
    });
    Plot {
        title: title.to_owned(),
        caption: format!(
            "Where the curve is high, many of the {} values lie; several humps are several kinds of requests. \
             Upright lines are the P50, P90 and P99.{}",
            sorted.len(),
            beyond(sorted, end)
        ),
        drawing: Drawing::from(drawn),
        legend: Vec::new(),
        table: percentiles(what, sorted),
    }
}

/// Where the plot begins: at zero, unless the values lie far from it in a small range.
fn start(sorted: &[f64]) -> f64 {
    let (least, most) = (sorted[0], sorted[sorted.len() - 1]);
    match most - least < 0.5 * least {
        true => (least - 0.1 * (most - least).max(0.02 * least)).max(0.0),
        false => 0.0,
    }
}

/// Where the plot ends: at the greatest value, unless that lies so far out that nothing else could be
/// told apart. `None` where there is no value.
fn visible_end(sorted: &[f64]) -> Option<f64> {
    let most = *sorted.last()?;
    let end = most.min(3.0 * percentile(sorted, 99.0).max(1e-6));
    Some(if end > start(sorted) {
        end
    } else {
        start(sorted) + 1.0
    })
}

/// How many values lie beyond the plot's end.
fn beyond(sorted: &[f64], end: f64) -> String {
    let count = sorted.len() - sorted.partition_point(|value| *value <= end);
    match (count, sorted.last()) {
        (0, _) | (_, None) => String::new(),
        (count, Some(most)) => format!(
            " Not shown: {count} values beyond, up to {} ms.",
            value(*most)
        ),
    }
}

fn marks(panel: &Panel<'_, '_>, sorted: &[f64]) -> Result<(), DrawError> {
    let (x, y) = (panel.x_range(), panel.y_range());
    let places = MARKED.map(|p| (p, percentile(sorted, p)));
    for (_, at) in places.into_iter().filter(|(_, at)| x.contains(at)) {
        panel.line(&[(at, y.start), (at, y.end)], Ink::Limit)?;
    }
    Ok(())
}

/// A kernel density estimate with Silverman's bandwidth, from values sorted into fine bins.
fn smoothed(sorted: &[f64], start: f64, end: f64) -> Vec<(f64, f64)> {
    const BINS: usize = 640;
    let width = (end - start) / BINS as f64;
    let mut bins = vec![0.0; BINS];
    for value in sorted.iter().filter(|value| **value <= end) {
        let bin = ((value - start) / width) as usize;
        bins[bin.min(BINS - 1)] += 1.0 / sorted.len() as f64;
    }
    let quartiles = percentile(sorted, 75.0) - percentile(sorted, 25.0);
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    let squares: f64 = sorted.iter().map(|value| (value - mean).powi(2)).sum();
    let deviation = (squares / sorted.len() as f64).sqrt();
    let spread = match quartiles > 0.0 {
        true => deviation.min(quartiles / 1.34),
        false => deviation,
    };
    let bandwidth = 0.9 * spread * (sorted.len() as f64).powf(-0.2);
    let bandwidth = bandwidth.max(1.5 * width);
    let at = |place: usize| {
        let x = start + (end - start) * place as f64 / (PLACES - 1) as f64;
        let weigh = |(bin, share): (usize, &f64)| {
            let distance = (start + (bin as f64 + 0.5) * width - x) / bandwidth;
            share * (-0.5 * distance * distance).exp()
        };
        let sum: f64 = bins
            .iter()
            .enumerate()
            .filter(|(_, share)| **share > 0.0)
            .map(weigh)
            .sum();
        (x, sum / (bandwidth * (2.0 * std::f64::consts::PI).sqrt()))
    };
    (0..PLACES).map(at).collect()
}

fn alt(title: &str, sorted: &[f64]) -> String {
    let [p50, p90, p99] = MARKED.map(|p| value(percentile(sorted, p)));
    format!(
        "{title}, of {} values: P50 {p50} ms, P90 {p90} ms, P99 {p99} ms.",
        sorted.len()
    )
}

fn percentiles(what: &str, sorted: &[f64]) -> Table {
    let row = |p: f64| {
        let name = match p {
            0.0 => "least".to_owned(),
            100.0 => "greatest".to_owned(),
            p => format!("P{p}"),
        };
        vec![name, value(percentile(sorted, p))]
    };
    Table::new(1, &["Percentile", &format!("{what} (ms)")]).with(PERCENTILES.map(row))
}
