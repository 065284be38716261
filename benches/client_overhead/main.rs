//! The cost of the client itself, and the error of its timestamps.
//!
//! The engine and each client run in processes of their own: this one starts an engine, then itself again as the
//! client of one point, so that `getrusage` and memory are that client's alone. Beside servemark's client runs the
//! *floor*: bare hyper that reads the same bytes and only counts them.
//!
//! `cargo bench --bench client_overhead`; with `-- --test` everything is run once and small.

mod command;
#[path = "../engine_process/mod.rs"]
mod engine_process;
mod floor;
mod harness;
mod large_record;
mod requests;
mod usage;

use std::error::Error;
use std::process::Command;
use std::time::Instant;

use comfy_table::{CellAlignment, Table, presets};
use engine_process::EngineProcess;
use serde::{Deserialize, Serialize};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// The variable that makes this process the client of one point.
const CLIENT: &str = "SERVEMARK_OVERHEAD_CLIENT";

/// The name under which the engine serves.
const MODEL: &str = "overhead";

/// One load of one client, handed to its process as JSON.
#[derive(Clone, Serialize, Deserialize)]
struct Point {
    url: String,
    client: Kind,
    streams: usize,
    tokens: u32,
    /// Requests of each stream, after one that warms up.
    rounds: u64,
}

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Kind {
    Servemark,
    Floor,
}

/// Figures that the client's process reports about itself.
#[derive(Serialize, Deserialize)]
struct Measured {
    events: u64,
    seconds: f64,
    /// User and system time (s) while it sent requests, the first of each stream left out.
    user_s: f64,
    system_s: f64,
    /// User and system time (s) of the whole process up to its last request.
    process_cpu_s: f64,
    /// Greatest resident memory of the whole process (bytes).
    peak_bytes: u64,
    /// From the start of the program to its first request (ms).
    startup_ms: Option<f64>,
    /// Growth of resident memory from before the first request to its peak (bytes).
    memory_bytes: u64,
    /// Errors against the engine's ground truth (ms); the floor has none.
    ttft_error: Option<Errors>,
    itl_error: Option<Errors>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct Errors {
    mean_ms: f64,
    p99_ms: f64,
    max_ms: f64,
}

/// A server's pace and the loads to run against it.
struct Mode {
    title: &'static str,
    engine: &'static [&'static str],
    /// Streams, tokens, rounds.
    loads: &'static [(usize, u32, u64)],
}

const MODES: [Mode; 3] = [
    Mode {
        title: "10 ms per token, first token after 50 ms",
        engine: &["--preset=fixed-interval"],
        loads: &[
            // CPU time is counted in ticks of some milliseconds: a few streams take longer to use many.
            (1, 100, 20),
            (10, 100, 20),
            (100, 100, 5),
            (1_000, 100, 3),
            (10_000, 100, 2),
        ],
    },
    Mode {
        title: "1 ms per token",
        engine: &["--preset=fixed-interval", "--speed=10"],
        loads: &[(100, 1_000, 3), (1_000, 1_000, 3)],
    },
    Mode {
        title: "as fast as the engine can",
        engine: &["--preset=instant"],
        loads: &[
            (1, 1_000, 300),
            (10, 1_000, 60),
            (100, 1_000, 20),
            (1_000, 1_000, 5),
            (10_000, 100, 5),
        ],
    },
];

fn main() -> Result<()> {
    let started = Instant::now();
    if let Ok(point) = std::env::var(CLIENT) {
        let point: Point = serde_json::from_str(&point)?;
        let measured = match point.client {
            Kind::Servemark => harness::run(&point, started)?,
            Kind::Floor => floor::run(&point)?,
        };
        println!("{}", serde_json::to_string(&measured)?);
        return Ok(());
    }
    if let Ok(run) = std::env::var(command::PARENT) {
        return command::measure(&run);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--list") {
        return Ok(());
    }
    let small = arguments.iter().any(|argument| argument == "--test");
    for mode in MODES {
        let mut table = table();
        for (streams, tokens, rounds) in mode.loads {
            if small && *streams > 10 {
                continue;
            }
            let rounds = if small { 1 } else { *rounds };
            let run = |client| run_client(&mode, client, *streams, *tokens, rounds);
            table.add_row(row(
                *streams,
                *tokens,
                &run(Kind::Servemark)?,
                &run(Kind::Floor)?,
            ));
        }
        println!("\n## {}\n\n{table}", mode.title);
    }
    command::compare(small)?;
    large_record::read(small)?;
    Ok(())
}

/// Runs one client against a fresh engine.
fn run_client(
    mode: &Mode,
    client: Kind,
    streams: usize,
    tokens: u32,
    rounds: u64,
) -> Result<Measured> {
    let capacity = format!("--truth-capacity={}", streams as u64 * (rounds + 3));
    let served = format!("--served-model-name={MODEL}");
    let options = [mode.engine, &[capacity.as_str(), served.as_str()]].concat();
    let engine = EngineProcess::start(&options)?;
    let point = Point {
        url: engine.url.clone(),
        client,
        streams,
        tokens,
        rounds,
    };
    let output = Command::new(std::env::current_exe()?)
        .env(CLIENT, serde_json::to_string(&point)?)
        .env("SERVEMARK_MODEL_ENDPOINTS", &engine.url)
        .env("SERVEMARK_MAX_NEW_TOKENS", tokens.to_string())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("the client of {streams} streams failed: {said}").into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "Streams × tokens",
        "Token events/s",
        "CPU (µs/event)",
        "of it system",
        "Floor (µs/event)",
        "Ratio",
        "Start-up (ms)",
        "Memory (MB)",
        "per stream (KB)",
        "Floor's (KB)",
        "TTFT error mean / p99 / max (ms)",
        "ITL error mean / p99 / max (ms)",
    ]);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(streams: usize, tokens: u32, measured: &Measured, floor: &Measured) -> [String; 12] {
    let per_event = |m: &Measured| (m.user_s + m.system_s) * 1e6 / m.events as f64;
    let system = measured.system_s * 1e6 / measured.events as f64;
    let (cpu, least) = (per_event(measured), per_event(floor));
    let errors = |errors: Option<Errors>| match errors {
        Some(e) => format!("{:.2} / {:.2} / {:.2}", e.mean_ms, e.p99_ms, e.max_ms),
        None => "n/a".to_owned(),
    };
    [
        format!("{streams} × {tokens}"),
        format!("{:.0}", measured.events as f64 / measured.seconds),
        format!("{cpu:.2}"),
        format!("{system:.2}"),
        format!("{least:.2}"),
        format!("{:.2}", cpu / least),
        measured
            .startup_ms
            .map_or("n/a".into(), |ms| format!("{ms:.0}")),
        format!("{:.1}", measured.memory_bytes as f64 / 1e6),
        format!("{:.1}", measured.memory_bytes as f64 / 1e3 / streams as f64),
        format!("{:.1}", floor.memory_bytes as f64 / 1e3 / streams as f64),
        errors(measured.ttft_error),
        errors(measured.itl_error),
    ]
}
