//! The cost of the whole command: `servemark run` from its start to its exit, with the table and the record, beside
//! the floor's whole process.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use comfy_table::{CellAlignment, Table, presets};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};

use crate::engine_process::EngineProcess;
use crate::{Kind, Mode, Result, run_client};

/// The variable that makes this process the parent of one command, whose usage is then that of its children.
pub const PARENT: &str = "SERVEMARK_OVERHEAD_COMMAND";

/// One command on one directory of results.
#[derive(Serialize, Deserialize)]
struct Started {
    arguments: Vec<String>,
    criterion_home: PathBuf,
}

/// Resources used by a command from start to exit.
#[derive(Serialize, Deserialize)]
pub struct Used {
    pub cpu_s: f64,
    system_s: f64,
    pub peak_bytes: u64,
    pub seconds: f64,
}

const MODE: Mode = Mode {
    title: "the whole command, 10 ms per token",
    engine: &["--preset=fixed-interval"],
    loads: &[(1_000, 100, 10), (1_000, 100, 40)],
};

/// Memory the command may use besides (bytes), and per token event.
const FIXED_BYTES: f64 = 40e6;
const BYTES_PER_EVENT: f64 = 4.0;

/// Runs the command at each load and prints what it used.
pub fn compare(small: bool) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "Streams × tokens",
        "Token events",
        "CPU (µs/event)",
        "of it system",
        "Floor's process (µs/event)",
        "Ratio",
        "Peak memory (MB)",
        "40 MB + 4 B/event (MB)",
    ]);
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for (streams, tokens, rounds) in MODE.loads {
        let (streams, rounds) = if small { (2, 1) } else { (*streams, *rounds) };
        table.add_row(row(streams, *tokens, rounds)?);
        if small {
            break;
        }
    }
    println!("\n## {}\n\n{table}", MODE.title);
    Ok(())
}

fn row(streams: usize, tokens: u32, rounds: u64) -> Result<[String; 8]> {
    let served = format!("--served-model-name={}", crate::MODEL);
    let engine = EngineProcess::start(&[MODE.engine, &[&*served]].concat())?;
    // A round takes about 10 ms a token.
    let seconds = rounds as f64 * f64::from(tokens) * 10e-3;
    let (stream_count, token_count, seconds) =
        (streams.to_string(), tokens.to_string(), seconds.to_string());
    let results = tempfile::tempdir()?;
    let used = used(
        &[
            "run",
            "--endpoint",
            &engine.url,
            "--concurrency",
            &stream_count,
            "--max-tokens",
            &token_count,
            "--duration",
            &seconds,
            "--warm-up",
            "0.001",
        ],
        results.path(),
    )?;
    let events = generated_tokens(&engine.url)?;
    let floor = run_client(&MODE, Kind::Floor, streams, tokens, rounds)?;
    // The floor's first request of each stream is of the process, too.
    let floor_events = floor.events as f64 + streams as f64 * f64::from(tokens);
    let (own, least) = (
        used.cpu_s * 1e6 / events,
        floor.process_cpu_s * 1e6 / floor_events,
    );
    Ok([
        format!("{streams} × {tokens}, {:.0} s", used.seconds),
        format!("{events:.0}"),
        format!("{own:.2}"),
        format!("{:.2}", used.system_s * 1e6 / events),
        format!("{least:.2}"),
        format!("{:.2}", own / least),
        format!("{:.1}", used.peak_bytes as f64 / 1e6),
        format!("{:.1}", (FIXED_BYTES + BYTES_PER_EVENT * events) / 1e6),
    ])
}

/// Output tokens that the engine has generated since its start.
fn generated_tokens(url: &str) -> Result<f64> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let text = runtime.block_on(async {
        let response = reqwest::get(format!("{url}metrics")).await?;
        response.error_for_status()?.text().await
    })?;
    let value = text.lines().find_map(|line| {
        let rest = line.strip_prefix("vllm:generation_tokens_total")?;
        rest.rsplit(' ').next()?.parse().ok()
    });
    value.ok_or_else(|| "the engine's /metrics has no vllm:generation_tokens_total".into())
}

/// Runs `servemark` with these arguments in a process of which it is the only child.
pub fn used(arguments: &[&str], criterion_home: &Path) -> Result<Used> {
    let started = Started {
        arguments: arguments
            .iter()
            .map(|argument| (*argument).to_owned())
            .collect(),
        criterion_home: criterion_home.to_owned(),
    };
    let output = Command::new(std::env::current_exe()?)
        .env(PARENT, serde_json::to_string(&started)?)
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("servemark {} failed: {said}", arguments.join(" ")).into());
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Runs a command as [`used`] asks, and prints what it used.
pub fn measure(started: &str) -> Result<()> {
    let started: Started = serde_json::from_str(started)?;
    let begin = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_servemark"))
        .args(&started.arguments)
        .env("CRITERION_HOME", &started.criterion_home)
        .env_remove(PARENT)
        .stdout(Stdio::null())
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
    }
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let seconds = |time: nix::sys::time::TimeVal| time.num_microseconds() as f64 * 1e-6;
    // In kilobytes, but for macOS.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    let used = Used {
        cpu_s: seconds(usage.user_time()) + seconds(usage.system_time()),
        system_s: seconds(usage.system_time()),
        peak_bytes: usage.max_rss() as u64 * unit,
        seconds: begin.elapsed().as_secs_f64(),
    };
    println!("{}", serde_json::to_string(&used)?);
    Ok(())
}
