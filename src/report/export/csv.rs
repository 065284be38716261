use super::{Document, ExportError};
use crate::report::{self, Row};
use crate::results::RunRecord;

/// What a bench writes at its end, with the same columns.
pub(super) fn document(points: &[RunRecord]) -> Result<Document, ExportError> {
    let rows: Vec<Row> = points.iter().map(Row::of).collect();
    Ok(Document {
        name: "performance_metrics.csv".to_owned(),
        text: String::from_utf8_lossy(&report::csv(&rows)?).into_owned(),
    })
}
