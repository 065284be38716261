use std::io;

use super::exporter::{DocumentSplit, Exporter};
use crate::report::{self, Row};
use crate::results::RunRecord;

/// All columns of the CSV file as tables, a chapter for each bench.
pub(super) const EXPORTER: Exporter = Exporter {
    id: "markdown",
    about: "All columns as Markdown tables, with notes",
    form: DocumentSplit::Whole {
        name: "performance_metrics.md",
        write,
    },
};

fn write(points: &[RunRecord], to: &mut dyn io::Write) -> io::Result<()> {
    let rows: Vec<Row> = points.iter().map(Row::of).collect();
    let chapters = report::by_bench(&rows, report::markdown);
    to.write_all(chapters.join("\n").as_bytes())
}
