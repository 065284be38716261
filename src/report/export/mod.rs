//! A run's figures in the forms that other programs read, one file per form.

mod csv;
mod json;
mod markdown;
mod vllm;

use crate::results::{RunRecord, file_name};

/// A form in which a run can be handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The rows of `performance_metrics.csv`.
    Csv,
    /// All its columns as tables, with the notes.
    Markdown,
    /// The run records themselves.
    Json,
    /// The results of `vllm bench serve`.
    Vllm,
}

/// A finished document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// What a file of it is called.
    pub name: String,
    /// Its text; one of JSON is a single line.
    pub text: String,
}

/// A run cannot be written in a form.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// Not as CSV.
    #[error("not to be written as CSV: {0}")]
    Csv(#[from] ::csv::Error),
    /// Not as JSON.
    #[error("not to be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Format {
    /// Every form.
    pub const ALL: [Format; 4] = [Format::Csv, Format::Markdown, Format::Json, Format::Vllm];

    /// The name on command lines.
    pub fn id(self) -> &'static str {
        match self {
            Format::Csv => "csv",
            Format::Markdown => "markdown",
            Format::Json => "json",
            Format::Vllm => "vllm",
        }
    }

    /// The form of this name.
    pub fn named(id: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.id() == id)
    }

    /// Whether each point is a document of its own.
    pub fn is_per_point(self) -> bool {
        matches!(self, Format::Json | Format::Vllm)
    }

    /// Writes the points in this form: one document of all, or one of each where
    /// [`Format::is_per_point`] says so.
    ///
    /// # Errors
    /// [`ExportError`], which no record that was read gives.
    pub fn export(self, points: &[RunRecord]) -> Result<Vec<Document>, ExportError> {
        match self {
            Format::Csv => Ok(vec![csv::document(points)?]),
            Format::Markdown => Ok(vec![markdown::document(points)]),
            Format::Json => points.iter().map(json::document).collect(),
            Format::Vllm => points.iter().map(vllm::document).collect(),
        }
    }
}

/// `chat_throughput-1k-c8.json`.
fn point_name(record: &RunRecord) -> String {
    let (bench, prompt) = (&record.bench, &record.prompt);
    format!(
        "{}-{}-c{}.json",
        file_name(bench),
        file_name(prompt),
        record.concurrency
    )
}
