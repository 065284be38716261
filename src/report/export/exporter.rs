use std::io;

use crate::results::{RunRecord, file_name};

/// A format in which a run's figures are handed to other programs.
#[derive(Debug)]
pub struct Exporter {
    /// Its name on command lines.
    pub id: &'static str,
    /// What it writes, in a line of help.
    pub about: &'static str,
    pub(super) form: DocumentSplit,
}

/// How many documents a run becomes, and how each is written.
#[derive(Debug)]
pub(super) enum DocumentSplit {
    /// One of all points.
    Whole {
        /// Name of its file.
        name: &'static str,
        write: fn(&[RunRecord], &mut dyn io::Write) -> io::Result<()>,
    },
    /// One of each point.
    PerPoint(fn(&RunRecord, &mut dyn io::Write) -> io::Result<()>),
}

/// A document of a run.
#[derive(Clone, Debug)]
pub struct Document<'r> {
    /// Name of its file.
    pub name: String,
    form: &'static DocumentSplit,
    points: &'r [RunRecord],
}

impl Exporter {
    /// Whether each point is a document of its own.
    pub fn is_per_point(&self) -> bool {
        matches!(self.form, DocumentSplit::PerPoint(_))
    }

    /// The documents of the points: one of all, or one of each where [`Exporter::is_per_point`] says so.
    pub fn documents<'r>(&'static self, points: &'r [RunRecord]) -> Vec<Document<'r>> {
        let document = |name, points| Document {
            name,
            form: &self.form,
            points,
        };
        match &self.form {
            DocumentSplit::Whole { name, .. } => vec![document((*name).to_owned(), points)],
            DocumentSplit::PerPoint(_) => points
                .iter()
                .map(|point| document(point_name(point), std::slice::from_ref(point)))
                .collect(),
        }
    }
}

impl Document<'_> {
    /// Writes its text piece by piece, so that it is never whole in memory; one of JSON is a single line.
    ///
    /// # Errors
    /// An I/O error of `to`.
    pub fn write(&self, to: &mut dyn io::Write) -> io::Result<()> {
        match self.form {
            DocumentSplit::Whole { write, .. } => write(self.points, to),
            DocumentSplit::PerPoint(write) => {
                self.points.iter().try_for_each(|point| write(point, to))
            }
        }
    }
}

/// Name of the JSON file of a point: `chat_throughput-1k-c8.json`.
fn point_name(record: &RunRecord) -> String {
    let (bench, prompt) = (file_name(&record.bench), file_name(&record.prompt));
    let level = record.level.to_string().replace('=', "");
    format!("{bench}-{prompt}-{level}.json")
}
