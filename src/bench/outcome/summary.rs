//! The end of a run: tables, files, pages, verdicts.

use std::path::{Path, PathBuf};

use super::Results;
use super::record::written;
use super::warnings;
use crate::bench::context::RunContext;
use crate::bench::criterion::Mode;
use crate::config::{Deployment, Metric};
use crate::measurement::{GroupPages, link_criterion_to_report};
use crate::report::{self, ReportSource, Row};
use crate::results::{self, BaselineName, Baselines, CriterionGroup, RecordError, file_name};
use crate::verdict::{self, RunSet, Thresholds};

impl Results {
    /// Prints the tables, writes the CSV file, rewords Criterion's pages; returns whether all is well.
    pub fn conclude(self, context: &RunContext) -> bool {
        let mut failed = self.failed;
        if context.args.mode() == Mode::Bench && !self.entries.is_empty() {
            let rows = self.rows();
            anstream::print!("{}", self.figures(&rows));
            if let Some(sides) = &context.config.ab {
                failed |= said(print_verdicts(context, sides));
            }
            failed |= said(self.write_files(context, &rows));
        }
        !failed
    }

    fn write_files(
        &self,
        context: &RunContext,
        rows: &[Row],
    ) -> Result<(), Box<dyn std::error::Error>> {
        let csv = results::directory()
            .join(file_name(&context.name))
            .join("performance_metrics.csv");
        report::write_csv(&csv, rows)?;
        println!("\nTable as CSV:  {}", csv.display());
        self.say_what_next(context);
        let criterion = results::criterion_directory();
        // Criterion has no part in a run of two deployments in turns.
        for prompt in context
            .prompts
            .iter()
            .filter(|_| context.config.ab.is_none())
        {
            for metric in &context.metrics {
                self.reword(context, &prompt.key, *metric, &criterion)?;
            }
        }
        let pages = write_pages(context, &criterion)?;
        println!("HTML report:   {}", pages.display());
        Ok(())
    }

    /// A row for each point, failed ones included.
    pub fn rows(&self) -> Vec<Row> {
        self.entries.iter().map(|entry| entry.row.clone()).collect()
    }

    /// Whether a point failed, or something else went wrong.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// The tables of these rows and what must be known beside them, with styles.
    pub fn figures(&self, rows: &[Row]) -> String {
        let mut text = report::by_bench(rows, report::table).concat();
        let recounts: Vec<f64> = self.entries.iter().filter_map(|e| e.recount).collect();
        let notes = self.entries.iter().flat_map(|entry| &entry.notes);
        for note in notes
            .chain(&self.notes)
            .chain(&warnings::recounted(&recounts))
        {
            text.push_str(&format!("- {note}\n"));
        }
        text
    }

    /// How to keep the run, or to compare the sides of one.
    fn say_what_next(&self, context: &RunContext) {
        if let Some([before, after]) = &context.config.ab {
            let (before, after) = (&before.name, &after.name);
            println!(
                "Gate them:     cargo run --release -- gate --baseline {before} --candidate {after}"
            );
        } else if let [first, second, ..] = &context.deployments[..] {
            println!("Compare two:   cargo run --release -- compare {first} {second}");
        } else if context.args.save_baseline().is_none() {
            let name = self.name.as_ref().map_or("NAME", BaselineName::as_str);
            println!("Keep this run: cargo run --release -- baseline save {name}");
        }
    }

    /// Rewords the pages of a group, if Criterion has just written them.
    fn reword(
        &self,
        context: &RunContext,
        prompt: &str,
        metric: Metric,
        criterion: &Path,
    ) -> Result<(), String> {
        let group = CriterionGroup::new(&context.name, prompt, metric);
        let directory = criterion.join(&group.directory);
        let mut rows = self.entries.iter().map(|entry| &entry.row);
        let row = rows.find(|row| row.prompt == prompt);
        let (Some(row), true) = (row, directory.is_dir()) else {
            return Ok(());
        };
        let pages = GroupPages {
            name: &group.id,
            metric,
            simulated: row.simulated.as_deref(),
            insecure: row.insecure,
        };
        pages
            .reword(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))
    }
}

/// Says what went wrong, if something did.
fn said(result: Result<(), Box<dyn std::error::Error>>) -> bool {
    result.is_err_and(|error| {
        eprintln!("error: {error}");
        true
    })
}

/// Writes the report's pages, and links Criterion's to them; the path of the first.
fn write_pages(
    context: &RunContext,
    criterion: &Path,
) -> Result<PathBuf, Box<dyn std::error::Error>> {
    let results = Baselines::beneath(criterion);
    let named = context.args.baseline();
    // Deployments have records of their own names; the last is held against the first.
    let measured = context
        .deployments
        .iter()
        .map(String::as_str)
        .filter(|name| BaselineName::or_latest(name).is_ok_and(|name| results.find(&name).is_ok()));
    let (latest, baseline) = match (&context.config.ab, &*Vec::from_iter(measured)) {
        (Some([before, after]), _) => (BaselineName::or_latest(&after.name)?, Some(&*before.name)),
        (None, [first, .., last]) => (BaselineName::or_latest(last)?, Some(*first)),
        (None, [one]) => (BaselineName::or_latest(one)?, named),
        (None, []) => (BaselineName::latest(), named),
    };
    // Criterion has said so where there is none of the name.
    let baseline = baseline
        .and_then(|name| BaselineName::or_latest(name).ok())
        .filter(|name| results.find(name).is_ok());
    let source = ReportSource::read(&results, &latest, baseline.as_ref())?;
    let has_pages = link_criterion_to_report(&criterion.join("report/index.html"))?;
    let link = has_pages.then_some("../report/index.html");
    Ok(report::write_pages(&source, &results::directory(), link)?)
}

/// The verdicts on two deployments that were measured in turns, from the records of both.
fn print_verdicts(
    context: &RunContext,
    sides: &[Deployment; 2],
) -> Result<(), Box<dyn std::error::Error>> {
    let side = |deployment: &Deployment| -> Result<RunSet, RecordError> {
        let records = written(context.selected(), &deployment.name)?;
        Ok(RunSet::new(&*deployment.name, records))
    };
    let (sides, thresholds) = ([side(&sides[0])?, side(&sides[1])?], Thresholds::default());
    let comparison = verdict::compare(&sides[0], &sides[1], &thresholds)?;
    let verdicts = report::verdicts(&comparison, &sides, &thresholds, false);
    anstream::print!("\n{verdicts}");
    Ok(())
}
