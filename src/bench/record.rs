//! The run record of a point, and where it lies.

use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::point::Point;
use super::results::ServersSaid;
use super::session::Session;
use crate::endpoint::Endpoints;
use crate::fixture::Fixture;
use crate::load::Window;
use crate::report::Row;
use crate::results::{self, RecordError, RunRecord, SCHEMA_VERSION};

/// What is known of a point after it was measured.
pub(super) fn record(
    point: &Point<'_>,
    fixture: &Fixture,
    row: &Row,
    endpoints: &Endpoints,
    runs: &[&[Window]],
    servers: &ServersSaid,
) -> RunRecord {
    let (windows, requests) = RunRecord::columns(runs);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    RunRecord {
        schema_version: SCHEMA_VERSION,
        servemark_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: Some(point.session.run_id.clone()),
        ended_unix_s: now.unwrap_or_default().as_secs_f64(),
        clock_unix_ns: fixture.clock.unix_ns(),
        bench: point.session.name.clone(),
        prompt: row.prompt.clone(),
        prompt_tokens: row.prompt_tokens,
        tokenizer: fixture.counter.source().to_string(),
        api: Some(point.prompt.kind.api().id().to_owned()),
        concurrency: row.concurrency,
        seed: fixture.seed,
        request_id_prefix: point.request_id_prefix(fixture),
        simulated: row.simulated.clone(),
        config: point.session.config.public_json(),
        endpoints: endpoints.iter().map(|e| e.identity.clone()).collect(),
        summary: row.summary().cloned(),
        failures: row.failures().to_vec(),
        blocked: row.blocked().to_vec(),
        server_metrics: servers.intervals.clone(),
        server_timeline: servers.timeline.clone(),
        self_check: row.self_check.clone(),
        interleaved: None,
        deployment: point.session.deployment_record().cloned(),
        part: None,
        ranks: Vec::new(),
        windows,
        requests,
    }
}

/// Writes a record under each of these names.
pub(super) fn write(point: &Point<'_>, record: &RunRecord, names: &[&str]) -> io::Result<()> {
    let json = serde_json::to_vec(record)?;
    for name in names {
        results::write_atomically(&path(point, name), &json)?;
    }
    Ok(())
}

/// The records of this name that the session's own run has written, in the order of its points. A point
/// that failed has none, though an older run may have left one.
pub(super) fn written(session: &Session, name: &str) -> Result<Vec<RunRecord>, RecordError> {
    let mut records = Vec::new();
    for point in session.selected() {
        let path = path(&point, name);
        if !path.exists() {
            continue;
        }
        match RunRecord::read(&path) {
            Ok(record) if record.run_id.as_deref() == Some(&*session.run_id) => {
                records.push(record)
            }
            // An older version's.
            Ok(_) | Err(RecordError::OtherSchema { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(records)
}

/// Where the record of this name lies.
pub(super) fn path(point: &Point<'_>, name: &str) -> PathBuf {
    results::criterion_directory().join(point.key().record_path(name))
}
