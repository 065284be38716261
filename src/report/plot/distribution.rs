//! Distributions of values: cumulative shares and densities.

use super::axis::Axis;
use super::canvas::{DrawError, Panel, PlotFrame, draw};
use super::colors::ColorRole;
use super::plot_types::{Plot, Table};
use super::sampling::steps;
use crate::metrics::{Percentile, SortedValues, TooFewValues};
use crate::report::number::{percentile, value};

/// Number of steps of a distribution that are drawn.
const STEPS: u64 = 400;

/// Number of positions of a density that are drawn.
const PLACES: usize = 160;

/// Percentiles of the data table.
const PERCENTILES: [f64; 10] = [1.0, 5.0, 10.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 99.9];

/// Percentiles that are marked in the plots, if enough values lie beyond them.
const MARKED: [Percentile; 3] = [Percentile::P50, Percentile::P90, Percentile::P99];

/// The cumulative distribution of sorted values (ms); `what` names them.
pub(in crate::report) fn ecdf(title: &str, what: &str, sorted: &SortedValues) -> Plot {
    let Some(end) = visible_end(sorted) else {
        return Plot::nothing(title, format!("There are no values of {what}."));
    };
    let share = Axis::percent("share of values up to it", 1.0);
    let frame = PlotFrame::new(
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
        panel.line(&line, ColorRole::Solid(0))
    });
    let caption = format!(
        "The height of the curve at a time is the share of the {} values up to it.{}{}",
        sorted.len(),
        lines(sorted),
        beyond(sorted, end)
    );
    Plot::new(title, caption, drawn, percentiles(what, sorted))
}

/// The density of sorted values (ms); `what` names them.
pub(in crate::report) fn density(title: &str, what: &str, sorted: &SortedValues) -> Plot {
    let Some(end) = visible_end(sorted) else {
        return Plot::nothing(title, format!("There are no values of {what}."));
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
    let frame = PlotFrame::new(Axis::linear(format!("{what} (ms)"), start, end), y);
    let drawn = draw(&frame, &alt(title, sorted), |panel| {
        let shape = [(start, 0.0)]
            .into_iter()
            .chain(curve.iter().copied())
            .chain([(end, 0.0)]);
        panel.area(&Vec::from_iter(shape), ColorRole::Area(0))?;
        panel.line(&curve, ColorRole::Solid(0))?;
        marks(panel, sorted)
    });
    let caption = format!(
        "Many of the {} values lie where the curve is high; several peaks indicate several kinds of requests.{}{}",
        sorted.len(),
        lines(sorted),
        beyond(sorted, end)
    );
    Plot::new(title, caption, drawn, percentiles(what, sorted))
}

/// Start of the plot: zero, unless the values lie far from it in a small range.
fn start(sorted: &SortedValues) -> f64 {
    let (least, most) = (
        sorted.least().unwrap_or(0.0),
        sorted.greatest().unwrap_or(0.0),
    );
    match most - least < 0.5 * least {
        true => (least - 0.1 * (most - least).max(0.02 * least)).max(0.0),
        false => 0.0,
    }
}

/// End of the plot: the greatest value, unless it lies so far out that the others could not be distinguished.
/// `None` without values.
fn visible_end(sorted: &SortedValues) -> Option<f64> {
    let most = sorted.greatest()?;
    let end = most.min(3.0 * sorted.percentile(99.0).max(1e-6));
    Some(if end > start(sorted) {
        end
    } else {
        start(sorted) + 1.0
    })
}

/// A note on the values beyond the plot's end.
fn beyond(sorted: &SortedValues, end: f64) -> String {
    let count = sorted.len() - sorted.count_up_to(end);
    match (count, sorted.greatest()) {
        (0, _) | (_, None) => String::new(),
        (count, Some(most)) => format!(
            " Not shown: {count} values beyond, up to {} ms.",
            value(most)
        ),
    }
}

/// The marked percentiles and their values, without those of too few values.
fn marked(sorted: &SortedValues) -> impl Iterator<Item = (&'static str, f64)> {
    let known = |p: Percentile| Some((p.id(), checked(sorted, p.percent()).ok()?));
    MARKED.into_iter().filter_map(known)
}

/// The percentile `percent` (0 to 100), if enough values lie beyond it.
fn checked(sorted: &SortedValues, percent: f64) -> Result<f64, TooFewValues> {
    TooFewValues::check(sorted.len(), percent).map(|()| sorted.percentile(percent))
}

/// A note on the vertical lines.
fn lines(sorted: &SortedValues) -> String {
    match Vec::from_iter(marked(sorted).map(|(name, _)| name)).join(", ") {
        names if names.is_empty() => String::new(),
        names => format!(" Vertical lines: {names}."),
    }
}

fn marks(panel: &Panel<'_, '_>, sorted: &SortedValues) -> Result<(), DrawError> {
    let (x, y) = (panel.x_range(), panel.y_range());
    for (_, at) in marked(sorted).filter(|(_, at)| x.contains(at)) {
        panel.line(&[(at, y.start), (at, y.end)], ColorRole::Limit)?;
    }
    Ok(())
}

/// A kernel density estimate with Silverman's bandwidth, from values sorted into fine bins.
fn smoothed(sorted: &SortedValues, start: f64, end: f64) -> Vec<(f64, f64)> {
    const BINS: usize = 640;
    let width = (end - start) / BINS as f64;
    let mut bins = vec![0.0; BINS];
    for (value, count) in sorted.counts().take_while(|(value, _)| *value <= end) {
        let bin = ((value - start) / width) as usize;
        bins[bin.min(BINS - 1)] += count as f64 / sorted.len() as f64;
    }
    let quartiles = sorted.percentile(75.0) - sorted.percentile(25.0);
    let deviation = sorted.population_std().unwrap_or(0.0);
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

fn alt(title: &str, sorted: &SortedValues) -> String {
    let marked = marked(sorted).map(|(name, at)| format!("{name} {} ms", value(at)));
    let figures = [format!("{} values", sorted.len())];
    let figures = Vec::from_iter(figures.into_iter().chain(marked));
    format!("{title}: {}.", figures.join(", "))
}

fn percentiles(what: &str, sorted: &SortedValues) -> Table {
    let row = |name: &str, figure: String| vec![name.to_owned(), figure];
    let rows = PERCENTILES.map(|p| row(&format!("P{p}"), percentile(checked(sorted, p))));
    let least = sorted.least().map(|least| row("least", value(least)));
    let greatest = sorted.greatest().map(|most| row("greatest", value(most)));
    let rows = least.into_iter().chain(rows).chain(greatest);
    Table::new(1, &["Percentile", &format!("{what} (ms)")]).with(rows)
}
