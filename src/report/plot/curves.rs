//! Curves: against the level, over time, from version to version.

use super::axis::{Axis, extent, place};
use super::canvas::{DrawError, Panel, PlotFrame, draw};
use super::colors::ColorRole;
use super::plot_types::{LegendEntry, Plot, Table};
use super::sampling::thinned;
use crate::level::Level;
use crate::report::number::{NOT_AVAILABLE, grouped, value};

/// Most points of a curve that are drawn.
const MOST_POINTS: usize = 400;

/// Most rows of a table of a curve over time.
const MOST_ROWS: usize = 120;

/// A curve of a plot.
#[derive(Clone, Debug)]
pub(in crate::report) struct Curve {
    pub name: String,
    /// Determines color, dash and marker.
    pub series: usize,
    /// Whether its markers are hollow, for another version.
    pub hollow: bool,
    /// Whether a value holds until the next one, like a count.
    pub stepped: bool,
    pub points: Vec<CurveAt>,
}

/// A point of a curve.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) struct CurveAt {
    /// Value of a level, seconds, or the place of a name.
    pub x: f64,
    pub y: f64,
    /// 95 % interval of `y`.
    pub interval: Option<(f64, f64)>,
}

/// The y axis.
#[derive(Clone, Copy, Debug)]
pub(in crate::report) enum AxisScale {
    FromZero,
    /// Shares of one, shown as 0 to 100 %.
    Percent,
}

impl Curve {
    pub fn new(name: impl Into<String>, series: usize) -> Curve {
        Curve {
            name: name.into(),
            series,
            hollow: false,
            stepped: false,
            points: Vec::new(),
        }
    }

    fn key(&self, markers: bool) -> LegendEntry {
        LegendEntry::new(&*self.name, |panel| {
            panel.line(&[(0.02, 0.5), (0.98, 0.5)], ColorRole::Line(self.series))?;
            match markers {
                true => panel.marker((0.5, 0.5), self.series, self.hollow),
                false => Ok(()),
            }
        })
    }

    fn draw(&self, panel: &Panel<'_, '_>, markers: bool) -> Result<(), DrawError> {
        let mut points: Vec<(f64, f64)> = self.points.iter().map(|p| (p.x, p.y)).collect();
        if !markers {
            points = thinned(&points, MOST_POINTS);
        }
        if self.stepped {
            points = stairs(&points);
        }
        panel.line(&points, ColorRole::Line(self.series))?;
        for point in self.points.iter().filter(|p| p.y.is_finite() && markers) {
            if let Some((low, high)) = point.interval {
                panel.interval([(point.x, low), (point.x, high)], self.series)?;
            }
            panel.marker((point.x, point.y), self.series, self.hollow)?;
        }
        Ok(())
    }
}

impl CurveAt {
    /// A point without an interval.
    pub fn sure(x: f64, y: f64) -> CurveAt {
        let interval = None;
        CurveAt { x, y, interval }
    }
}

/// The corners of a step function through the points.
fn stairs(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut stairs = Vec::with_capacity(2 * points.len());
    for (at, point) in points.iter().enumerate() {
        if let Some(before) = at.checked_sub(1).map(|at| points[at]) {
            stairs.push((point.0, before.1));
        }
        stairs.push(*point);
    }
    stairs
}

fn tops(curves: &[Curve]) -> impl Iterator<Item = f64> {
    curves.iter().flat_map(|curve| {
        let top = |p: &CurveAt| p.interval.map_or(p.y, |(_, high)| high.max(p.y));
        curve.points.iter().map(top)
    })
}

fn is_empty(curves: &[Curve]) -> bool {
    curves.iter().all(|curve| curve.points.is_empty())
}

/// The curves described in words; `place` follows each value.
fn alt(title: &str, unit: &str, curves: &[Curve], place: impl Fn(&CurveAt) -> String) -> String {
    let texts = curves.iter().map(|curve| {
        let points = curve.points.iter().filter(|p| p.y.is_finite());
        let values = points.map(|p| value(p.y) + &place(p));
        format!("{}: {}", curve.name, Vec::from_iter(values).join(", "))
    });
    format!("{title} ({unit}). {}.", Vec::from_iter(texts).join("; "))
}

/// Values against the levels `levels`. With `per`, a label and a
/// divisor, the right axis shows the divided values.
/// What the axis of these levels counts.
fn quantity(levels: &[Level]) -> &'static str {
    match levels.first() {
        Some(Level::Rate(_)) => "requests arriving per second",
        _ => "requests in flight",
    }
}

pub(in crate::report) fn against_level(
    title: &str,
    caption: &str,
    unit: &str,
    levels: &[Level],
    curves: Vec<Curve>,
    per: Option<(&str, f64)>,
) -> Plot {
    if is_empty(&curves) {
        return Plot::nothing(title, "No point has it.");
    }
    let y = Axis::from_zero(unit, tops(&curves));
    let right = per.map(|(label, divisor)| {
        let axis = Axis::from_zero(label, tops(&curves).map(|top| top / divisor));
        Axis {
            ticks: axis
                .ticks
                .into_iter()
                .map(|(at, l)| (at * divisor, l))
                .collect(),
            ..axis
        }
    });
    let frame = PlotFrame {
        right,
        ..PlotFrame::new(Axis::levels(quantity(levels), levels), y)
    };
    let placed = |p: &CurveAt| CurveAt {
        x: place(p.x),
        ..*p
    };
    let drawn = curves.iter().map(|curve| Curve {
        points: curve
            .points
            .iter()
            .filter(|p| p.x.is_finite())
            .map(placed)
            .collect(),
        ..curve.clone()
    });
    let drawn: Vec<Curve> = drawn.collect();
    let alt = alt(title, unit, &curves, |p| format!(" at {}", p.x));
    let svg = draw(&frame, &alt, |panel| {
        // The first curve is the main one: it is drawn on top.
        let mut curves = drawn.iter().rev();
        curves.try_for_each(|curve| curve.draw(panel, true))
    });
    let table = table("Requests in flight", unit, &curves, per, |x| x.to_string());
    Plot::new(title, caption, svg, table).with_legend(curves.iter().map(|curve| curve.key(true)))
}

/// Values from name to name, such as versions.
pub(in crate::report) fn over_names(
    title: &str,
    caption: &str,
    unit: &str,
    names: &[String],
    curves: Vec<Curve>,
) -> Plot {
    if is_empty(&curves) {
        return Plot::nothing(title, "No side has it.");
    }
    let y = Axis::from_zero(unit, tops(&curves));
    let frame = PlotFrame::new(Axis::names("version", names.iter().cloned()), y);
    let name = |x: f64| names.get(x as usize).cloned().unwrap_or_default();
    let alt = alt(title, unit, &curves, |p| format!(" at {}", name(p.x)));
    let svg = draw(&frame, &alt, |panel| {
        curves.iter().try_for_each(|curve| curve.draw(panel, true))
    });
    let table = table("Version", unit, &curves, None, name);
    Plot::new(title, caption, svg, table).with_legend(curves.iter().map(|curve| curve.key(true)))
}

/// Values over the seconds of a run.
pub(in crate::report) fn over_time(
    title: &str,
    caption: &str,
    unit: &str,
    scale: AxisScale,
    curves: Vec<Curve>,
) -> Plot {
    let times = || curves.iter().flat_map(|c| c.points.iter().map(|p| p.x));
    let Some((_, end)) = extent(times()) else {
        return Plot::nothing(title, "Nothing was recorded over time.");
    };
    let mut y = Axis::from_zero(unit, tops(&curves));
    if let AxisScale::Percent = scale {
        let top = tops(&curves).fold(0.01, f64::max);
        y = Axis::percent(unit, (1.06 * top).min(1.0));
    }
    let frame = PlotFrame {
        height: 430,
        ..PlotFrame::new(Axis::linear("seconds of the run", 0.0, end), y)
    };
    let ranges = curves.iter().map(|curve| {
        let range = extent(curve.points.iter().map(|p| p.y));
        let (low, high) = range.unwrap_or((f64::NAN, f64::NAN));
        format!("{}: {} to {}", curve.name, value(low), value(high))
    });
    let alt = format!("{title} ({unit}). {}.", Vec::from_iter(ranges).join("; "));
    let svg = draw(&frame, &alt, |panel| {
        curves.iter().try_for_each(|curve| curve.draw(panel, false))
    });
    let thin = curves.iter().map(|curve| {
        let points: Vec<(f64, f64)> = curve.points.iter().map(|p| (p.x, p.y)).collect();
        let points = thinned(&points, MOST_ROWS).into_iter();
        Curve {
            points: points.map(|(x, y)| CurveAt::sure(x, y)).collect(),
            ..curve.clone()
        }
    });
    let thin: Vec<Curve> = thin.collect();
    let table = table("Second", unit, &thin, None, |x| format!("{x:.2}"));
    Plot::new(title, caption, svg, table).with_legend(curves.iter().map(|curve| curve.key(false)))
}

/// A table of the curves' points.
fn table(
    x: &str,
    unit: &str,
    curves: &[Curve],
    per: Option<(&str, f64)>,
    name: impl Fn(f64) -> String,
) -> Table {
    let intervals = curves
        .iter()
        .flat_map(|c| &c.points)
        .any(|p| p.interval.is_some());
    let mut head = vec!["Curve", x, unit];
    head.extend(per.map(|(label, _)| label));
    if intervals {
        head.push("95 % interval");
    }
    let rows = curves.iter().flat_map(|curve| {
        let name = &name;
        curve.points.iter().map(move |point| {
            let mut row = vec![curve.name.clone(), name(point.x), cell(point.y)];
            row.extend(per.map(|(_, divisor)| cell(point.y / divisor)));
            if intervals {
                row.push(
                    point
                        .interval
                        .map_or(NOT_AVAILABLE.to_owned(), |(low, high)| {
                            format!("{} … {}", cell(low), cell(high))
                        }),
                );
            }
            row
        })
    });
    Table::new(1, &head).with(rows)
}

/// A figure of a table.
fn cell(figure: f64) -> String {
    match figure {
        f if !f.is_finite() => NOT_AVAILABLE.to_owned(),
        f if f.abs() >= 1_000.0 => grouped(f, 0),
        f => value(f),
    }
}
