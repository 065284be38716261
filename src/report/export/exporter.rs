use crate::results::{RunRecord, file_name};

/// A format in which a run's figures are handed to other programs.
#[derive(Debug)]
pub struct Exporter {
    /// Its name on command lines.
    pub id: &'static str,
    /// What it writes, in a line of help.
    pub about: &'static str,
    pub(super) write: Write,
}

/// How many documents a run becomes.
#[derive(Debug)]
pub(super) enum Write {
    /// One of all points.
    Whole(fn(&[RunRecord]) -> Result<Document, ExportError>),
    /// One of each point.
    PerPoint(fn(&RunRecord) -> Result<Document, ExportError>),
}

/// A finished document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Name of its file.
    pub name: String,
    /// Its text; one of JSON is a single line.
    pub text: String,
}

/// A run cannot be written in a format.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Not as CSV.
    #[error("cannot be written as CSV: {0}")]
    Csv(#[from] csv::Error),
    /// Not as JSON.
    #[error("cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Exporter {
    /// Whether each point is a document of its own.
    pub fn is_per_point(&self) -> bool {
        matches!(self.write, Write::PerPoint(_))
    }

    /// Writes the points: one document of all, or one of each where [`Exporter::is_per_point`] says so.
    ///
    /// # Errors
    /// [`ExportError`], which does not occur for records that were read from files.
    pub fn export(&self, points: &[RunRecord]) -> Result<Vec<Document>, ExportError> {
        match self.write {
            Write::Whole(document) => Ok(vec![document(points)?]),
            Write::PerPoint(document) => points.iter().map(document).collect(),
        }
    }
}

/// Name of the JSON file of a point: `chat_throughput-1k-c8.json`.
pub(super) fn point_name(record: &RunRecord) -> String {
    let (bench, prompt) = (file_name(&record.bench), file_name(&record.prompt));
    let level = record.level.to_string().replace('=', "");
    format!("{bench}-{prompt}-{level}.json")
}
