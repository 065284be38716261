//! What a session keeps of its points.

mod conclusion;

use std::borrow::Cow;
use std::ops::Range;

use super::args::Mode;
use super::notes;
use super::point::Point;
use super::record;
use crate::config::Metric;
use crate::endpoint::{Endpoints, MetricsInterval, ServerSample};
use crate::fixture::Fixture;
use crate::load::{SelfCheck, Window};
use crate::metrics::{Asked, FailureCount, Summary, count_blocked, count_failures};
use crate::report::{PointResult, Row};
use crate::results::{BaselineName, RankPart, RunRecord};

/// Exit code when a point failed.
pub(super) const POINT_FAILED: u8 = 1;

/// What came of one run of a point's load.
pub(super) struct Measured<'a> {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Who answered.
    pub endpoints: &'a Endpoints,
    pub windows: &'a [Window],
    pub servers: ServersSaid,
    pub self_check: Option<SelfCheck>,
    pub origin: Origin<'a>,
}

/// What the servers said of themselves during a run of a point's load, for each endpoint.
#[derive(Clone, Default)]
pub(super) struct ServersSaid {
    /// What they counted.
    pub intervals: Vec<Option<MetricsInterval>>,
    /// How busy they were, time after time.
    pub timeline: Vec<Vec<ServerSample>>,
}

impl ServersSaid {
    /// What those at these places of the endpoint list said.
    pub fn of(&self, place: Range<usize>) -> ServersSaid {
        let timeline = self.timeline.get(place.clone()).unwrap_or_default();
        ServersSaid {
            intervals: self.intervals.get(place).unwrap_or_default().to_vec(),
            timeline: timeline.to_vec(),
        }
    }
}

/// Who drove a load, and what of.
pub(super) enum Origin<'a> {
    /// This process alone.
    Alone,
    /// Several processes together: the ranks, and the clock of the windows at zero (ns since 1970).
    Ranks {
        ranks: Vec<RankPart>,
        clock_unix_ns: u64,
    },
    /// This process, in turns with another side: its name.
    InTurns { side: &'a str },
}

/// The points so far, and whether anything went wrong.
#[derive(Default)]
pub(super) struct Results {
    entries: Vec<Entry>,
    notes: Vec<String>,
    /// A name for the run after its servers' version, where they say one.
    name: Option<BaselineName>,
    failed: bool,
}

/// A point, in all of its runs so far.
struct Entry {
    row: Row,
    notes: Vec<String>,
    /// The tokenizer's count of generated texts ÷ the server's, − 1.
    recount: Option<f64>,
    /// Kept only where further runs are to come.
    runs: Vec<Vec<Window>>,
    /// Of the first run.
    servers: ServersSaid,
}

impl Results {
    /// Criterion itself gave up on a benchmark, or something else ended the run.
    pub fn fail(&mut self) {
        self.failed = true;
    }

    /// Whether no point has come to an end yet, good or bad.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
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
            Metric::OutputTokS => "nobody has counted the output tokens of a window",
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

    /// The run was interrupted while the point was measured: it has so many windows.
    pub fn interrupted(&mut self, point: &str, windows: usize) {
        self.failed = true;
        self.notes.push(match windows {
            0 => format!("{point}: not measured, as a signal ended the run"),
            _ => format!(
                "{point}: a signal ended the run; figures are of what was measured until then"
            ),
        });
    }

    /// A further run could not be started; those before it stay.
    pub fn cannot_run_again(&mut self, point: &str, why: &str) {
        self.failed = true;
        self.notes.push(format!("{point}: a run is missing: {why}"));
    }

    /// A run ended with a window without any success; what was measured before it stays.
    pub fn run_failed(&mut self, point: &str, window: &Window) {
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
    }

    /// Windows of the point's first run and the rounds of each; `None` where it has measured nothing.
    pub fn plan_of(&self, point: &Point<'_>) -> Option<(usize, u64)> {
        let name = point.name();
        let entry = self.entries.iter().find(|entry| entry.row.name() == name)?;
        entry.row.summary()?;
        let first = entry.runs.first()?;
        Some((first.len(), first.first()?.iterations))
    }

    /// Keeps a run of a point together with those before it, and writes its record at once, so that
    /// nothing later can lose it.
    pub fn add(&mut self, point: &Point<'_>, fixture: &Fixture, measured: Measured<'_>) {
        let bench = match &measured.origin {
            Origin::InTurns { side, .. } => format!("{} · {side}", point.session.name),
            _ => point.session.title(),
        };
        let mut row = row(point, measured.endpoints, measured.prompt_tokens, bench);
        let name = row.name();
        let known = self
            .entries
            .iter()
            .position(|entry| entry.row.name() == name);
        let before = known.map(|at| self.entries.remove(at));
        let earlier = before
            .iter()
            .flat_map(|entry| &entry.runs)
            .map(Vec::as_slice);
        let runs: Vec<&[Window]> = earlier.chain([measured.windows]).collect();
        let template = point.template(fixture, measured.endpoints);
        let asked = template.asked(measured.prompt_tokens);
        row.result = result(point, measured.endpoints, &runs, &asked);
        row.self_check = worst(before.as_ref(), measured.self_check, runs.len());
        let servers = match &before {
            Some(entry) => entry.servers.clone(),
            None => measured.servers,
        };
        let mut notes = Vec::from_iter(notes::prefix_cache(&row, &servers.intervals));
        if let Origin::Alone | Origin::Ranks { .. } = measured.origin {
            notes.extend(notes::changed(point, &row));
        }
        notes.extend(notes::client_bound(&row));
        let identities = measured.endpoints.iter().map(|e| &e.identity);
        self.name = BaselineName::of_servers(identities).ok();
        if point.session.args.mode() == Mode::Bench {
            let endpoints = measured.endpoints;
            let record = record::record(point, fixture, &row, endpoints, &runs, &servers);
            self.write(point, record, measured.origin);
        }
        let further = runs.len() < point.session.config.runs.get() as usize;
        let entry = Entry {
            recount: notes::recount(fixture, measured.windows),
            runs: match further {
                true => runs.into_iter().map(<[Window]>::to_vec).collect(),
                false => Vec::new(),
            },
            row,
            notes,
            servers,
        };
        self.push(entry, known);
    }

    fn write(&mut self, point: &Point<'_>, mut record: RunRecord, origin: Origin<'_>) {
        let names = point.session.record_names();
        let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
        match origin {
            Origin::Alone => {}
            Origin::Ranks {
                ranks,
                clock_unix_ns,
            } => {
                record.ranks = ranks;
                record.clock_unix_ns = clock_unix_ns;
            }
            Origin::InTurns { side } => {
                record.interleaved = record.run_id.clone();
                names = vec![side];
            }
        }
        if let Err(error) = record::write(point, &record, &names) {
            eprintln!("warning: the run record could not be written: {error}");
            self.failed = true;
        }
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
        let row = Row {
            result: PointResult::Failed {
                failures,
                blocked: Vec::new(),
            },
            ..row(point, &fixture.endpoints, 0, point.session.title())
        };
        let entry = Entry {
            row,
            notes: Vec::new(),
            recount: None,
            runs: Vec::new(),
            servers: ServersSaid::default(),
        };
        self.push(entry, None);
    }

    /// Puts a point where it stood, or at the end.
    fn push(&mut self, entry: Entry, at: Option<usize>) {
        let row = &entry.row;
        if row.summary().is_none() {
            self.failed = true;
            eprintln!("\n{} FAILED: no request succeeded", row.name());
            for failure in row.failures() {
                let (cause, first) = (&failure.cause, &failure.first_message);
                eprintln!("  {} × {cause}: {first}", failure.count);
            }
        }
        let at = at.unwrap_or(self.entries.len());
        self.entries.insert(at, entry);
    }
}

/// The row of a point before its figures are known.
pub(super) fn row(
    point: &Point<'_>,
    endpoints: &Endpoints,
    prompt_tokens: usize,
    bench: String,
) -> Row {
    let config = &point.session.config;
    Row {
        bench,
        prompt: point.prompt.key.clone(),
        prompt_tokens,
        concurrency: point.concurrency.get(),
        load_shape: config.load_shape.id().to_owned(),
        endpoints: endpoints.count().get(),
        num_gpu: config.num_gpu.map(std::num::NonZeroU32::get),
        simulated: endpoints.simulated().map(str::to_owned),
        insecure: config.insecure,
        self_check: None,
        result: PointResult::Failed {
            failures: Vec::new(),
            blocked: Vec::new(),
        },
    }
}

/// The figures of a point over all its runs.
fn result(
    point: &Point<'_>,
    endpoints: &Endpoints,
    runs: &[&[Window]],
    asked: &Asked,
) -> PointResult {
    let config = &point.session.config;
    let windows: Cow<'_, [Window]> = match runs {
        [one] => Cow::Borrowed(one),
        several => Cow::Owned(several.concat()),
    };
    let requests = || windows.iter().flat_map(|w| &w.requests);
    match Summary::of(&windows, config.threshold_tps, endpoints.count().get()) {
        Some(summary) => {
            let summary = summary
                .with_goodput(&windows, &config.slo)
                .with_contradictions(&windows, asked);
            PointResult::Measured(Box::new(summary))
        }
        None => PointResult::Failed {
            failures: count_failures(requests()),
            blocked: count_blocked(requests()),
        },
    }
}

/// The worst of the clients of a point's runs.
fn worst(before: Option<&Entry>, last: Option<SelfCheck>, run: usize) -> Option<SelfCheck> {
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
