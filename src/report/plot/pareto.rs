//! Throughput against latency, and which points no other beats in both.

use super::axis::Axis;
use super::canvas::{Frame, draw};
use super::ink::Ink;
use super::{Drawing, Key, Plot, Table};
use crate::report::change::value;

/// The points of a version.
#[derive(Clone, Debug)]
pub(in crate::report) struct ParetoCurve {
    pub name: String,
    pub series: usize,
    pub hollow: bool,
    /// Requests in flight, latency (ms), throughput.
    pub points: Vec<(usize, f64, f64)>,
}

impl ParetoCurve {
    /// Whether no other point has at most its latency and at least its throughput.
    fn is_best(&self, (level, latency, rate): &(usize, f64, f64)) -> bool {
        !self.points.iter().any(|(other, l, r)| {
            other != level && l <= latency && r >= rate && (l < latency || r > rate)
        })
    }

    /// The points that no other beats, from the fastest on.
    fn frontier(&self) -> Vec<(f64, f64)> {
        let best = self.points.iter().filter(|point| self.is_best(point));
        let mut best: Vec<(f64, f64)> = best.map(|(_, latency, rate)| (*latency, *rate)).collect();
        best.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        best
    }
}

/// `limit` is the objective for the latency (ms), if there is one.
pub(in crate::report) fn pareto(
    title: &str,
    latency: &str,
    unit: &str,
    limit: Option<f64>,
    curves: Vec<ParetoCurve>,
) -> Plot {
    let points = || curves.iter().flat_map(|curve| &curve.points);
    if points().next().is_none() {
        return Plot::nothing(title, "No point has both figures.");
    }
    let x = points().map(|point| point.1).chain(limit);
    let frame = Frame::new(
        Axis::from_zero(format!("{latency} (ms)"), x),
        Axis::from_zero(unit, points().map(|point| point.2)),
    );
    let said = points().map(|(level, l, r)| format!("c={level}: {} ms, {}", value(*l), value(*r)));
    let alt = format!("{title}. {}.", Vec::from_iter(said).join("; "));
    let drawn = draw(&frame, &alt, |panel| {
        let top = panel.y_range().end;
        if let Some(limit) = limit {
            panel.bar((0.0, top), (limit, 0.0), Ink::Within)?;
            panel.line(&[(limit, 0.0), (limit, top)], Ink::Limit)?;
        }
        for curve in &curves {
            panel.line(&curve.frontier(), Ink::Line(curve.series))?;
            for point @ (level, latency, rate) in &curve.points {
                let at = (*latency, *rate);
                panel.marker(at, curve.series, curve.hollow || !curve.is_best(point))?;
                if !curve.hollow {
                    panel.label(at, &format!("c={level}"))?;
                }
            }
        }
        Ok(())
    });
    let mut legend: Vec<Key> = curves
        .iter()
        .map(|curve| {
            Key::new(&*curve.name, |panel| {
                panel.line(&[(0.02, 0.5), (0.98, 0.5)], Ink::Line(curve.series))?;
                panel.marker((0.5, 0.5), curve.series, curve.hollow)
            })
        })
        .collect();
    legend.extend(limit.map(|limit| {
        Key::new(format!("within the SLO of {} ms", value(limit)), |panel| {
            panel.bar((0.1, 0.1), (0.9, 0.9), Ink::Within)
        })
    }));
    let rows = curves.iter().flat_map(|curve| {
        curve.points.iter().map(|point @ (level, latency, rate)| {
            let best = if curve.is_best(point) { "yes" } else { "no" };
            let (latency, rate) = (value(*latency), value(*rate));
            vec![
                curve.name.clone(),
                level.to_string(),
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
    Plot {
        title: title.to_owned(),
        caption: "Up and to the left is better. The line joins the points that no other beats in both figures; \
                  hollow markers off the line are beaten."
            .to_owned(),
        drawing: Drawing::from(drawn),
        legend,
        table: Table::new(1, &head).with(rows),
    }
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
                (1, 10.0, 100.0),
                (8, 30.0, 90.0),
                (16, 30.0, 400.0),
                (32, 50.0, 400.0),
            ],
        };
        assert_eq!(curve.frontier(), [(10.0, 100.0), (30.0, 400.0)]);
    }
}
