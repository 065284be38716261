//! In which form figures leave a command, and where to.

use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use clap::ValueEnum;
use servemark::report::export::{Document, Format};
use servemark::results::{RunRecord, check_writable, check_writable_directory, write_atomically};

/// What --format and --output do, for the help of commands.
pub const FORMATS: &str = "\
json and vllm have a document for each point. With --output DIR each is a file of its own there; with
--output FILE.json or FILE.jsonl, or on stdout, each is a line.";

#[derive(clap::Args)]
pub struct Output {
    /// Form of the figures
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Form::Table)]
    pub format: Form,
    /// Where to write them [default: stdout]
    #[arg(long, value_name = "FILE|DIR")]
    pub output: Option<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// The table of a terminal: at most 120 columns, with notes
    Table,
    /// performance_metrics.csv: all columns
    Csv,
    /// All columns as Markdown tables, with notes
    Markdown,
    /// Run records, as docs/record.md documents them
    Json,
    /// Results of `vllm bench serve`
    Vllm,
}

impl Form {
    /// The form for programs; `None` for the table.
    pub fn format(self) -> Option<Format> {
        match self {
            Form::Table => None,
            Form::Csv => Some(Format::Csv),
            Form::Markdown => Some(Format::Markdown),
            Form::Json => Some(Format::Json),
            Form::Vllm => Some(Format::Vllm),
        }
    }
}

impl Output {
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
        let format = self.format.format();
        format.is_some_and(Format::is_per_point) && !is_json(path)
    }

    /// Writes the points; `table` is their table. Says on stderr which files there are.
    pub fn write(&self, points: &[RunRecord], table: &str) -> anyhow::Result<()> {
        let Some(format) = self.format.format() else {
            return match &self.output {
                None => {
                    anstream::print!("{}", servemark::report::painted(table));
                    Ok(())
                }
                Some(path) => file(path, table),
            };
        };
        let documents = format.export(points)?;
        let texts = documents.iter().map(|document| document.text.as_str());
        match &self.output {
            None => {
                print!("{}", texts.collect::<String>());
                Ok(())
            }
            Some(path) if self.has_file_per_point(path) => files(path, &documents),
            Some(path) => file(path, &texts.collect::<String>()),
        }
    }
}

fn is_json(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    matches!(extension, Some("json" | "jsonl"))
}

/// One file for each document; those of one name are numbered.
fn files(directory: &Path, documents: &[Document]) -> anyhow::Result<()> {
    for (at, Document { name, text }) in documents.iter().enumerate() {
        let before = documents[..at].iter().filter(|other| other.name == *name);
        let path = match before.count() {
            0 => directory.join(name),
            number => directory.join(format!("{}-{}", number + 1, name)),
        };
        file(&path, text)?;
    }
    Ok(())
}

fn file(path: &Path, text: &str) -> anyhow::Result<()> {
    write_atomically(path, text.as_bytes()).context("the figures cannot be written")?;
    eprintln!("wrote {}", path.display());
    Ok(())
}
