//! The record of a point.

use std::time::{SystemTime, UNIX_EPOCH};

use super::server_stats::ServerStats;
use crate::bench::point_info::PointInfo;
use crate::config::Settings;
use crate::endpoint::Endpoints;
use crate::fixture::Fixture;
use crate::load::Window;
use crate::report::Row;
use crate::results::{RecordError, RunRecord, SCHEMA_VERSION};

/// The record of a measured point.
pub fn record(
    point: &PointInfo<'_>,
    fixture: &Fixture,
    row: &Row,
    endpoints: &Endpoints,
    runs: &[&[Window]],
    servers: &ServerStats,
) -> RunRecord {
    let (windows, requests) = RunRecord::columns(runs);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    RunRecord {
        schema_version: SCHEMA_VERSION,
        servemark_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: Some(point.run_id.to_owned()),
        ended_unix_s: now.unwrap_or_default().as_secs_f64(),
        clock_unix_ns: fixture.clock.unix_ns(),
        bench: point.bench.to_owned(),
        prompt: row.prompt.clone(),
        prompt_tokens: row.lengths.prompt.rounded_mean(),
        lengths: row.lengths.is_mixed().then_some(row.lengths),
        tokenizer: fixture.counter.source().to_string(),
        api: Some(point.dialect.id().to_owned()),
        level: row.level,
        seed: fixture.seed,
        request_id_prefix: point.request_id_prefix(fixture),
        simulated: row.simulated.clone(),
        config: Settings {
            slo: point.slo,
            ..point.config.clone()
        }
        .public_json(),
        workload: point.workload.clone(),
        endpoints: endpoints.iter().map(|e| e.identity.clone()).collect(),
        summary: row.summary().cloned(),
        failures: row.failures().to_vec(),
        blocked: row.blocked().to_vec(),
        outages: match row.summary() {
            Some(_) => Vec::new(),
            None => row.outages().to_vec(),
        },
        server_metrics: servers.intervals.clone(),
        server_timeline: servers.timeline.clone(),
        self_check: row.self_check.clone(),
        partial: row.partial.clone(),
        interleaved: None,
        deployment: point.deployment.cloned(),
        part: None,
        ranks: Vec::new(),
        windows,
        requests,
    }
}

/// The records of this name that the points' own run has written, in the order of the points. A point that failed
/// has none, though an older run may have left one.
///
/// # Errors
/// A record that cannot be read.
pub fn written<'a>(
    points: impl Iterator<Item = PointInfo<'a>>,
    name: &str,
) -> Result<Vec<RunRecord>, RecordError> {
    let mut records = Vec::new();
    for point in points {
        let path = point.record_path(name);
        if !path.exists() {
            continue;
        }
        match RunRecord::read(&path) {
            Ok(record) if record.run_id.as_deref() == Some(point.run_id) => records.push(record),
            // An older version's.
            Ok(_) | Err(RecordError::OtherSchema { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}
