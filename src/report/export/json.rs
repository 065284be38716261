use std::io;

use super::exporter::{DocumentSplit, Exporter};
use crate::results::RunRecord;

/// The run records themselves.
pub(super) const EXPORTER: Exporter = Exporter {
    id: "json",
    about: "Run records, as docs/record.md documents them",
    form: DocumentSplit::PerPoint(write),
};

fn write(record: &RunRecord, to: &mut dyn io::Write) -> io::Result<()> {
    serde_json::to_writer(&mut *to, record)?;
    to.write_all(b"\n")
}
