//! The results of a run's points: rows, records and warnings.

mod measured;
mod record;
mod server_stats;
mod summary;
mod warnings;

use std::borrow::Cow;
use std::num::NonZeroUsize;

use super::criterion::Mode;
use super::point_info::PointInfo;
use crate::client::ExpectedAnswer;
use crate::config::Metric;
use crate::endpoint::Endpoints;
use crate::fixture::Fixture;
use crate::load::{STEADY, SelfCheck, Window};
use crate::metrics::{FailureCount, Outage, Summary, count_blocked, count_failures};
use crate::prompt::RequestLengths;
use crate::report::{self, PointResult, Row};
use crate::results::{BaselineName, PointKey, RunRecord};

pub use measured::{DrivenBy, Measured};
pub use record::{record, written};
pub use server_stats::ServerStats;
pub use warnings::outages;

/// The points so far, and whether anything went wrong.
#[derive(Default)]
pub struct Results {
    entries: Vec<PointRuns>,
    notes: Vec<String>,
    /// A name for the run after its servers' version, where they say one.
    name: Option<BaselineName>,
    failed: bool,
}

/// A point, in all of its runs so far.
struct PointRuns {
    /// The bench's name with the name of the deployment or side, as in the row.
    title: String,
    key: PointKey,
    row: Row,
    notes: Vec<String>,
    /// The tokenizer's count of generated texts ÷ the server's, − 1.
    recount: Option<f64>,
    /// Kept only where further runs are to come.
    runs: Vec<Vec<Window>>,
    /// Of the first run.
    servers: ServerStats,
    /// Of all runs.
    outages: Vec<Outage>,
}

impl Results {
    /// Criterion itself gave up on a benchmark, or something else ended the run.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Does some work; returns its result, and whether anything went wrong meanwhile.
    pub fn watch<T>(&mut self, work: impl FnOnce(&mut Results) -> T) -> (T, bool) {
        let failed_before = std::mem::take(&mut self.failed);
        let result = work(self);
        let failed = self.failed;
        self.failed |= failed_before;
        (result, failed)
    }

    /// Adds a note below the table. Prints it where there is no table.
    pub fn note_of_run(&mut self, note: String) {
        match self.is_empty() {
            true => eprintln!("note: {note}"),
            false => self.notes.push(note),
        }
    }

    /// Adds a warning below the table, and prints it at once: the table is on stdout, which may be redirected.
    pub fn warn_of_run(&mut self, warning: String) {
        eprintln!("\nwarning: {warning}");
        self.notes.push(warning);
    }

    /// Whether no point has come to an end yet, good or bad.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Why the client, not the servers, limited the first point, if it did.
    pub fn client_bound(&self) -> Option<String> {
        let note = warnings::client_bound(&self.entries.first()?.row)?;
        Some(report::plain(&note))
    }

    /// Says something of a point below the table.
    pub fn note(&mut self, point: &str, note: &str) {
        self.notes.push(format!("{point}: {note}"));
    }

    /// A metric is undefined for a point; with `nothing_else` it was all that was asked of it.
    pub fn undefined(&mut self, point: &str, metric: Metric, nothing_else: bool) {
        let why = match metric {
            Metric::Tpot => "no answer of a window had two tokens or more",
            Metric::Ttft => "no answer of a window came as a stream with content",
            Metric::OutputTokS => "the output tokens of a window were not counted",
            Metric::Rps | Metric::E2el => "a window took no time",
        };
        let note = format!("{} is undefined for {point}: {why}", metric.id());
        eprintln!("\n{note}");
        self.notes.push(note);
        self.failed |= nothing_else;
    }

    /// A window came without any success; what was measured before it stays.
    pub fn ended_early(&mut self, point: &str) {
        self.failed = true;
        self.notes.push(format!(
            "{point}: ended early, as a whole window had no success; figures are of the windows before it"
        ));
    }

    /// The point's time was over before all of it was measured.
    pub fn over_time(&mut self, point: &str, said: &str) {
        self.failed = true;
        self.notes.push(format!("{point}: {said}"));
    }

    /// The run ended before anything of the point was measured, for this reason.
    pub fn not_measured(&mut self, point: &str, why: &str) {
        self.failed = true;
        let note = format!("{point}: not measured: {why}");
        eprintln!("\n{note}");
        self.notes.push(note);
    }

    /// The point was measured, but the run ended before Criterion had these of its metrics, for this reason.
    pub fn not_analysed(&mut self, point: &str, metrics: &[Metric], why: &str) {
        self.failed = true;
        let metrics = Vec::from_iter(metrics.iter().map(|metric| metric.id())).join(", ");
        self.notes.push(format!(
            "{point}: its record is whole, but Criterion has no result of {metrics}: {why}"
        ));
    }

    /// A further run could not be started; those before it stay.
    pub fn cannot_run_again(&mut self, point: &str, why: &str) {
        self.failed = true;
        self.notes.push(format!("{point}: a run is missing: {why}"));
    }

    /// Notes that the last window is without any success, if it is, and so ended the run; returns whether it is. What
    /// was measured stays in the figures, its failures and its time, too.
    pub fn warn_if_failed(&mut self, point: &str, windows: &[Window]) -> bool {
        let Some(window) = windows.last().filter(|window| !window.has_success()) else {
            return false;
        };
        let causes = count_failures(window.requests.iter())
            .into_iter()
            .map(|failure| {
                let (count, cause, first) = (failure.count, failure.cause, failure.first_message);
                format!("{count} × {cause}, first: {first}")
            });
        let causes = Vec::from_iter(causes).join("; ");
        eprintln!("\n{point} FAILED: no request of a window succeeded: {causes}");
        self.failed = true;
        self.notes.push(format!(
            "{point}: a run ended early, as no request of a window succeeded: {causes}"
        ));
        true
    }

    fn position(&self, title: &str, key: &PointKey) -> Option<usize> {
        self.entries
            .iter()
            .position(|entry| entry.title == title && entry.key == *key)
    }

    /// Windows of the point's first run and the rounds of each; `None` where it has measured nothing.
    pub fn plan_of(&self, point: &PointInfo<'_>) -> Option<(usize, u64)> {
        let entry = &self.entries[self.position(&point.title, &point.key())?];
        entry.row.summary()?;
        let first = entry.runs.first()?;
        Some((first.len(), first.first()?.rounds))
    }

    /// Keeps a run of a point together with those before it, and writes its record at once, so that
    /// nothing later can lose it.
    pub fn add(&mut self, point: &PointInfo<'_>, fixture: &Fixture, measured: Measured<'_>) {
        let title = match &measured.origin {
            DrivenBy::InTurns { side, .. } => format!("{} · {side}", point.bench),
            _ => point.title.clone(),
        };
        let key = point.key();
        let known = self.position(&title, &key);
        let before = known.map(|at| self.entries.remove(at));
        let earlier = before
            .iter()
            .flat_map(|entry| &entry.runs)
            .map(Vec::as_slice);
        let runs: Vec<&[Window]> = earlier.chain([measured.windows]).collect();
        let mut outages = before.as_ref().map_or(Vec::new(), |b| b.outages.clone());
        outages.extend(measured.outages.into_iter().map(|outage| Outage {
            run: (runs.len() - 1) as u32,
            ..outage
        }));
        let endpoints = measured.endpoints;
        let earlier = before.as_ref().and_then(|entry| entry.row.partial.clone());
        let row = Row {
            result: result(point, endpoints, &runs, &measured.expected, &outages),
            partial: measured.partial.or(earlier),
            self_check: worst(before.as_ref(), measured.self_check, runs.len()),
            ..row(point, endpoints, measured.lengths, title.clone())
        };
        self.failed |= row.partial.is_some();
        let servers = match &before {
            Some(entry) => entry.servers.clone(),
            None => measured.servers,
        };
        let mut notes = Vec::from_iter(warnings::prefix_cache(&row, &servers.intervals));
        if let DrivenBy::Direct | DrivenBy::Distributed { .. } = measured.origin {
            notes.extend(warnings::changed(point, &row));
        }
        notes.extend(warnings::client_bound(&row));
        self.name = BaselineName::of_servers(endpoints.iter().map(|e| &e.identity)).ok();
        if point.mode == Mode::Bench {
            let record = record(point, fixture, &row, endpoints, &runs, &servers);
            self.write(point, record, measured.origin);
        }
        let further = runs.len() < point.config.runs.get() as usize;
        let entry = PointRuns {
            title,
            key,
            recount: warnings::recount(fixture, measured.windows),
            runs: match further {
                true => runs.into_iter().map(<[Window]>::to_vec).collect(),
                false => Vec::new(),
            },
            row,
            notes,
            servers,
            outages,
        };
        self.push(entry, known);
    }

    fn write(&mut self, point: &PointInfo<'_>, mut record: RunRecord, origin: DrivenBy<'_>) {
        let mut name = point.record_name;
        match origin {
            DrivenBy::Direct => {}
            DrivenBy::Distributed {
                ranks,
                clock_unix_ns,
            } => {
                record.ranks = ranks;
                record.clock_unix_ns = clock_unix_ns;
            }
            DrivenBy::InTurns { side } => {
                record.interleaved = record.run_id.clone();
                name = side;
            }
        }
        if let Err(error) = record.write(&point.record_path(name)) {
            eprintln!("warning: the run record could not be written: {error}");
            self.failed = true;
        }
    }

    /// Keeps a point of which nothing was measured: its load could not be started, or not be merged.
    pub fn add_unmeasured(
        &mut self,
        point: &PointInfo<'_>,
        fixture: &Fixture,
        cause: &str,
        message: String,
    ) {
        let failures = vec![FailureCount {
            cause: cause.to_owned(),
            count: 0,
            first_message: message,
        }];
        let row = Row {
            result: PointResult::Failed {
                failures,
                blocked: Vec::new(),
                outages: Vec::new(),
            },
            ..row(
                point,
                &fixture.endpoints,
                RequestLengths::of_prompt(0),
                point.title.clone(),
            )
        };
        let entry = PointRuns {
            title: point.title.clone(),
            key: point.key(),
            row,
            notes: Vec::new(),
            recount: None,
            runs: Vec::new(),
            servers: ServerStats::default(),
            outages: Vec::new(),
        };
        self.push(entry, None);
    }

    /// Puts a point where it stood, or at the end.
    fn push(&mut self, entry: PointRuns, at: Option<usize>) {
        let row = &entry.row;
        if row.summary().is_none() {
            self.failed = true;
            eprintln!("\n{} FAILED: no request succeeded", row.name());
            for failure in row.failures() {
                let (cause, first) = (&failure.cause, &failure.first_message);
                eprintln!("  {} × {cause}: {first}", failure.count);
            }
            for outage in row.outages() {
                eprintln!("  {outage}");
            }
        }
        let at = at.unwrap_or(self.entries.len());
        self.entries.insert(at, entry);
    }
}

/// The row of a point before its figures are known.
pub fn row(
    point: &PointInfo<'_>,
    endpoints: &Endpoints,
    lengths: RequestLengths,
    bench: String,
) -> Row {
    let config = point.config;
    Row {
        bench,
        prompt: point.prompt.to_owned(),
        lengths,
        level: point.level,
        load_shape: config.load_shape.id.to_owned(),
        endpoints: endpoints.count().get(),
        num_gpu: config.num_gpu.map(std::num::NonZeroU32::get),
        simulated: endpoints.simulated().map(str::to_owned),
        insecure: config.insecure,
        partial: None,
        self_check: None,
        result: PointResult::Failed {
            failures: Vec::new(),
            blocked: Vec::new(),
            outages: Vec::new(),
        },
    }
}

/// The figures of a point over all its runs.
fn result(
    point: &PointInfo<'_>,
    endpoints: &Endpoints,
    runs: &[&[Window]],
    expected: &ExpectedAnswer,
    outages: &[Outage],
) -> PointResult {
    let config = point.config;
    let windows: Cow<'_, [Window]> = match runs {
        [one] => Cow::Borrowed(one),
        several => Cow::Owned(several.concat()),
    };
    let requests = || windows.iter().flat_map(|w| w.requests.iter());
    match Summary::of(&windows, config.threshold_tps, endpoints.count().get()) {
        Some(summary) => {
            let summary = summary
                .with_goodput(&windows, &point.slo)
                .with_contradictions(&windows, expected)
                .with_outages(outages.to_vec())
                .with_steadiness(runs, kept_in_flight(point));
            PointResult::Measured(Box::new(summary))
        }
        None => PointResult::Failed {
            failures: count_failures(requests()),
            blocked: count_blocked(requests()),
            outages: outages.to_vec(),
        },
    }
}

/// The requests that the point's load keeps in flight all the time, if it does.
fn kept_in_flight(point: &PointInfo<'_>) -> Option<NonZeroUsize> {
    let is_kept = *point.config.load_shape == STEADY;
    point.level.concurrency().filter(|_| is_kept)
}

/// The worst of the clients of a point's runs.
fn worst(before: Option<&PointRuns>, last: Option<SelfCheck>, run: usize) -> Option<SelfCheck> {
    let Some(before) = before else {
        return last;
    };
    let earlier = before
        .row
        .self_check
        .as_ref()
        .map(|c| ("earlier run".to_owned(), c));
    let last = last.as_ref().map(|check| (format!("run {run}"), check));
    SelfCheck::worst(earlier.into_iter().chain(last))
}
