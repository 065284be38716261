//! In which form figures leave a command, and where to.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use anyhow::Context;
use clap::ValueEnum;
use clap::builder::PossibleValue;

use crate::report::export::{Document, EXPORTERS, Exporter};
use crate::results::{RunRecord, check_writable, check_writable_directory, write_in_pieces};

/// What --format and --output do, for the help of commands.
pub const FORMATS: &str = "\
json and vllm have a document for each point. With --output DIR each is a file of its own there; with
--output FILE.json or FILE.jsonl, or on stdout, each is a line.";

#[derive(clap::Args)]
pub struct Output {
    /// Format of the figures
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = OutputFormat::Table)]
    pub format: OutputFormat,
    /// Where to write them [default: stdout]
    #[arg(long, value_name = "FILE|DIR")]
    pub output: Option<PathBuf>,
}

#[derive(Clone, Copy)]
pub enum OutputFormat {
    /// The table of a terminal.
    Table,
    /// A format for programs.
    Export(&'static Exporter),
}

impl ValueEnum for OutputFormat {
    fn value_variants<'a>() -> &'a [OutputFormat] {
        static FORMS: LazyLock<Vec<OutputFormat>> = LazyLock::new(|| {
            let exports = EXPORTERS.into_iter().map(OutputFormat::Export);
            [OutputFormat::Table].into_iter().chain(exports).collect()
        });
        &FORMS
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let (id, about) = match self {
            OutputFormat::Table => (
                "table",
                "The table of a terminal: at most 120 columns, with notes",
            ),
            OutputFormat::Export(exporter) => (exporter.id, exporter.about),
        };
        Some(PossibleValue::new(id).help(about))
    }
}

impl Output {
    /// Whether the figures are written as the table of a terminal.
    pub fn is_table(&self) -> bool {
        matches!(self.format, OutputFormat::Table)
    }

    /// Finds out whether the figures could be written, before anything is measured.
    pub fn check(&self) -> anyhow::Result<()> {
        let Some(path) = &self.output else {
            return Ok(());
        };
        let writable = match self.has_file_per_point(path) {
            true => check_writable_directory(path),
            false => check_writable(path),
        };
        writable.context("--output cannot be written")
    }

    /// Whether `path` is a directory for a file of each point.
    fn has_file_per_point(&self, path: &Path) -> bool {
        matches!(self.format, OutputFormat::Export(exporter) if exporter.is_per_point())
            && !is_json(path)
    }

    /// Writes the points; `table` is their table, with styles. Says on stderr which files there are.
    pub fn write(&self, points: &[RunRecord], table: &str) -> anyhow::Result<()> {
        let OutputFormat::Export(exporter) = self.format else {
            return match &self.output {
                None => {
                    anstream::print!("{table}");
                    Ok(())
                }
                Some(path) => file(path, |file| {
                    file.write_all(crate::report::plain(table).as_bytes())
                }),
            };
        };
        let documents = exporter.documents(points);
        match &self.output {
            None => print(&documents).context("the figures cannot be printed"),
            Some(path) if self.has_file_per_point(path) => files(path, &documents),
            Some(path) => file(path, |file| all(&documents, file)),
        }
    }
}

/// Writes documents one after another.
fn all(documents: &[Document<'_>], to: &mut dyn Write) -> io::Result<()> {
    documents.iter().try_for_each(|document| document.write(to))
}

fn print(documents: &[Document<'_>]) -> io::Result<()> {
    let mut stdout = BufWriter::new(io::stdout());
    all(documents, &mut stdout)?;
    stdout.flush()
}

fn is_json(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("json" | "jsonl"))
}

/// One file for each document; those of one name are numbered.
fn files(directory: &Path, documents: &[Document<'_>]) -> anyhow::Result<()> {
    for (at, document) in documents.iter().enumerate() {
        let name = &document.name;
        let before = documents[..at].iter().filter(|other| other.name == *name);
        let path = match before.count() {
            0 => directory.join(name),
            number => directory.join(format!("{}-{}", number + 1, name)),
        };
        file(&path, |file| document.write(file))?;
    }
    Ok(())
}

fn file(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> anyhow::Result<()> {
    write_in_pieces(path, write).context("the figures cannot be written")?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
