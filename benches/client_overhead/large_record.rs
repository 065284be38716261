//! The cost of reading a record of ten million tokens, made in virtual time.

use std::path::Path;

use comfy_table::{CellAlignment, Table, presets};
use servemark::internals::engine::Preset;
use servemark::internals::simulation::{self, VirtualLoad, VirtualSetup};

use crate::Result;
use crate::command::used;

const STREAMS: usize = 1_000;
const TOKENS: u32 = 100;
const WINDOWS: u64 = 10;

/// Rounds of a window: ten million tokens in all.
const ROUNDS: u64 = 10;

/// Reads two such records by each command and prints what that used.
pub fn read(small: bool) -> Result<()> {
    let rounds = if small { 1 } else { ROUNDS };
    let results = tempfile::tempdir()?;
    let mut bytes = 0;
    for (name, seed) in [("before", 1), ("new", 2)] {
        bytes = write(results.path(), name, seed, rounds)?;
    }
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header(["Command", "Time (s)", "CPU (s)", "Peak memory (MB)"]);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    for arguments in [
        &["results"][..],
        &["results", "--format", "json"],
        &["results", "--format", "vllm"],
        &["compare", "before", "new"],
        &["report"],
    ] {
        let used = used(arguments, results.path())?;
        table.add_row([
            arguments.join(" "),
            format!("{:.1}", used.seconds),
            format!("{:.1}", used.cpu_s),
            format!("{:.1}", used.peak_bytes as f64 / 1e6),
        ]);
    }
    let tokens = WINDOWS * rounds * (STREAMS as u64) * u64::from(TOKENS);
    println!(
        "\n## Reading records of {tokens} tokens ({:.0} MB each)\n\n{table}",
        bytes as f64 / 1e6
    );
    Ok(())
}

/// Writes the record of a run under `name`; its size (bytes).
fn write(results: &Path, name: &str, seed: u64, rounds: u64) -> Result<u64> {
    let preset = Preset::named("sim-small")?;
    let setup = VirtualSetup {
        seeds: seed.into(),
        noise: "step=0.03".parse()?,
        concurrency: STREAMS.try_into()?,
        output_tokens: TOKENS.try_into()?,
        ..VirtualSetup::new(preset)
    };
    let mut load = VirtualLoad::start(setup.clone())?;
    load.window(1);
    let windows = (0..WINDOWS).map(|_| load.window(rounds)).collect();
    let record = simulation::record(&setup, "chat_throughput", &[windows]);
    let path = results.join(record.point().record_path(name));
    record.write(&path)?;
    Ok(std::fs::metadata(&path)?.len())
}
