//! What the searches of a run found.

use std::path::PathBuf;

use crate::bench::context::RunContext;
use crate::bench::exit_code::{POINT_FAILED, after_printing};
use crate::capacity::Judgement;
use crate::interrupt::Interrupt;
use crate::report;
use crate::results::{CapacityRecord, criterion_directory, write_atomically};

/// The result of a [`CapacitySearch`](super::CapacitySearch).
#[derive(Debug)]
#[non_exhaustive]
pub struct CapacityResult {
    /// One for each prompt of each deployment.
    pub records: Vec<CapacityRecord>,
    /// Tables and answers, for a person.
    pub figures: String,
    /// The same for a terminal, with escape codes.
    styled_figures: String,
    /// The pages that show them.
    pub pages: Vec<PathBuf>,
    /// What could not be measured or written, and why.
    pub problems: Vec<String>,
    /// Listened to until the results are shown.
    interrupt: Interrupt,
}

impl CapacityResult {
    pub(super) fn new(interrupt: Interrupt) -> CapacityResult {
        CapacityResult {
            records: Vec::new(),
            figures: String::new(),
            styled_figures: String::new(),
            pages: Vec::new(),
            problems: Vec::new(),
            interrupt,
        }
    }

    /// Adds the result of a search, and writes it.
    pub(super) fn add(&mut self, context: &RunContext, record: CapacityRecord) {
        self.say(&(report::capacity(&record) + "\n"));
        let name = context.record_name();
        match context.writes_records().then(|| keep(&record, name)) {
            None => {}
            Some(Ok(page)) => self.pages.push(page),
            Some(Err(error)) => self.problems.push(error.to_string()),
        }
        self.records.push(record);
    }

    /// Adds styled figures.
    pub(super) fn say(&mut self, figures: &str) {
        self.figures.push_str(&report::plain(figures));
        self.styled_figures.push_str(figures);
    }

    /// Whether every search came to its end, with an answer that fresh requests did not contradict.
    pub fn is_complete(&self) -> bool {
        let is_sound = |record: &CapacityRecord| {
            record.partial.is_none() && record.capacity.confirmed != Some(Judgement::Fails)
        };
        self.problems.is_empty() && self.records.iter().all(is_sound)
    }

    /// Prints the figures and where they are kept; returns the exit code.
    pub(crate) fn show(&self) -> u8 {
        eprintln!();
        anstream::print!("{}", self.styled_figures);
        for problem in &self.problems {
            eprintln!("error: {problem}");
        }
        for page in &self.pages {
            eprintln!("Picture: {}", page.display());
        }
        // Listened to until all is printed: a signal that comes before is still this search's.
        let code = if self.is_complete() { 0 } else { POINT_FAILED };
        after_printing(&self.interrupt, code)
    }
}

/// Writes the record of this name, and its page beside it; returns where the page is.
fn keep(record: &CapacityRecord, name: &str) -> std::io::Result<PathBuf> {
    let path = criterion_directory().join(record.key().record_path(name));
    record.write(&path)?;
    let page = path.with_file_name(format!("{name}.html"));
    write_atomically(&page, report::capacity_page(record).as_bytes())?;
    Ok(page)
}
