//! Styles of what must not be missed on a terminal: verdicts, failed requests, clients that were the limit, what is
//! simulated.
//!
//! A text with styles holds escape codes. Print it through `anstream`, which drops them where they are not wanted:
//! pipes, `NO_COLOR`. For files, [`plain`] drops them.

use clap::builder::styling::{AnsiColor, Color, Style};

/// A failure or a regression.
pub(crate) const BAD: Style = colored(AnsiColor::Red).bold();
/// What limits how far a figure can be trusted.
pub(crate) const DOUBTFUL: Style = colored(AnsiColor::Yellow);
/// A success.
pub(crate) const GOOD: Style = colored(AnsiColor::Green);
/// The heading of a section.
pub(super) const HEADING: Style = Style::new().bold();
/// The label of figures that are easily mistaken for others.
pub(super) const LABEL: Style = DOUBTFUL.bold();

const fn colored(color: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(color)))
}

/// A text in a style.
pub(crate) fn styled(style: Style, text: &str) -> String {
    format!("{style}{text}{style:#}")
}

/// A text without its styles.
pub fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// A cell of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cell {
    /// Its text, without escape codes.
    pub text: String,
    /// How a terminal shows it.
    pub style: Style,
}

impl Cell {
    pub fn new(style: Style, text: impl Into<String>) -> Cell {
        let text = text.into();
        Cell { text, style }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell::new(Style::new(), text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::grid::narrow_grid;

    #[test]
    fn styles_move_no_column() {
        let head = ["verdict", "failed"];
        let long = "regressed (doubtful) ".repeat(20);
        for text in ["regressed", &long] {
            let table = |style| {
                let rows = [[Cell::new(style, text), Cell::new(style, "12")]];
                narrow_grid(head, rows, 1).to_string()
            };
            let shown = table(BAD);
            assert_ne!(shown, table(Style::new()));
            assert_eq!(plain(&shown), table(Style::new()));
            assert!(shown.contains(&styled(BAD, "12")), "{shown:?}");
        }
    }
}
