use std::io;

use super::exporter::{DocumentSplit, Exporter};
use crate::report::{self, Row};
use crate::results::RunRecord;

/// The file that a bench writes at its end.
pub(super) const EXPORTER: Exporter = Exporter {
    id: "csv",
    about: "performance_metrics.csv: all columns",
    form: DocumentSplit::Whole {
        name: "performance_metrics.csv",
        write,
    },
};

fn write(points: &[RunRecord], to: &mut dyn io::Write) -> io::Result<()> {
    let rows: Vec<Row> = points.iter().map(Row::of).collect();
    to.write_all(&report::csv(&rows)?)
}
