use super::exporter::{Document, ExportError, Exporter, Write, point_name};
use crate::results::RunRecord;

/// The run records themselves.
pub(super) const EXPORTER: Exporter = Exporter {
    id: "json",
    about: "Run records, as docs/record.md documents them",
    write: Write::PerPoint(document),
};

fn document(record: &RunRecord) -> Result<Document, ExportError> {
    Ok(Document {
        name: point_name(record),
        text: serde_json::to_string(record)? + "\n",
    })
}
