use std::path::PathBuf;
use std::process::ExitCode;

use crate::measurement::link_criterion_to_report;
use crate::report::{ReportSource, single_page, write_pages};
use crate::results::{BaselineName, Baselines, criterion_directory, directory, write_atomically};

const EXAMPLES: &str = "\
Examples:
  servemark report
      writes again the pages of a bench run: target/criterion/servemark/index.html
  servemark report --baseline vllm-0.31.0 --single-file report.html
      compares the latest run with this baseline, in one file, for an e-mail
  servemark report --output public/bench
      in another directory, for a web server or an archive

The pages are self-contained: no network, no script. They show the latest record of every point, and mark it as older
if the last run of its bench did not measure the point. A baseline that cannot be compared with the latest run (other
model, other workload, simulated against real) is left out of the trend.";

#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    /// Write one HTML file instead of a directory
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    single_file: Option<PathBuf>,
    /// Compare the latest run with this baseline [default: the comparable one that ended last]
    #[arg(long, value_name = "NAME")]
    baseline: Option<BaselineName>,
    /// Directory for the pages [default: target/criterion/servemark]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let baseline = arguments.baseline.as_ref();
    let source = ReportSource::read(&Baselines::here(), &BaselineName::latest(), baseline)?;
    let written = match (arguments.single_file, arguments.output) {
        (Some(file), _) => {
            write_atomically(&file, single_page(&source).as_bytes())?;
            file
        }
        (None, Some(output)) => write_pages(&source, &output, None)?,
        (None, None) => {
            let criterion = criterion_directory().join("report/index.html");
            let link = link_criterion_to_report(&criterion)?.then_some("../report/index.html");
            write_pages(&source, &directory(), link)?
        }
    };
    println!("HTML report:   {}", written.display());
    Ok(ExitCode::SUCCESS)
}
