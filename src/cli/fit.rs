use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use comfy_table::{CellAlignment, Table, presets};

use crate::engine::Preset;
use crate::fit::{self, Observation, Prediction};
use crate::results::{check_writable, write_atomically};

const EXAMPLES: &str = "\
Example: measure a server at six concurrencies and two prompt lengths, fit a preset to half of the points, see how
well it predicts the others, and serve it:
  export SERVEMARK_MODEL_ENDPOINTS=http://127.0.0.1:8000 SERVEMARK_CONCURRENT_LEVELS=1,2,4,8,16,32
  SERVEMARK_PROMPT_KEYS=25,1k cargo bench --bench chat_throughput
  cd target/criterion/servemark/chat_throughput
  servemark fit */c={1,4,16}/new.json --hold-out */c={2,8,32}/new.json --name mine --output mine.json
  servemark engine --preset mine.json";

#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    /// Run records to fit to: …/c=<concurrency>/new.json
    #[arg(required = true, value_name = "RECORD")]
    records: Vec<PathBuf>,
    /// Run records that are not part of the fit, to test how well it predicts them
    #[arg(long, value_name = "RECORD", num_args = 1..)]
    hold_out: Vec<PathBuf>,
    /// Name of the new preset
    #[arg(long, default_value = "fitted")]
    name: String,
    /// Where to write the preset [default: stdout]
    #[arg(long, value_name = "FILE.json")]
    output: Option<PathBuf>,
    /// Preset whose scheduler limits the new one uses, where no option sets them
    #[arg(long, value_name = "NAME|FILE.json", default_value = "sim-small")]
    like: String,
    /// Most sequences running at once (vLLM's --max-num-seqs)
    #[arg(long, value_name = "N")]
    max_num_seqs: Option<usize>,
    /// Most tokens in one step (vLLM's --max-num-batched-tokens)
    #[arg(long, value_name = "N")]
    max_num_batched_tokens: Option<usize>,
    /// Tokens per KV block (vLLM's --block-size)
    #[arg(long, value_name = "N")]
    block_size: Option<usize>,
    /// KV blocks (vLLM's --num-gpu-blocks-override; num_gpu_blocks of its vllm:cache_config_info)
    #[arg(long, value_name = "N")]
    num_kv_blocks: Option<usize>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if let Some(path) = &arguments.output {
        check_writable(path).context("--output cannot be written, and nothing was fitted")?;
    }
    let fitted_on = read(&arguments.records)?;
    let held_out = read(&arguments.hold_out)?;
    let like = like(&arguments, &fitted_on)?;
    eprintln!("fitting to {} record(s) …", fitted_on.len());
    let preset = fit::fit(&like, &fitted_on)?;
    let preset = describe(preset, &arguments, &fitted_on);

    let (mut table, mut unseen) = (table(), Vec::new());
    for (role, observations) in [("fitted", &fitted_on), ("held out", &held_out)] {
        for observation in observations {
            let prediction = fit::predict(&preset, observation)?;
            table.add_row(row(role, observation, &prediction));
            if role == "held out" {
                unseen.push(prediction);
            }
        }
    }
    eprintln!("{table}\n");
    if !unseen.is_empty() {
        report(
            "output tok/s",
            unseen.iter().map(Prediction::output_tok_s_error),
        );
        report("TTFT P50", unseen.iter().map(Prediction::ttft_error));
    }
    write(&preset, arguments.output.as_deref())?;
    Ok(ExitCode::SUCCESS)
}

fn read(paths: &[PathBuf]) -> anyhow::Result<Vec<Observation>> {
    let read = |path: &PathBuf| Ok(Observation::read(path)?);
    paths.iter().map(read).collect()
}

/// The preset to start from: the scheduler of `--like`, with the limits from options and records.
fn like(arguments: &Arguments, observations: &[Observation]) -> anyhow::Result<Preset> {
    let mut preset = super::engine::preset(&arguments.like)?;
    let limits = &mut preset.scheduler;
    if let Some(length) = observations.iter().filter_map(|o| o.max_model_len).min() {
        limits.max_model_len = length;
    }
    for (limit, given) in [
        (&mut limits.max_num_seqs, arguments.max_num_seqs),
        (
            &mut limits.max_num_batched_tokens,
            arguments.max_num_batched_tokens,
        ),
        (&mut limits.block_size, arguments.block_size),
        (&mut limits.num_kv_blocks, arguments.num_kv_blocks),
    ] {
        *limit = given.unwrap_or(*limit);
    }
    preset.check()?;
    Ok(preset)
}

fn describe(preset: Preset, arguments: &Arguments, observations: &[Observation]) -> Preset {
    let loads: Vec<String> = observations.iter().map(Observation::name).collect();
    Preset {
        name: arguments.name.clone(),
        summary: format!("Fitted to {} points measured on a real server", loads.len()),
        source: format!(
            "`servemark fit` to output tok/s and median TTFT of run records (prompt and concurrency: {}). The scheduler's limits are given, not fitted.",
            loads.join(", ")
        ),
        ..preset
    }
}

fn table() -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "Load",
        "Role",
        "Output tok/s",
        "Predicted",
        "Error",
        "TTFT P50 (ms)",
        "Predicted",
        "Error",
    ]);
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

fn row(role: &str, observation: &Observation, prediction: &Prediction) -> [String; 8] {
    let Prediction {
        measured,
        predicted,
    } = prediction;
    [
        observation.name(),
        role.to_owned(),
        format!("{:.1}", measured.output_tok_s),
        format!("{:.1}", predicted.output_tok_s),
        percent(prediction.output_tok_s_error()),
        format!("{:.2}", measured.ttft_p50_ms),
        format!("{:.2}", predicted.ttft_p50_ms),
        percent(prediction.ttft_error()),
    ]
}

fn percent(share: f64) -> String {
    format!("{:+.1} %", 100.0 * share)
}

/// Prints how large the errors of one figure are over the records held out.
fn report(figure: &str, errors: impl Iterator<Item = f64>) {
    let errors: Vec<f64> = errors.map(f64::abs).collect();
    let mean = errors.iter().sum::<f64>() / errors.len() as f64;
    let most = errors.iter().copied().fold(0.0, f64::max);
    eprintln!(
        "{figure} of held-out loads: mean error {:.1} %, largest {:.1} %",
        100.0 * mean,
        100.0 * most
    );
}

fn write(preset: &Preset, path: Option<&Path>) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(preset)? + "\n";
    match path {
        None => print!("{text}"),
        Some(path) => {
            write_atomically(path, text.as_bytes()).context("the preset cannot be written")?;
            eprintln!(
                "wrote {}; serve it with servemark engine --preset {}",
                path.display(),
                path.display()
            );
        }
    }
    Ok(())
}
