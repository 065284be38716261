use super::exporter::{Document, ExportError, Exporter, Write};
use crate::report::{self, Row};
use crate::results::RunRecord;

/// The file that a bench writes at its end.
pub(super) const EXPORTER: Exporter = Exporter {
    id: "csv",
    about: "performance_metrics.csv: all columns",
    write: Write::Whole(document),
};

fn document(points: &[RunRecord]) -> Result<Document, ExportError> {
    let rows: Vec<Row> = points.iter().map(Row::of).collect();
    Ok(Document {
        name: "performance_metrics.csv".to_owned(),
        text: String::from_utf8_lossy(&report::csv(&rows)?).into_owned(),
    })
}
