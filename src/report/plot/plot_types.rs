//! A plot as a page shows it: title, caption, drawing, legend and table.

use super::canvas::{DrawError, Panel, explain, key};

/// A plot of a page.
#[derive(Debug)]
pub(in crate::report) struct Plot {
    /// Its title.
    pub title: String,
    /// How to read it.
    pub caption: String,
    pub drawing: Drawing,
    pub legend: Vec<LegendEntry>,
    pub table: Table,
}

/// The picture, or why there is none.
#[derive(Debug)]
pub(in crate::report) enum Drawing {
    /// An `svg` element.
    Svg(String),
    /// A sentence.
    Nothing(String),
}

/// An entry of a legend.
#[derive(Debug)]
pub(in crate::report) struct LegendEntry {
    /// An `svg` element.
    pub mark: String,
    pub name: String,
}

/// Rows under a head; the first `words` columns are text, the others figures.
#[derive(Clone, Debug, Default)]
pub(in crate::report) struct Table {
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
    pub(super) fn new(
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

    pub(super) fn with_legend(self, legend: impl IntoIterator<Item = LegendEntry>) -> Plot {
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

impl LegendEntry {
    pub(super) fn new(
        name: impl Into<String>,
        marks: impl FnOnce(&Panel<'_, '_>) -> Result<(), DrawError>,
    ) -> LegendEntry {
        LegendEntry {
            mark: key(marks).unwrap_or_default(),
            name: name.into(),
        }
    }
}
