//! Drawing plots: axes, marks, and the finished SVG.

use std::io;
use std::ops::Range;

use plotters::backend::SVGBackend;
use plotters::coord::CoordTranslate;
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::coord::ranged1d::Ranged;
use plotters::coord::types::RangedCoordf64;
use plotters::drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle, Text};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, ShapeStyle};

use super::axis::Axis;
use super::colors::{ColorRole, classes};

type Sheet<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// An error of the drawing library.
pub(super) type DrawError = DrawingAreaErrorKind<io::Error>;

/// Width of a drawing in units: half a pixel each if letters are 13 pixels high, so that enlarged curves stay
/// smooth.
const WIDTH: u32 = 960;

/// Height of a line of text (units).
const LINE: i32 = 34;

/// Approximate width of a letter (units).
const LETTER: usize = 17;

/// Greatest width of a letter, including narrow screens (units).
const WIDE_LETTER: usize = 19;

/// Longest name on an axis (letters); the data table has the whole name.
const LONGEST_NAME: usize = 24;

/// The axes of a plot.
pub(super) struct PlotFrame {
    pub x: Axis,
    pub y: Axis,
    /// A right axis: the same values in another unit.
    pub right: Option<Axis>,
    /// Height of the drawing (units).
    pub height: u32,
}

impl PlotFrame {
    /// A frame of the default height.
    pub fn new(x: Axis, y: Axis) -> PlotFrame {
        PlotFrame {
            x,
            y,
            right: None,
            height: 540,
        }
    }
}

/// The area within the axes.
pub(super) struct Panel<'a, 'b> {
    sheet: &'b Sheet<'a>,
    coordinates: Cartesian2d<RangedCoordf64, RangedCoordf64>,
}

/// Draws a plot; `alt` describes it in words.
pub(super) fn draw(
    frame: &PlotFrame,
    alt: &str,
    marks: impl FnOnce(&Panel<'_, '_>) -> Result<(), DrawError>,
) -> Result<String, DrawError> {
    let (x, y) = frame.inner();
    let ranges = (frame.x.range.clone(), frame.y.range.clone());
    let svg = draw_on(
        (WIDTH, frame.height),
        ranges,
        (x.clone(), y.clone()),
        |panel| {
            panel.axes(frame, &x, &y)?;
            marks(panel)
        },
    )?;
    Ok(finished(&svg, frame.height, alt))
}

/// A small picture of a mark, for a legend.
pub(super) fn key(
    marks: impl FnOnce(&Panel<'_, '_>) -> Result<(), DrawError>,
) -> Result<String, DrawError> {
    let svg = draw_on((72, 30), (0.0..1.0, 0.0..1.0), (0..72, 0..30), marks)?;
    Ok(format!(
        "<svg class=\"key\" viewBox=\"0 0 72 30\" aria-hidden=\"true\">{}",
        inner(&svg)
    ))
}

/// Draws on a sheet within these pixels; `ranges` run from left to right and from bottom to top.
fn draw_on(
    size: (u32, u32),
    ranges: (Range<f64>, Range<f64>),
    (x, y): (Range<i32>, Range<i32>),
    marks: impl FnOnce(&Panel<'_, '_>) -> Result<(), DrawError>,
) -> Result<String, DrawError> {
    let mut svg = String::new();
    {
        let sheet = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        let panel = Panel {
            sheet: &sheet,
            coordinates: Cartesian2d::new(ranges.0, ranges.1, (x, y.end..y.start)),
        };
        marks(&panel)?;
        sheet.present()?;
    }
    Ok(svg)
}

/// The inner part and the end of an `svg` element, with classes for colors.
fn inner(svg: &str) -> String {
    let start = svg.find('>').map_or(0, |at| at + 1);
    let inner = classes(&svg[start..]);
    inner.replace(">\n", ">").replace("\n<", "<")
}

/// The plot as scalable SVG, with its description.
fn finished(svg: &str, height: u32, alt: &str) -> String {
    let alt = maud::html! { (alt) }.into_string();
    format!(
        "<svg class=\"plot\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{alt}\">{}",
        inner(svg)
    )
}

impl PlotFrame {
    /// The position of the panel on the sheet.
    fn inner(&self) -> (Range<i32>, Range<i32>) {
        let letters = |axis: &Axis| {
            let names = axis.ticks.iter().map(|(_, name)| name.chars().count());
            names.max().unwrap_or(0).min(LONGEST_NAME) * LETTER
        };
        let left = letters(&self.y) as i32 + 26;
        let right = match &self.right {
            Some(axis) => letters(axis) as i32 + 26,
            None => 30,
        };
        let labelled = !self.y.label.is_empty() || self.right.is_some();
        let top = if labelled { LINE + 22 } else { 14 };
        let bottom = self.height as i32 - 2 * LINE - 16;
        (left..WIDTH as i32 - right, top..bottom)
    }
}

fn shortened(name: &str) -> String {
    match name.chars().count() > LONGEST_NAME {
        true => name.chars().take(LONGEST_NAME - 1).chain(['…']).collect(),
        false => name.to_owned(),
    }
}

fn style(role: ColorRole, filled: bool, width: u32) -> ShapeStyle {
    ShapeStyle {
        color: role.placeholder().to_rgba(),
        filled,
        stroke_width: width,
    }
}

/// Limits a value to what can be drawn near a range: a damaged record may contain any value.
fn near(value: f64, range: Range<f64>) -> f64 {
    const WIDTHS: f64 = 100.0;
    let beyond = WIDTHS * (range.end - range.start).abs();
    value
        .max(range.start.min(range.end) - beyond)
        .min(range.start.max(range.end) + beyond)
}

impl Panel<'_, '_> {
    fn at(&self, point: (f64, f64)) -> (i32, i32) {
        let (x, y) = (
            self.coordinates.get_x_range(),
            self.coordinates.get_y_range(),
        );
        self.coordinates
            .translate(&(near(point.0, x), near(point.1, y)))
    }

    fn axes(&self, frame: &PlotFrame, x: &Range<i32>, y: &Range<i32>) -> Result<(), DrawError> {
        let text = |text: &str, at, h, v| self.write(text, at, Pos::new(h, v), ColorRole::Text);
        for (at, label) in &frame.x.ticks {
            let (px, _) = self.at((*at, frame.y.range.start));
            self.stroke(&[(px, y.end), (px, y.end + 8)], ColorRole::Axis)?;
            text(label, (px, y.end + 12), HPos::Center, VPos::Top)?;
        }
        for (at, label) in &frame.y.ticks {
            let (_, py) = self.at((frame.x.range.start, *at));
            self.stroke(&[(x.start, py), (x.end, py)], ColorRole::Grid)?;
            let label = shortened(label);
            text(&label, (x.start - 12, py), HPos::Right, VPos::Center)?;
        }
        self.stroke(&[(x.start, y.end), (x.end, y.end)], ColorRole::Axis)?;
        let below = (x.end, y.end + 12 + LINE);
        text(&frame.x.label, below, HPos::Right, VPos::Top)?;
        text(&frame.y.label, (4, 4), HPos::Left, VPos::Top)?;
        if let Some(right) = &frame.right {
            for (at, label) in &right.ticks {
                let (_, py) = self.at((frame.x.range.end, *at));
                text(label, (x.end + 12, py), HPos::Left, VPos::Center)?;
            }
            text(&right.label, (WIDTH as i32 - 4, 4), HPos::Right, VPos::Top)?;
        }
        Ok(())
    }

    fn write(
        &self,
        text: &str,
        at: (i32, i32),
        pos: Pos,
        role: ColorRole,
    ) -> Result<(), DrawError> {
        let font = ("sans-serif", 26).into_font();
        let style = font.color(&role.placeholder()).pos(pos);
        self.sheet.draw(&Text::new(text.to_owned(), at, style))
    }

    fn stroke(&self, points: &[(i32, i32)], role: ColorRole) -> Result<(), DrawError> {
        self.sheet
            .draw(&PathElement::new(points.to_vec(), style(role, false, 2)))
    }

    /// A line through points, interrupted at values that are not finite.
    pub fn line(&self, points: &[(f64, f64)], role: ColorRole) -> Result<(), DrawError> {
        for piece in points.split(|(x, y)| !x.is_finite() || !y.is_finite()) {
            let mut pixels: Vec<(i32, i32)> = piece.iter().map(|point| self.at(*point)).collect();
            pixels.dedup();
            if pixels.len() > 1 {
                self.stroke(&pixels, role)?;
            }
        }
        Ok(())
    }

    /// A filled shape.
    pub fn area(&self, points: &[(f64, f64)], role: ColorRole) -> Result<(), DrawError> {
        let mut pixels: Vec<(i32, i32)> = points.iter().map(|point| self.at(*point)).collect();
        pixels.dedup();
        self.sheet.draw(&Polygon::new(pixels, style(role, true, 0)))
    }

    /// A filled box between two corners, at least one unit wide.
    pub fn bar(&self, from: (f64, f64), to: (f64, f64), role: ColorRole) -> Result<(), DrawError> {
        let (a, b) = (self.at(from), self.at(to));
        let corners = [
            (a.0.min(b.0), a.1.min(b.1)),
            (a.0.max(b.0).max(a.0.min(b.0) + 1), a.1.max(b.1)),
        ];
        self.sheet
            .draw(&Rectangle::new(corners, style(role, true, 0)))
    }

    /// The interval of a value: a vertical or horizontal line with a cap at each end.
    pub fn interval(&self, ends: [(f64, f64); 2], series: usize) -> Result<(), DrawError> {
        const CAP: i32 = 8;
        let [a, b] = ends.map(|end| self.at(end));
        self.stroke(&[a, b], ColorRole::Solid(series))?;
        let vertical = a.0 == b.0;
        for (x, y) in [a, b] {
            let cap = match vertical {
                true => [(x - CAP, y), (x + CAP, y)],
                false => [(x, y - CAP), (x, y + CAP)],
            };
            self.stroke(&cap, ColorRole::Solid(series))?;
        }
        Ok(())
    }

    /// A marker in the shape of its series, filled or hollow.
    pub fn marker(&self, at: (f64, f64), series: usize, hollow: bool) -> Result<(), DrawError> {
        const R: i32 = 9;
        let (x, y) = self.at(at);
        let outline: Vec<(i32, i32)> = match series % 4 {
            0 => {
                let draw = |role, filled, radius| {
                    self.sheet
                        .draw(&Circle::new((x, y), radius, style(role, filled, 3)))
                };
                if !hollow {
                    return draw(ColorRole::Fill(series), true, R);
                }
                draw(ColorRole::Paper, true, R)?;
                return draw(ColorRole::Solid(series), false, R);
            }
            1 => vec![
                (x - R, y - R),
                (x + R, y - R),
                (x + R, y + R),
                (x - R, y + R),
            ],
            2 => vec![
                (x, y - R - 2),
                (x + R + 2, y + R - 1),
                (x - R - 2, y + R - 1),
            ],
            _ => vec![
                (x, y - R - 4),
                (x + R + 4, y),
                (x, y + R + 4),
                (x - R - 4, y),
            ],
        };
        let role = if hollow {
            ColorRole::Paper
        } else {
            ColorRole::Fill(series)
        };
        self.sheet
            .draw(&Polygon::new(outline.clone(), style(role, true, 0)))?;
        if hollow {
            let first = outline[0];
            let closed: Vec<_> = outline.into_iter().chain([first]).collect();
            self.stroke(&closed, ColorRole::Solid(series))?;
        }
        Ok(())
    }

    /// A label above a mark and to its right, or left if there is no room.
    pub fn label(&self, at: (f64, f64), text: &str) -> Result<(), DrawError> {
        let (x, y) = self.at(at);
        let fits = x + 14 + (text.chars().count() * WIDE_LETTER) as i32 <= WIDTH as i32;
        let (x, h) = match fits {
            true => (x + 14, HPos::Left),
            false => (x - 14, HPos::Right),
        };
        self.write(
            text,
            (x, y - 12),
            Pos::new(h, VPos::Bottom),
            ColorRole::Label,
        )
    }

    /// Range of the x axis.
    pub fn x_range(&self) -> Range<f64> {
        self.coordinates.x_spec().range()
    }

    /// Range of the y axis.
    pub fn y_range(&self) -> Range<f64> {
        self.coordinates.y_spec().range()
    }
}

/// Describes a drawing error.
pub(super) fn explain(error: &DrawError) -> String {
    format!("It could not be drawn: {error}.")
}

#[cfg(test)]
mod tests;
