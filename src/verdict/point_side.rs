use std::collections::BTreeSet;

use super::failures::Failures;
use super::{PointKey, RunSet};
use crate::load::Window;
use crate::results::RunRecord;

/// One side of a point: its records, and data of them that is used more than once.
pub(super) struct PointSide<'a> {
    /// The side's name.
    pub name: &'a str,
    pub records: &'a [RunRecord],
    /// The windows of each run of all records; a failed point has no run.
    pub runs: Vec<Vec<Window>>,
    pub failures: Failures,
}

impl<'a> PointSide<'a> {
    /// The point on one side.
    pub fn of(set: &'a RunSet, point: &PointKey) -> PointSide<'a> {
        let (name, records) = (&*set.name, set.points().get(point));
        let records = records.map_or(&[][..], Vec::as_slice);
        let runs: Vec<_> = records.iter().flat_map(RunRecord::runs).collect();
        PointSide {
            name,
            records,
            failures: Failures::of(records, &runs),
            runs,
        }
    }

    /// What counted the output tokens, as shown in tables.
    pub fn token_source(&self) -> String {
        let summaries = self
            .records
            .iter()
            .filter_map(|record| record.summary.as_ref());
        let sources: BTreeSet<&str> = summaries.map(|summary| summary.tokens.source()).collect();
        Vec::from_iter(sources).join(", ")
    }
}
