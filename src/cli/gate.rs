use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;

use super::side;
use crate::report;
use crate::results::write_atomically;
use crate::verdict::{Gate, Thresholds};

const EXAMPLES: &str = "\
Examples:
  servemark baseline import vllm-0.31.0.tar.gz
  cargo bench --bench chat_throughput
  servemark gate --baseline vllm-0.31.0
      exit code 1 if output tok/s, RPS, TTFT P50, mean TPOT or E2EL P50 of any point became worse by 3 % or more, if a
      capacity became smaller by 5 % or more, or if 1 % more of a point's requests failed
  servemark gate --baseline vllm-0.31.0 --max-regression tok_s=3%,ttft_p99=10%
      these figures only
  servemark gate --baseline old-1,old-2,old-3 --candidate new-1,new-2,new-3 --strict
      several runs per side, and no figure may be inconclusive
  servemark gate --baseline vllm-0.31.0 --junit gate.xml --markdown \"$GITHUB_STEP_SUMMARY\"

Exit codes:
  0  nothing regressed
  1  a figure regressed: by the threshold or more, and significantly among all tested figures (Benjamini-Hochberg,
     false discovery rate 5 %)
  2  could not tell: a side is missing or cannot be compared; a figure of --max-regression could not be measured; with
     --strict also a figure is inconclusive; or a point of the baseline
       was not measured by the last run, or had no success on either side,
       is partial or was limited by its own client on either side,
       is a capacity that a search did not find, confirm or close at both ends on either side,
       has prompts or answers of different lengths, or is the same run on both sides
Where more requests failed than before, no figure of the successful ones is called improved. Where 1 % more failed, only
the share of failed requests has a verdict at that point.
A regression at a well-measured point gives 1, even if other points could not be told. A regression at a point that
could not be told is uncertain: it is listed, and the exit code is 2.";

#[derive(clap::Args)]
#[command(after_help = side::SIDES, after_long_help = format!("{}\n\n{EXAMPLES}", side::SIDES))]
pub struct Arguments {
    /// The side to compare the candidate with
    #[arg(long, value_name = "SIDE")]
    baseline: String,
    /// The side to judge
    #[arg(long, value_name = "SIDE", default_value = "new")]
    candidate: String,
    /// Figures to gate, and the smallest regression of each that fails [default: tok_s, rps, ttft_p50, tpot_mean,
    /// e2el_p50, each 3 %, capacity 5 %, and failed 1 %, whose difference counts]
    #[arg(long, value_name = "FIGURE=PERCENT,…")]
    max_regression: Option<Thresholds>,
    /// Write the result as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the result as GitHub-flavoured Markdown; it is appended if FILE is $GITHUB_STEP_SUMMARY
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Treat an inconclusive figure as one that could not be told
    #[arg(long)]
    strict: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let gate = match judge(&arguments) {
        Ok(gate) => gate,
        Err(error) => {
            let reason = super::error::explain(&error);
            let junit = report::junit_refused(&reason);
            write(&arguments, junit, &report::gate_markdown_refused(&reason));
            return Err(error);
        }
    };
    anstream::print!("{}", report::gate(&gate));
    let written = write(
        &arguments,
        report::junit(&gate),
        &report::gate_markdown(&gate),
    );
    Ok(ExitCode::from(
        match (gate.outcome().exit_code(), written) {
            // A reader of the files must not mistake old ones for this result.
            (0, false) => COULD_NOT_WRITE,
            (code, _) => code,
        },
    ))
}

fn judge(arguments: &Arguments) -> anyhow::Result<Gate> {
    let baseline = side::read(&arguments.baseline).context("could not tell")?;
    let candidate = side::read(&arguments.candidate).context("could not tell")?;
    let limits = arguments.max_regression.as_ref();
    let gate = Gate::new(&baseline, &candidate, limits, arguments.strict);
    gate.context("could not tell: these cannot be compared")
}

/// Exit code where nothing regressed but a file with the result could not be written.
const COULD_NOT_WRITE: u8 = 2;

/// Writes the requested files and reports each that cannot be written. Returns whether all were written: a file that
/// fails prevents neither the others nor the printed result.
fn write(arguments: &Arguments, junit: io::Result<String>, markdown: &str) -> bool {
    let junit = arguments.junit.as_ref().map(|path| {
        let written = junit.and_then(|text| write_atomically(path, text.as_bytes()));
        written.context("--junit cannot be written")
    });
    let markdown = arguments.markdown.as_ref().map(|path| {
        let written = write_markdown(path, markdown);
        written.context("--markdown cannot be written")
    });
    let written = [junit, markdown].into_iter().flatten();
    let problems = written.filter_map(Result::err);
    let reported =
        problems.inspect(|problem| eprintln!("error: {}", super::error::explain(problem)));
    reported.count() == 0
}

/// Writes the Markdown. The summary of a GitHub job is one file, to which every step appends.
fn write_markdown(path: &Path, text: &str) -> anyhow::Result<()> {
    let summary = std::env::var_os("GITHUB_STEP_SUMMARY");
    if summary.is_none_or(|summary| summary != path.as_os_str()) {
        return Ok(write_atomically(path, text.as_bytes())?);
    }
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot append to {}", path.display()))
}
