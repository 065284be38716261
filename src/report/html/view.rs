//! The runs of a report with what is taken from them once: figures with intervals, verdicts.

use super::links::Form;
use super::source::ReportSource;
use super::workers;
use crate::load::Window;
use crate::report::Row;

use crate::results::{PointKey, RunRecord};
use crate::verdict::{
    Comparison, Figure, Known, RunSet, Thresholds, Trend, Unclear, compare, known,
};

/// What the pages show.
pub(super) struct View<'a> {
    pub source: &'a ReportSource,
    pub form: Form,
    /// The points of the latest run, in their order.
    pub points: Vec<PointView<'a>>,
    /// The points of the baseline.
    pub before: Vec<PointView<'a>>,
    /// `None` without a baseline; else the verdicts, or why there are none.
    pub comparison: Option<Result<Comparison, String>>,
    /// `None` without a third version; else the changes, or why there are none.
    pub trend: Option<Result<Trend, String>>,
}

/// A point with its windows and its figures.
pub(super) struct PointView<'a> {
    pub key: &'a PointKey,
    pub record: &'a RunRecord,
    pub row: Row,
    /// The windows of each run.
    pub runs: Vec<Vec<Window>>,
    pub tok_s: Result<Known, Unclear>,
    pub rps: Result<Known, Unclear>,
    /// Whether a later run of the same bench did not measure it again.
    pub is_older: bool,
}

impl<'a> View<'a> {
    pub fn of(source: &'a ReportSource, form: Form) -> View<'a> {
        let baseline = source.baseline.as_ref();
        let thresholds = Thresholds::default();
        let latest = &source.latest;
        let compared = |before: &RunSet| compare(before, latest, &thresholds);
        let comparison = baseline.map(|before| compared(before).map_err(|e| e.to_string()));
        let trend = (source.versions.len() > 2)
            .then(|| Trend::of(&source.versions, &super::trend::thresholds()))
            .map(|trend| trend.map_err(|error| error.to_string()));
        View {
            source,
            form,
            points: points(latest, Some(&source.older)),
            before: baseline.map(|side| points(side, None)).unwrap_or_default(),
            comparison,
            trend,
        }
    }

    /// The baseline's points of the same bench and prompt.
    pub fn before(&self, points: &[PointView<'a>]) -> Vec<&PointView<'a>> {
        let Some(first) = points.first() else {
            return Vec::new();
        };
        let same = |point: &&PointView<'_>| {
            point.key.bench == first.key.bench && point.key.prompt == first.key.prompt
        };
        self.before.iter().filter(same).collect()
    }
}

/// Prompts in the order of their lengths, and their points in that of their levels.
fn points<'a>(side: &'a RunSet, older: Option<&'a RunSet>) -> Vec<PointView<'a>> {
    type Of<'a> = (&'a PointKey, &'a RunRecord, bool);
    // A side that is read from one place has one record of each point.
    let of = |side: &'a RunSet, is_older: bool| {
        let records = side.points().iter();
        records.filter_map(move |(key, records)| Some((key, records.last()?, is_older)))
    };
    let older = older.into_iter().flat_map(|older| of(older, true));
    let mut records: Vec<Of<'a>> = of(side, false).chain(older).collect();
    records.sort_by_key(|(key, r, _)| (&key.bench, r.prompt_tokens, &key.prompt, key.concurrency));
    let all = || records.iter().map(|(_, record, _)| *record);
    workers::each(&records, |(key, record, older)| {
        PointView::of(key, record, *older || is_of_older_process(record, all()))
    })
}

impl<'a> PointView<'a> {
    fn of(key: &'a PointKey, record: &'a RunRecord, is_older: bool) -> PointView<'a> {
        let (runs, slo) = (record.runs(), record.slo());
        PointView {
            key,
            record,
            row: Row::of(record),
            tok_s: known(Figure::TokS, &runs, &slo),
            rps: known(Figure::Rps, &runs, &slo),
            is_older,
            runs,
        }
    }
}

/// Processes whose clocks began so far apart are different ones (ns).
const ANOTHER_RUN_NS: u64 = 2_000_000_000;

/// Whether a later process than the record's measured another point of its bench: known only so of records
/// older than run ids.
fn is_of_older_process<'a>(record: &RunRecord, all: impl Iterator<Item = &'a RunRecord>) -> bool {
    if record.run_id.is_some() {
        return false;
    }
    let newest = all
        .filter(|other| other.bench == record.bench)
        .max_by(|a, b| a.ended_unix_s.total_cmp(&b.ended_unix_s));
    newest
        .is_some_and(|newest| newest.clock_unix_ns.abs_diff(record.clock_unix_ns) > ANOTHER_RUN_NS)
}
