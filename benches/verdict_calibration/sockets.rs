//! A smaller sample over real sockets: the shipped bench in a process of its own against engines started
//! anew for each run, and the same comparisons in virtual time.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use comfy_table::{CellAlignment, Table, presets};
use servemark::internals::engine::{Engine, EngineOptions, Slowdown};
use servemark::internals::prompt::shipped_tokenizer;
use servemark::internals::results::{PointKey, RunRecord};
use servemark::internals::verdict::{Figure, RunSet, Thresholds, compare};
use servemark::{Bench, Workload};

use crate::Result;
use crate::tally::{Tally, share};
use crate::virtual_runs::{Conditions, Family, Method, Trial, preset};

/// The variable that makes this process the bench.
pub const VARIABLE: &str = "SERVEMARK_CALIBRATE_SOCKETS";

/// Comparisons of equal servers, and of servers of which one is slower.
const COMPARISONS: u64 = 16;

/// By how much the slower server's steps are longer.
const SLOWDOWN: f64 = 0.05;

/// Comparisons in virtual time to hold them against.
const VIRTUAL: u64 = 500;

const BENCH: &str = "calibration";
const QUESTION: &str = "What is a good name for a grey cat that sleeps all day and hunts at night?";

/// Runs as the bench.
pub fn run() -> std::process::ExitCode {
    Bench::new(BENCH, Workload::questions([("cat", QUESTION)])).run()
}

/// The table of both samples.
pub fn compare_samples(conditions: Conditions, small: bool) -> Result<String> {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "servers",
        "over",
        "comparisons",
        "any figure regressed",
        "tok/s detected",
        "change of tok/s (mean)",
        "half of its interval (mean)",
    ]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for slowdown in [0.0, SLOWDOWN] {
        let servers = match slowdown {
            0.0 => "equal".to_owned(),
            slower => format!("{:.0} % slower", 100.0 * slower),
        };
        let mut measured = Tally::default();
        let mut prompt_tokens = 0;
        for number in 0..if small { 1 } else { COMPARISONS } {
            eprintln!("sockets: {servers}, comparison {} …", number + 1);
            let side = |name: &str, slowdown, seed| {
                let record = record(conditions, slowdown, seed, small)?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(RunSet::new(name, [record]))
            };
            let seed = slowdown.to_bits() ^ (2 * number);
            let sides = (
                side("before", 0.0, seed)?,
                side("after", slowdown, seed + 1)?,
            );
            prompt_tokens = sides.0.records().map(server_tokens).max().unwrap_or(0);
            let comparison = compare(&sides.0, &sides.1, &Thresholds::default())?;
            measured.add(&comparison, Figure::TokS);
        }
        let trial = Trial::new(conditions, Method::Saved { runs: 1 }, slowdown)?;
        let trial = trial.of_family(Family::OnePoint { prompt_tokens });
        let simulated = Tally::of(trial, if small { 1 } else { VIRTUAL })?;
        table.add_row(row(&servers, "real sockets", &measured));
        table.add_row(row(&servers, "virtual time", &simulated));
    }
    Ok(format!(
        "## {}: one point (c = 8), one run per side, over real sockets and in virtual time\n\n{table}",
        conditions.name
    ))
}

fn row(servers: &str, over: &str, tally: &Tally) -> [String; 7] {
    let (change, half) = match tally.tok_s() {
        Some((change, half)) => (format!("{change:+.2} %"), format!("±{half:.2} %")),
        None => ("n/a".to_owned(), "n/a".to_owned()),
    };
    [
        servers.to_owned(),
        over.to_owned(),
        tally.comparisons.to_string(),
        share(tally.regressed, tally.comparisons),
        share(tally.seen, tally.comparisons),
        change,
        half,
    ]
}

/// Tokens of a prompt as the server counts them, chat template included.
fn server_tokens(record: &RunRecord) -> usize {
    let summary = record.summary.as_ref();
    summary.map_or(0, |s| s.tokens.input as usize / s.completed.max(1))
}

/// One run of the bench against an engine of its own.
fn record(conditions: Conditions, slowdown: f64, seed: u64, small: bool) -> Result<RunRecord> {
    let engine = Engine::start(EngineOptions {
        noise: Some(conditions.noise()?),
        slowdown: Slowdown::uniform(1.0 + slowdown),
        seed,
        ..EngineOptions::new(preset()?, Arc::new(shipped_tokenizer()?))
    })?;
    let results = tempfile::tempdir()?;
    let mut command = Command::new(std::env::current_exe()?);
    command
        .env(VARIABLE, "1")
        .env("CRITERION_HOME", results.path())
        .env("SERVEMARK_MODEL_ENDPOINTS", engine.urls()[0].as_str())
        .env("SERVEMARK_CONCURRENT_LEVELS", "8")
        .env("SERVEMARK_MAX_NEW_TOKENS", "32")
        .env("SERVEMARK_METRICS", "output_tok_s")
        .args(["--bench", "--noplot"]);
    if small {
        command.args(["--warm-up-time", "0.1", "--measurement-time", "0.5"]);
    }
    let output = command.output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("the bench's process failed: {said}").into());
    }
    Ok(RunRecord::read(&path(results.path()))?)
}

fn path(results: &Path) -> std::path::PathBuf {
    let point = PointKey {
        bench: BENCH.to_owned(),
        prompt: "cat".to_owned(),
        level: std::num::NonZeroUsize::MIN.saturating_add(7).into(),
    };
    results.join(point.record_path("new"))
}
