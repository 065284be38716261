use super::Document;
use crate::report::{self, Row};
use crate::results::RunRecord;

/// A chapter for each bench.
pub(super) fn document(points: &[RunRecord]) -> Document {
    let rows: Vec<Row> = points.iter().map(Row::of).collect();
    Document {
        name: "performance_metrics.md".to_owned(),
        text: report::by_bench(&rows, report::markdown).join("\n"),
    }
}
