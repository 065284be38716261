use super::exporter::{Document, ExportError, Exporter, Write};
use crate::report::{self, Row};
use crate::results::RunRecord;

/// All columns of the CSV file as tables, a chapter for each bench.
pub(super) const EXPORTER: Exporter = Exporter {
    id: "markdown",
    about: "All columns as Markdown tables, with notes",
    write: Write::Whole(document),
};

fn document(points: &[RunRecord]) -> Result<Document, ExportError> {
    let rows: Vec<Row> = points.iter().map(Row::of).collect();
    Ok(Document {
        name: "performance_metrics.md".to_owned(),
        text: report::by_bench(&rows, report::markdown).join("\n"),
    })
}
