use super::{Document, ExportError, point_name};
use crate::results::RunRecord;

/// The run record, as `docs/record.md` documents it.
pub(super) fn document(record: &RunRecord) -> Result<Document, ExportError> {
    Ok(Document {
        name: point_name(record),
        text: serde_json::to_string(record)? + "\n",
    })
}
