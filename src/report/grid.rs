use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// Width of a terminal that a table must fit (columns).
const WIDTH: u16 = 120;

/// A Markdown table with text in its first `words` columns and right-aligned figures in the others.
pub(super) fn grid<C: Into<Vec<String>>>(
    head: C,
    rows: impl IntoIterator<Item = C>,
    words: usize,
) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(head.into());
    for row in rows {
        table.add_row(row.into());
    }
    for column in table.column_iter_mut().skip(words) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

/// Whether a terminal must wrap it.
pub(super) fn is_wide(table: &Table) -> bool {
    let widest = table.lines().map(|line| line.chars().count()).max();
    widest.unwrap_or(0) > usize::from(WIDTH)
}

/// The same with long cells wrapped to fit a terminal.
pub(super) fn narrow_grid<C: Into<Vec<String>>>(
    head: C,
    rows: impl IntoIterator<Item = C>,
    words: usize,
) -> Table {
    let mut table = grid(head, rows, words);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table
}
