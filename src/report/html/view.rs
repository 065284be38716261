//! The data of the pages, computed once: figures with intervals, verdicts.

use super::links::Packaging;
use super::source::ReportSource;
use super::workers;
use crate::client::CompletedRequest;
use crate::load::Window;
use crate::report::Row;

use crate::results::{CapacityRecord, PointKey, RunRecord};
use crate::verdict::{
    Comparison, Estimate, Figure, NotComparable, RunSet, Thresholds, Trend, compare, estimate,
};

/// Figures of the trend: those that people follow over versions.
pub(super) const TREND_FIGURES: [Figure; 5] = [
    Figure::TokS,
    Figure::TtftP50,
    Figure::TpotMean,
    Figure::E2elP50,
    Figure::E2elP99,
];

pub(super) fn trend_thresholds() -> Thresholds {
    Thresholds::of(TREND_FIGURES.into_iter().chain([Figure::Capacity]))
}

/// The data of all pages.
pub(super) struct View<'a> {
    pub source: &'a ReportSource,
    pub packaging: Packaging,
    /// The points of the latest run, in their order.
    pub points: Vec<PointView<'a>>,
    /// The capacities of the latest run.
    pub capacities: Vec<CapacityView<'a>>,
    /// The points of the baseline.
    pub before: Vec<PointView<'a>>,
    /// The verdicts, or why there are none; `None` without a baseline.
    pub comparison: Option<Result<Comparison, String>>,
    /// The changes from version to version, or why there are none; `None` with fewer than three versions.
    pub trend: Option<Result<Trend, String>>,
}

/// A capacity that a search found.
pub(super) struct CapacityView<'a> {
    pub record: &'a CapacityRecord,
    /// Whether the last run of its bench did not search for it again.
    pub is_older: bool,
}

/// A point with its windows and its figures.
pub(super) struct PointView<'a> {
    pub key: &'a PointKey,
    pub record: &'a RunRecord,
    pub row: Row,
    /// The windows of each run.
    pub runs: Vec<Vec<Window>>,
    pub tok_s: Result<Estimate, NotComparable>,
    pub rps: Result<Estimate, NotComparable>,
    /// Whether the last run of its bench did not measure it again.
    pub is_older: bool,
}

impl<'a> View<'a> {
    pub fn of(source: &'a ReportSource, packaging: Packaging) -> View<'a> {
        let baseline = source.baseline.as_ref();
        let thresholds = Thresholds::default();
        let latest = &source.latest;
        let compared = |before: &RunSet| compare(before, latest, &thresholds);
        let comparison = baseline.map(|before| compared(before).map_err(|e| e.to_string()));
        let trend = (source.versions.len() > 2)
            .then(|| Trend::of(&source.versions, &trend_thresholds()))
            .map(|trend| trend.map_err(|error| error.to_string()));
        View {
            source,
            packaging,
            points: points(latest, Some(&source.older)),
            capacities: capacities(latest, &source.older),
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
            point.key.bench == first.key.bench
                && point.key.prompt == first.key.prompt
                && point.key.level.quantity() == first.key.level.quantity()
        };
        self.before.iter().filter(same).collect()
    }
}

fn capacities<'a>(latest: &'a RunSet, older: &'a RunSet) -> Vec<CapacityView<'a>> {
    let of = |side: &'a RunSet, is_older: bool| {
        // A side of a report has one record of each.
        let records = side
            .capacities()
            .values()
            .filter_map(|records| records.last());
        records.map(move |record| CapacityView { record, is_older })
    };
    let mut capacities = Vec::from_iter(of(latest, false).chain(of(older, true)));
    capacities.sort_by_key(|capacity| capacity.record.key());
    capacities
}

/// The points, ordered by bench, prompt length and level.
fn points<'a>(side: &'a RunSet, older: Option<&'a RunSet>) -> Vec<PointView<'a>> {
    type Of<'a> = (&'a PointKey, &'a RunRecord, bool);
    // A side of a report has one record of each point.
    let of = |side: &'a RunSet, is_older: bool| {
        let records = side.points().iter();
        records.filter_map(move |(key, records)| Some((key, records.last()?, is_older)))
    };
    let older = older.into_iter().flat_map(|older| of(older, true));
    let mut records: Vec<Of<'a>> = of(side, false).chain(older).collect();
    records.sort_by_key(|(key, r, _)| (&key.bench, r.prompt_tokens, &key.prompt, key.level));
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
            tok_s: estimate(Figure::TokS, &runs, &slo),
            rps: estimate(Figure::Rps, &runs, &slo),
            is_older,
            runs,
        }
    }

    /// Start of the first window (ns of the run's clock).
    pub fn start_ns(&self) -> u64 {
        let windows = self.runs.first().and_then(|run| run.first());
        windows.map_or(0, |window| window.start_ns)
    }

    /// Seconds from the start of the first window to a time of the run's clock.
    pub fn seconds(&self, at_ns: u64) -> f64 {
        (at_ns as f64 - self.start_ns() as f64) * 1e-9
    }

    /// The id of a request in the server's log, or its index.
    pub fn request_name(&self, request: &CompletedRequest) -> String {
        let prefix = self.record.request_id_prefix.as_deref();
        format!("{}{:x}", prefix.unwrap_or_default(), request.index)
    }
}

/// Difference of the clocks' start that identifies different processes (ns).
const ANOTHER_RUN_NS: u64 = 2_000_000_000;

/// Whether a later process measured another point of the bench; identifies older runs of records without run
/// ids.
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
