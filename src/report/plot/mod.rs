//! Plots as inline SVG, each with a title, a caption, and its data as a table.
//!
//! plotters draws them in placeholder colors, which become classes of the style sheet, so that plots adapt to
//! dark mode and print. Drawn curves may be thinned out; figures are computed from all values.

mod axis;
mod bars;
mod canvas;
mod changes;
mod colors;
mod curves;
mod distribution;
mod pareto;
mod sampling;
mod waterfall;

pub(super) use bars::{Bar, bars};
pub(super) use changes::{ChangeRow, changes};
pub(super) use curves::{Curve, CurveAt, Scale, against_level, over_names, over_time};
pub(super) use distribution::{density, ecdf};
pub(super) use pareto::{ParetoCurve, pareto};
pub(super) use waterfall::{Span, waterfall};

use canvas::{DrawError, Panel, explain, key};

/// A plot of a page.
#[derive(Debug)]
pub(super) struct Plot {
    /// Its title.
    pub title: String,
    /// How to read it.
    pub caption: String,
    pub drawing: Drawing,
    pub legend: Vec<Key>,
    pub table: Table,
}

/// The picture, or why there is none.
#[derive(Debug)]
pub(super) enum Drawing {
    /// An `svg` element.
    Svg(String),
    /// A sentence.
    Nothing(String),
}

/// An entry of a legend.
#[derive(Debug)]
pub(super) struct Key {
    /// An `svg` element.
    pub mark: String,
    pub name: String,
}

/// Rows under a head; the first `words` columns are text, the others figures.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
    pub words: usize,
}

impl Table {
    pub fn new(words: usize, head: &[&str]) -> Table {
        Table {
            head: head.iter().map(|head| (*head).to_owned()).collect(),
            rows: Vec::new(),
            words,
        }
    }

    /// Adds rows.
    pub fn with(mut self, rows: impl IntoIterator<Item = Vec<String>>) -> Table {
        self.rows.extend(rows);
        self
    }
}

impl Plot {
    /// A plot without a legend.
    fn new(
        title: &str,
        caption: impl Into<String>,
        drawn: Result<String, DrawError>,
        table: Table,
    ) -> Plot {
        Plot {
            title: title.to_owned(),
            caption: caption.into(),
            drawing: match drawn {
                Ok(svg) => Drawing::Svg(svg),
                Err(error) => Drawing::Nothing(explain(&error)),
            },
            legend: Vec::new(),
            table,
        }
    }

    fn with_legend(self, legend: impl IntoIterator<Item = Key>) -> Plot {
        Plot {
            legend: legend.into_iter().collect(),
            ..self
        }
    }

    /// A sentence in place of a picture.
    pub fn nothing(title: impl Into<String>, why: impl Into<String>) -> Plot {
        Plot {
            title: title.into(),
            caption: String::new(),
            drawing: Drawing::Nothing(why.into()),
            legend: Vec::new(),
            table: Table::default(),
        }
    }
}

impl Key {
    fn new(
        name: impl Into<String>,
        marks: impl FnOnce(&Panel<'_, '_>) -> Result<(), DrawError>,
    ) -> Key {
        Key {
            mark: key(marks).unwrap_or_default(),
            name: name.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn svg(plot: &Plot) -> &str {
        match &plot.drawing {
            Drawing::Svg(svg) => svg,
            Drawing::Nothing(why) => panic!("{why}"),
        }
    }

    #[test]
    fn a_plot_scales_has_words_and_no_colour_of_its_own() {
        let curve = Curve {
            points: vec![
                CurveAt::sure(1.0, 230.0),
                CurveAt {
                    interval: Some((1_440.0, 1_490.0)),
                    ..CurveAt::sure(8.0, 1_464.0)
                },
            ],
            ..Curve::new("<new>", 0)
        };
        let levels = ["c=1", "c=8"].map(|level| level.parse().unwrap());
        let plot = against_level("tok/s & more", "", "tok/s", &levels, vec![curve], None);
        let svg = svg(&plot);
        assert!(
            svg.starts_with("<svg class=\"plot\" viewBox=\"0 0 960 "),
            "{svg}"
        );
        assert!(
            svg.contains("role=\"img\" aria-label=\"tok/s &amp; more"),
            "{svg}"
        );
        assert!(svg.trim_end().ends_with("</svg>"), "{svg}");
        assert!(!svg.contains('#') && !svg.contains("http"), "{svg}");
        assert!(
            svg.contains("class=\"l0\"") && svg.contains("1,000"),
            "{svg}"
        );
        assert_eq!(plot.table.rows.len(), 2);
        assert!(
            plot.table.rows[1].contains(&"1,440 … 1,490".to_owned()),
            "{plot:?}"
        );
    }

    #[test]
    fn nothing_to_draw_is_said() {
        use crate::metrics::SortedValues;

        let plots = [
            against_level("", "", "", &[], Vec::new(), None),
            over_time("", "", "", Scale::FromZero, Vec::new()),
            ecdf("", "TTFT", &SortedValues::default()),
            density("", "TTFT", &SortedValues::default()),
            bars("", "", "", Vec::new()),
            waterfall("", Vec::new()),
            changes("", 0.03, true, Vec::new()),
            pareto("", "", "", None, Vec::new()),
        ];
        for plot in plots {
            assert!(matches!(plot.drawing, Drawing::Nothing(_)), "{plot:?}");
        }
        for values in [vec![3.0], vec![3.0; 5], vec![0.0, 0.0]] {
            let values = values.into_iter().collect();
            svg(&ecdf("", "TTFT", &values));
            svg(&density("", "TTFT", &values));
        }
    }
}
