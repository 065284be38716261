//! The run record of a point, and where it lies.

use std::io;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use super::point::Point;
use crate::endpoint::{Endpoints, MetricsInterval};
use crate::fixture::Fixture;
use crate::load::Window;
use crate::report::Row;
use crate::results::{self, RunRecord, SCHEMA_VERSION};

/// The directory that Criterion makes of a group's name.
pub(super) fn criterion_file_name(group: &str) -> String {
    let unsafe_in_files = ['?', '"', '/', '\\', '*', '<', '>', ':', '|', '^'];
    let mut name = group.replace(unsafe_in_files, "_");
    // Criterion cuts names to 64 bytes, at a character's boundary.
    while name.len() > 64 {
        name.pop();
    }
    name
}

/// What is known of a point after it was measured.
pub(super) fn record(
    point: &Point<'_>,
    fixture: &Fixture,
    row: &Row,
    endpoints: &Endpoints,
    runs: &[&[Window]],
    server_metrics: &[Option<MetricsInterval>],
) -> RunRecord {
    let (windows, requests) = RunRecord::columns(runs);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    RunRecord {
        schema_version: SCHEMA_VERSION,
        servemark_version: env!("CARGO_PKG_VERSION").to_owned(),
        ended_unix_s: now.unwrap_or_default().as_secs_f64(),
        clock_unix_ns: fixture.clock.unix_ns(),
        bench: point.session.name.clone(),
        prompt: row.prompt.clone(),
        prompt_tokens: row.prompt_tokens,
        tokenizer: fixture.counter.source().to_string(),
        concurrency: row.concurrency,
        seed: fixture.seed,
        request_id_prefix: point.request_id_prefix(fixture),
        simulated: row.simulated.clone(),
        config: point.session.config.public_json(),
        endpoints: endpoints.iter().map(|e| e.identity.clone()).collect(),
        summary: row.summary().cloned(),
        failures: row.failures().to_vec(),
        blocked: row.blocked().to_vec(),
        server_metrics: server_metrics.to_vec(),
        self_check: row.self_check.clone(),
        interleaved: None,
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

/// `servemark/<bench>/<prompt>/c=<n>/<name>.json`, beside Criterion's directories of the same names.
pub(super) fn path(point: &Point<'_>, name: &str) -> PathBuf {
    results::directory()
        .join(criterion_file_name(&point.session.name))
        .join(criterion_file_name(&point.prompt.key))
        .join(format!("c={}", point.concurrency))
        .join(format!("{}.json", criterion_file_name(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn group_directories_are_named_as_criterion_names_them() {
        assert_eq!(
            criterion_file_name("chat_throughput/5/rps"),
            "chat_throughput_5_rps"
        );
        assert_eq!(criterion_file_name(&"x/".repeat(50)).len(), 64);
    }
}
