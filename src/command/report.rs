use std::path::PathBuf;
use std::process::ExitCode;

use servemark::measurement::link_criterion_to_report;
use servemark::report::{ReportSource, single_page, write_pages};
use servemark::results::{
    BaselineName, Baselines, criterion_directory, directory, write_atomically,
};

const EXAMPLES: &str = "\
Examples:
  servemark report
      the pages again that a bench run writes: target/criterion/servemark/index.html
  servemark report --baseline vllm-0.31.0 --single-file report.html
      the latest run against this baseline, in one file for an e-mail
  servemark report --output public/bench
      in a folder of their own, for a web server or an archive

The pages need nothing but themselves: no network, no script. They show the latest record of every point; one that the
last run of its bench did not measure is marked as older. A baseline that cannot be compared with the latest run (other
model, other workload, simulated against real) is left out of the trend.";

#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    /// Write everything into one HTML file instead
    #[arg(long, value_name = "FILE", conflicts_with = "output")]
    single_file: Option<PathBuf>,
    /// Hold the latest run against this baseline [default: the comparable one that ended last]
    #[arg(long, value_name = "NAME")]
    baseline: Option<BaselineName>,
    /// Write the pages into this folder [default: target/criterion/servemark]
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
