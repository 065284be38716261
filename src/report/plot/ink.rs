//! Colours by role: the style sheet decides what each looks like, in light, in dark and on paper.

use std::borrow::Cow;
use std::sync::OnceLock;

use plotters::style::RGBColor;
use regex::{Captures, Regex};

/// What a mark is drawn with. Series have a colour and a dash of their own, which the style sheet gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// A line of series i, in its colour and dash.
    Line(usize),
    /// A line of series i, never dashed: intervals, outlines of markers.
    Solid(usize),
    /// A filled marker or bar of series i.
    Fill(usize),
    /// An area of series i that things can be seen through.
    Area(usize),
    /// An axis.
    Axis,
    /// A line of the grid.
    Grid,
    /// A limit: an objective, a threshold.
    Limit,
    /// An area that is within a limit.
    Within,
    /// The inside of a hollow marker.
    Paper,
    /// Text of an axis.
    Text,
    /// Text of a mark.
    Label,
}

/// Series that look different from each other; further ones begin anew.
pub(super) const SERIES: usize = 7;

/// Roles by the letter of their classes; series have their number after it.
const CLASSES: [&str; 11] = ["l", "o", "f", "a", "ax", "gr", "li", "wi", "pa", "t", "la"];

impl Ink {
    /// The colour that stands for it until [`classes`] replaces it.
    pub fn stand_in(self) -> RGBColor {
        let (role, series) = match self {
            Ink::Line(series) => (0, series % SERIES),
            Ink::Solid(series) => (1, series % SERIES),
            Ink::Fill(series) => (2, series % SERIES),
            Ink::Area(series) => (3, series % SERIES),
            Ink::Axis => (4, SERIES),
            Ink::Grid => (5, SERIES),
            Ink::Limit => (6, SERIES),
            Ink::Within => (7, SERIES),
            Ink::Paper => (8, SERIES),
            Ink::Text => (9, SERIES),
            Ink::Label => (10, SERIES),
        };
        RGBColor(MARK, role, series as u8)
    }
}

/// First byte of every stand-in.
const MARK: u8 = 0xAB;

/// Replaces the stand-ins by classes, and drops what the style sheet says once for all.
pub(super) fn classes(svg: &str) -> String {
    static COLOURS: OnceLock<Regex> = OnceLock::new();
    static CONSTANT: OnceLock<Regex> = OnceLock::new();
    // The patterns are constants of this file, and a test uses both.
    let colours = COLOURS.get_or_init(|| {
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
    let classed: Cow<'_, str> = colours.replace_all(&plain, class);
    classed.replace(" \"/>", "\"/>")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stand_in_becomes_the_class_of_its_role_and_series() {
        let colour = |ink: Ink| {
            let RGBColor(r, g, b) = ink.stand_in();
            format!(
                "<line opacity=\"1\" stroke=\"#{r:02X}{g:02X}{b:02X}\" stroke-width=\"2\" x1=\"3\"/>"
            )
        };
        for (ink, class) in [
            (Ink::Line(1), "l1"),
            (Ink::Solid(8), "o1"),
            (Ink::Fill(0), "f0"),
            (Ink::Area(6), "a6"),
            (Ink::Grid, "gr"),
            (Ink::Label, "la"),
        ] {
            let svg = classes(&colour(ink));
            assert_eq!(svg, format!("<line class=\"{class}\" x1=\"3\"/>"));
        }
    }
}
