use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use servemark::report;
use servemark::results::write_atomically;
use servemark::verdict::{Gate, Thresholds};

use super::side;

const EXAMPLES: &str = "\
Examples:
  servemark baseline import vllm-0.31.0.tar.gz
  cargo bench --bench chat_throughput
  servemark gate --baseline vllm-0.31.0
      exit code 1 if output tok/s, RPS, TTFT P50, mean TPOT or E2EL P50 of any point became worse by 3 % or more, or
      if 1 % more of its requests failed
  servemark gate --baseline vllm-0.31.0 --max-regression tok_s=3%,ttft_p99=10%
      these figures only
  servemark gate --baseline old-1,old-2,old-3 --candidate new-1,new-2,new-3 --strict
      several runs a side, and no figure may stay inconclusive
  servemark gate --baseline vllm-0.31.0 --junit gate.xml --markdown \"$GITHUB_STEP_SUMMARY\"

Exit codes:
  0  nothing regressed
  1  a figure regressed: by the threshold or more, and significantly among all that were tested (Benjamini-Hochberg,
     false discovery rate 5 %)
  2  could not tell: a side is missing or cannot be compared; or a point of the baseline was not measured by the last
     run, had no success, was limited by its own client on either side, has prompts or answers of other lengths, or is
     the same run on both; or a figure of --max-regression could not be measured; with --strict also an inconclusive one
Where more requests failed than before, no figure of the successful ones is called improved; where 1 % more failed, none
of the point can be told but the share that failed, which has a verdict of its own.
A regression at a point that was measured well is 1, whatever could not be told at others. A regression at a point that
could not be told is not sure: it is listed, and the exit code is 2.";

#[derive(clap::Args)]
#[command(after_help = side::SIDES, after_long_help = format!("{}\n\n{EXAMPLES}", side::SIDES))]
pub struct Arguments {
    /// What to hold the candidate against
    #[arg(long, value_name = "SIDE")]
    baseline: String,
    /// What to judge
    #[arg(long, value_name = "SIDE", default_value = "new")]
    candidate: String,
    /// Figures to gate and the regression of each from which on it fails [default: tok_s, rps, ttft_p50, tpot_mean,
    /// e2el_p50, each 3 %, and failed 1 %, of which the difference counts]
    #[arg(long, value_name = "FIGURE=PERCENT,…")]
    max_regression: Option<Thresholds>,
    /// Write the answer as JUnit XML
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Write the answer as GitHub-flavoured Markdown; appended if FILE is $GITHUB_STEP_SUMMARY
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// An inconclusive figure is one that could not be told
    #[arg(long)]
    strict: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let gate = match hold(&arguments) {
        Ok(gate) => gate,
        Err(error) => {
            let reason = super::explain(&error);
            let junit = report::junit_refused(&reason);
            write(&arguments, junit, &report::gate_markdown_refused(&reason));
            return Err(error);
        }
    };
    anstream::print!("{}", report::painted(&report::gate(&gate)));
    let written = write(
        &arguments,
        report::junit(&gate),
        &report::gate_markdown(&gate),
    );
    Ok(ExitCode::from(
        match (gate.outcome().exit_code(), written) {
            // Whoever reads the files must not take old ones for this answer.
            (0, false) => COULD_NOT_WRITE,
            (code, _) => code,
        },
    ))
}

fn hold(arguments: &Arguments) -> anyhow::Result<Gate> {
    let baseline = side::read(&arguments.baseline).context("could not tell")?;
    let candidate = side::read(&arguments.candidate).context("could not tell")?;
    let asked = arguments.max_regression.as_ref();
    let gate = Gate::hold(&baseline, &candidate, asked, arguments.strict);
    gate.context("could not tell: these cannot be compared")
}

/// Exit code where the answer is good but a file with it could not be written.
const COULD_NOT_WRITE: u8 = 2;

/// Writes the files that were asked for and says of each that cannot be written; whether all were. None
/// keeps another from being written, or the answer from being told.
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
    let said = problems.inspect(|problem| eprintln!("error: {}", super::explain(problem)));
    said.count() == 0
}

/// A job's summary on GitHub is one file that every step appends to.
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
