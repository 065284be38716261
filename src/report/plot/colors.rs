//! Color roles: the style sheet defines their colors for light, dark and print.

use std::borrow::Cow;
use std::sync::OnceLock;

use plotters::style::RGBColor;
use regex::{Captures, Regex};

/// The role of a mark's color. Each series has its own color and dash in the style sheet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ColorRole {
    /// A line of series i, in its color and dash.
    Line(usize),
    /// A line of series i, never dashed: intervals, outlines of markers.
    Solid(usize),
    /// A filled marker or bar of series i.
    Fill(usize),
    /// A translucent area of series i.
    Area(usize),
    /// An axis.
    Axis,
    /// A line of the grid.
    Grid,
    /// A limit: an objective, a threshold.
    Limit,
    /// The area within a limit.
    Within,
    /// The inside of a hollow marker.
    Paper,
    /// Text of an axis.
    Text,
    /// Text of a mark.
    Label,
}

/// Number of series with different colors; further series repeat them.
pub(super) const SERIES: usize = 7;

/// Class names of the roles; for series a number follows.
const CLASSES: [&str; 11] = ["l", "o", "f", "a", "ax", "gr", "li", "wi", "pa", "t", "la"];

impl ColorRole {
    /// A placeholder color, which [`classes`] replaces.
    pub fn placeholder(self) -> RGBColor {
        let (role, series) = match self {
            ColorRole::Line(series) => (0, series % SERIES),
            ColorRole::Solid(series) => (1, series % SERIES),
            ColorRole::Fill(series) => (2, series % SERIES),
            ColorRole::Area(series) => (3, series % SERIES),
            ColorRole::Axis => (4, SERIES),
            ColorRole::Grid => (5, SERIES),
            ColorRole::Limit => (6, SERIES),
            ColorRole::Within => (7, SERIES),
            ColorRole::Paper => (8, SERIES),
            ColorRole::Text => (9, SERIES),
            ColorRole::Label => (10, SERIES),
        };
        RGBColor(MARK, role, series as u8)
    }
}

/// First byte of every placeholder.
const MARK: u8 = 0xAB;

/// Replaces placeholders by classes, and removes attributes that the style sheet sets.
pub(super) fn classes(svg: &str) -> String {
    static COLORS: OnceLock<Regex> = OnceLock::new();
    static CONSTANT: OnceLock<Regex> = OnceLock::new();
    // The patterns are constants of this file, and a test uses both.
    let colors = COLORS.get_or_init(|| {
        Regex::new(r##" (?:stroke|fill)="#AB([0-9A-F]{2})([0-9A-F]{2})""##).expect("a pattern")
    });
    let constant = CONSTANT.get_or_init(|| {
        let pattern = r#" (?:opacity="1"|(?:fill|stroke)="none"|stroke-width="\d+"|font-(?:family|size)="[^"]*")"#;
        Regex::new(pattern).expect("a pattern")
    });
    let plain = constant.replace_all(svg, "");
    let class = |found: &Captures<'_>| {
        let number = |at: usize| usize::from_str_radix(&found[at], 16).unwrap_or(0);
        let (role, series) = (CLASSES.get(number(1)).unwrap_or(&"l"), number(2));
        match series < SERIES {
            true => format!(" class=\"{role}{series}\""),
            false => format!(" class=\"{role}\""),
        }
    };
    let classed: Cow<'_, str> = colors.replace_all(&plain, class);
    classed.replace(" \"/>", "\"/>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_placeholder_becomes_the_class_of_its_role_and_series() {
        let colour = |role: ColorRole| {
            let RGBColor(r, g, b) = role.placeholder();
            format!(
                "<line opacity=\"1\" stroke=\"#{r:02X}{g:02X}{b:02X}\" stroke-width=\"2\" x1=\"3\"/>"
            )
        };
        for (role, class) in [
            (ColorRole::Line(1), "l1"),
            (ColorRole::Solid(8), "o1"),
            (ColorRole::Fill(0), "f0"),
            (ColorRole::Area(6), "a6"),
            (ColorRole::Grid, "gr"),
            (ColorRole::Label, "la"),
        ] {
            let svg = classes(&colour(role));
            assert_eq!(svg, format!("<line class=\"{class}\" x1=\"3\"/>"));
        }
    }
}
