//! What a session keeps of its points, and what it leaves behind at its end.

use std::path::Path;

use super::args::Mode;
use super::point::Point;
use super::record;
use super::session::Session;
use super::workload::NamedPrompt;
use crate::config::Metric;
use crate::endpoint::MetricsInterval;
use crate::fixture::{self, Fixture, Scrape};
use crate::load::{SelfCheck, Window};
use crate::measurement::GroupPages;
use crate::metrics::{FailureCount, Summary, count_blocked, count_failures};
use crate::report::{self, PointResult, Row};
use crate::results::{self, BaselineName, RankPart, criterion_file_name};

/// Exit code when a point failed.
pub(super) const POINT_FAILED: u8 = 1;

/// What came of a point's load.
pub(super) struct Measured<'a> {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    pub windows: &'a [Window],
    /// The servers' counters before and after.
    pub scrapes: &'a [Vec<Scrape>],
    pub self_check: Option<SelfCheck>,
    /// Where several processes shared the load.
    pub shared: Option<Shared>,
}

/// Who shared a load, and the clock of its windows at zero (ns since 1970).
pub(super) struct Shared {
    pub ranks: Vec<RankPart>,
    pub clock_unix_ns: u64,
}

/// The rows so far, and whether anything went wrong.
#[derive(Default)]
pub(super) struct Results {
    rows: Vec<Row>,
    notes: Vec<String>,
    /// For each point: the tokenizer's count of generated texts ÷ the server's, − 1.
    recounts: Vec<f64>,
    /// A name for the run after its servers' version, where they say one.
    name: Option<BaselineName>,
    failed: bool,
}

impl Results {
    /// Criterion itself gave up on a benchmark, or something else ended the run.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Whether no point has come to an end yet, good or bad.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Says something of a point below the table.
    pub fn note(&mut self, point: &str, note: &str) {
        self.notes.push(format!("{point}: {note}"));
    }

    /// A window came without any success, or without the metric; what was measured before it stays.
    pub fn ended_early(&mut self, point: &str) {
        self.failed = true;
        self.notes.push(format!(
            "{point}: ended early, as a whole window had no success; figures are of the windows before it"
        ));
    }

    /// Keeps a measured point, and writes its record at once, so that nothing later can lose it.
    pub fn add(&mut self, point: &Point<'_>, fixture: &Fixture, measured: Measured<'_>) {
        let Measured {
            prompt_tokens,
            windows,
            scrapes,
            self_check,
            shared,
        } = measured;
        let config = &point.session.config;
        let requests = || windows.iter().flat_map(|w| &w.requests);
        let summary = Summary::of(
            windows,
            config.threshold_tps,
            fixture.endpoints.count().get(),
        );
        let result = match &summary {
            Some(summary) => PointResult::Measured(Box::new(summary.clone())),
            None => PointResult::Failed {
                failures: count_failures(requests()),
                blocked: count_blocked(requests()),
            },
        };
        let row = Row {
            self_check,
            ..row(point, fixture, prompt_tokens, result)
        };
        let intervals = fixture::intervals(scrapes);
        self.notes.extend(prefix_cache_note(&row, &intervals));
        self.notes.extend(changed_note(point, &row));
        self.notes.extend(client_bound_note(&row));
        self.recounts.extend(recount(fixture, windows));
        let servers = fixture.endpoints.iter().map(|e| &e.identity);
        self.name = BaselineName::of_servers(servers).ok();
        if point.session.args.mode() == Mode::Bench {
            let mut record = record::record(point, fixture, &row, windows, &intervals);
            if let Some(Shared {
                ranks,
                clock_unix_ns,
            }) = shared
            {
                record.ranks = ranks;
                record.clock_unix_ns = clock_unix_ns;
            }
            if let Err(error) = record::write(point, &record) {
                eprintln!("warning: the run record could not be written: {error}");
                self.failed = true;
            }
        }
        self.push(row);
    }

    /// Keeps a point of which nothing was measured: its load could not be started, or not be merged.
    pub fn add_unmeasured(
        &mut self,
        point: &Point<'_>,
        fixture: &Fixture,
        cause: &str,
        message: String,
    ) {
        let failures = vec![FailureCount {
            cause: cause.to_owned(),
            count: 0,
            first_message: message,
        }];
        let result = PointResult::Failed {
            failures,
            blocked: Vec::new(),
        };
        let row = row(point, fixture, 0, result);
        if point.session.args.mode() == Mode::Bench {
            // What an earlier run left is not of this one; a comparison must find the point missing.
            let _ = std::fs::remove_file(record::path(point, "new"));
        }
        self.push(row);
    }

    fn push(&mut self, row: Row) {
        if row.summary().is_none() {
            self.failed = true;
            eprintln!("\n{} FAILED: no request succeeded", row.name());
            for failure in row.failures() {
                let (cause, first) = (&failure.cause, &failure.first_message);
                eprintln!("  {} × {cause}: {first}", failure.count);
            }
        }
        self.rows.push(row);
    }

    /// Prints the tables, writes the CSV file, rewords Criterion's pages; the exit code of the run.
    pub fn conclude(self, session: &Session) -> u8 {
        let mut failed = self.failed;
        if session.args.mode() == Mode::Bench && !self.rows.is_empty() {
            print!("{}", report::markdown(&self.rows));
            for note in self.notes.iter().chain(&recount_note(&self.recounts)) {
                println!("- {note}");
            }
            failed |= self.write_files(session).is_err_and(|error| {
                eprintln!("error: {error}");
                true
            });
        }
        match failed {
            true => POINT_FAILED,
            false => 0,
        }
    }

    fn write_files(&self, session: &Session) -> Result<(), Box<dyn std::error::Error>> {
        let csv = results::directory()
            .join(&session.name)
            .join("performance_metrics.csv");
        report::write_csv(&csv, &self.rows)?;
        println!("\nTable as CSV:  {}", csv.display());
        let criterion = results::criterion_directory();
        for prompt in &session.prompts {
            for metric in &session.metrics {
                self.reword(session, prompt, *metric, &criterion)?;
            }
        }
        let index = criterion.join("report/index.html");
        if index.exists() {
            println!("HTML report:   {}", index.display());
        }
        if session.args.save_baseline().is_none() {
            let name = self.name.as_ref().map_or("NAME", BaselineName::as_str);
            println!("Keep this run: cargo run --release -- baseline save {name}");
        }
        Ok(())
    }

    /// Rewords the pages of a group, if Criterion has just written them.
    fn reword(
        &self,
        session: &Session,
        prompt: &NamedPrompt,
        metric: Metric,
        criterion: &Path,
    ) -> Result<(), String> {
        let name = session.group_name(prompt, metric);
        let directory = criterion.join(criterion_file_name(&name));
        let row = self.rows.iter().find(|row| row.prompt == prompt.key);
        let (Some(row), true) = (row, directory.is_dir()) else {
            return Ok(());
        };
        let pages = GroupPages {
            name: &name,
            metric,
            simulated: row.simulated.as_deref(),
        };
        pages
            .reword(&directory)
            .map_err(|error| format!("{}: {error}", directory.display()))
    }
}

/// The row of a point.
pub(super) fn row(
    point: &Point<'_>,
    fixture: &Fixture,
    prompt_tokens: usize,
    result: PointResult,
) -> Row {
    let config = &point.session.config;
    Row {
        bench: point.session.name.clone(),
        prompt: point.prompt.key.clone(),
        prompt_tokens,
        concurrency: point.concurrency.get(),
        load_shape: config.load_shape.id(),
        endpoints: fixture.endpoints.count().get(),
        num_gpu: config.num_gpu.map(std::num::NonZeroU32::get),
        simulated: fixture.endpoints.simulated().map(str::to_owned),
        self_check: None,
        result,
    }
}

/// A server that answers from its prefix cache is faster than its GPU: say how much of it did.
fn prefix_cache_note(row: &Row, intervals: &[Option<MetricsInterval>]) -> Option<String> {
    const HIGH: f64 = 0.2;
    let (mut hits, mut queries) = (0.0, 0.0);
    for delta in intervals.iter().flatten().filter_map(|i| i.delta.as_ref()) {
        hits += delta.prefix_cache_hits?;
        queries += delta.prefix_cache_queries?;
    }
    let rate = hits / queries;
    (rate > HIGH).then(|| {
        format!(
            "{}: the server's prefix cache answered {:.0} % of the prompt tokens; input tok/s is not its GPU's",
            row.name(),
            100.0 * rate
        )
    })
}

/// A client that did not keep up measures itself.
fn client_bound_note(row: &Row) -> Option<String> {
    let check = row.self_check.as_ref()?;
    (!check.client_bound.is_empty()).then(|| {
        format!(
            "{}: client-bound: {}; the servers may be faster than these figures. Leave the client more of its machine, or split the load over processes (docs/scale.md)",
            row.name(),
            check.client_bound.join(", ")
        )
    })
}

/// Criterion compares with whatever ran before; say so where that was another kind of server.
fn changed_note(point: &Point<'_>, row: &Row) -> Option<String> {
    let before = std::fs::read(record::path(point, "new")).ok()?;
    let before: serde_json::Value = serde_json::from_slice(&before).ok()?;
    let kind = |simulated: bool| {
        if simulated {
            "simulated"
        } else {
            "a real server"
        }
    };
    let (was, is) = (!before["simulated"].is_null(), row.simulated.is_some());
    (was != is).then(|| {
        format!(
            "{}: the run before was {}, this one {}: what Criterion calls a change is none",
            row.name(),
            kind(was),
            kind(is)
        )
    })
}

/// The tokenizer's count of the generated texts that were kept ÷ the server's, − 1.
fn recount(fixture: &Fixture, windows: &[Window]) -> Option<f64> {
    if !fixture.counts_as_the_server() {
        return None;
    }
    let (mut server, mut recounted) = (0_u64, 0_u64);
    for (_, completion) in windows.iter().flat_map(Window::completed) {
        if let (Some(usage), Some(text)) = (completion.usage_output, &completion.text) {
            server += u64::from(usage);
            recounted += u64::from(fixture.count_output(text)?);
        }
    }
    (server > 0).then(|| recounted as f64 / server as f64 - 1.0)
}

/// Says that re-tokenizing would have given other figures, if it would by more than 2 %.
fn recount_note(recounts: &[f64]) -> Option<String> {
    const NOTABLE: f64 = 0.02;
    let least = recounts.iter().copied().reduce(f64::min)?;
    let most = recounts.iter().copied().reduce(f64::max)?;
    (least.abs().max(most.abs()) > NOTABLE).then(|| {
        format!(
            "output tokens are the server's count; re-tokenizing the text would have changed it by {:+.1} % to {:+.1} %",
            100.0 * least,
            100.0 * most
        )
    })
}
