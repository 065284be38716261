//! Throughput against latency, with the Pareto frontier.

use super::axis::Axis;
use super::canvas::{PlotFrame, draw};
use super::colors::ColorRole;
use super::plot_types::{LegendEntry, Plot, Table};
use crate::level::Level;
use crate::report::number::value;

/// The points of a version.
#[derive(Clone, Debug)]
pub(in crate::report) struct ParetoCurve {
    pub name: String,
    pub series: usize,
    pub hollow: bool,
    /// Level, latency (ms), throughput.
    pub points: Vec<(Level, f64, f64)>,
}

impl ParetoCurve {
    /// Whether no other point is better in one figure and at least as good in the other.
    fn is_best(&self, (level, latency, rate): &(Level, f64, f64)) -> bool {
        !self.points.iter().any(|(other, l, r)| {
            other != level && l <= latency && r >= rate && (l < latency || r > rate)
        })
    }

    /// The points on the frontier, from the fastest on.
    fn frontier(&self) -> Vec<(f64, f64)> {
        let best = self.points.iter().filter(|point| self.is_best(point));
        let mut best: Vec<(f64, f64)> = best.map(|(_, latency, rate)| (*latency, *rate)).collect();
        best.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        best
    }
}

/// Draws the curves; `limit` is the objective for the latency (ms), if there is one.
pub(in crate::report) fn pareto(
    title: &str,
    latency: &str,
    unit: &str,
    limit: Option<f64>,
    curves: Vec<ParetoCurve>,
) -> Plot {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    if points().next().is_none() {
        return Plot::nothing(title, "n/a: no point has both figures, from enough values.");
    }
    let x = points().map(|point| point.1).chain(limit);
    let frame = PlotFrame::new(
        Axis::from_zero(format!("{latency} (ms)"), x),
        Axis::from_zero(unit, points().map(|point| point.2)),
    );
    let texts = points().map(|(level, l, r)| format!("{level}: {} ms, {}", value(*l), value(*r)));
    let alt = format!("{title}. {}.", Vec::from_iter(texts).join("; "));
    let drawn = draw(&frame, &alt, |panel| {
        let top = panel.y_range().end;
        if let Some(limit) = limit {
            panel.bar((0.0, top), (limit, 0.0), ColorRole::Within)?;
            panel.line(&[(limit, 0.0), (limit, top)], ColorRole::Limit)?;
        }
        for curve in &curves {
            panel.line(&curve.frontier(), ColorRole::Line(curve.series))?;
            for point @ (level, latency, rate) in &curve.points {
                let at = (*latency, *rate);
                panel.marker(at, curve.series, curve.hollow || !curve.is_best(point))?;
                if !curve.hollow {
                    panel.label(at, &level.to_string())?;
                }
            }
        }
        Ok(())
    });
    let mut legend: Vec<LegendEntry> = curves
        .iter()
        .map(|curve| {
            LegendEntry::new(&*curve.name, |panel| {
                panel.line(&[(0.02, 0.5), (0.98, 0.5)], ColorRole::Line(curve.series))?;
                panel.marker((0.5, 0.5), curve.series, curve.hollow)
            })
        })
        .collect();
    legend.extend(limit.map(|limit| {
        LegendEntry::new(format!("within the SLO of {} ms", value(limit)), |panel| {
            panel.bar((0.1, 0.1), (0.9, 0.9), ColorRole::Within)
        })
    }));
    let rows = curves.iter().flat_map(|curve| {
        curve.points.iter().map(|point @ (level, latency, rate)| {
            let best = if curve.is_best(point) { "yes" } else { "no" };
            let (latency, rate) = (value(*latency), value(*rate));
            vec![
                curve.name.clone(),
                level.value_text(),
                latency,
                rate,
                best.to_owned(),
            ]
        })
    });
    let head = [
        "Curve",
        "Requests in flight",
        &format!("{latency} (ms)"),
        unit,
        "On the frontier",
    ];
    let caption = "Up and to the left is better. The line joins the points of the frontier; for hollow markers off \
                   the line another point is better in one figure and at least as good in the other. The percentile is the P99, or a \
                   lower one if a point has too few values for it.";
    Plot::new(title, caption, drawn, Table::new(1, &head).with(rows)).with_legend(legend)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frontier_has_the_points_that_no_other_beats() {
        let curve = ParetoCurve {
            name: "new".into(),
            series: 0,
            hollow: false,
            points: vec![
                ("c=1".parse().unwrap(), 10.0, 100.0),
                ("c=8".parse().unwrap(), 30.0, 90.0),
                ("c=16".parse().unwrap(), 30.0, 400.0),
                ("c=32".parse().unwrap(), 50.0, 400.0),
            ],
        };
        assert_eq!(curve.frontier(), [(10.0, 100.0), (30.0, 400.0)]);
    }
}
