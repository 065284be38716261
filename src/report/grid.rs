use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

use super::style::{Cell, styled};

/// Width of a terminal that a table must fit (columns).
const WIDTH: u16 = 120;

/// A Markdown table with text in its first `words` columns and right-aligned figures in the others.
pub(crate) fn grid<R: IntoIterator<Item: Into<Cell>>>(
    head: impl IntoIterator<Item = impl Into<String>>,
    rows: impl IntoIterator<Item = R>,
    words: usize,
) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(head.into_iter().map(Into::into));
    for row in rows {
        let cells = row.into_iter().map(Into::into);
        table.add_row(cells.map(|cell: Cell| styled(cell.style, &cell.text)));
    }
    for column in table.column_iter_mut().skip(words) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Whether a terminal must wrap it.
pub(super) fn is_wide(table: &Table) -> bool {
    let widest = table.lines().map(|line| console::measure_text_width(&line));
    widest.max().unwrap_or(0) > usize::from(WIDTH)
}

/// The same with long cells wrapped to fit a terminal.
pub(super) fn narrow_grid<R: IntoIterator<Item: Into<Cell>>>(
    head: impl IntoIterator<Item = impl Into<String>>,
    rows: impl IntoIterator<Item = R>,
    words: usize,
) -> Table {
    let mut table = grid(head, rows, words);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table
}
