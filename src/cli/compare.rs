use std::process::ExitCode;

use anyhow::Context;

use super::side;
use crate::report;
use crate::verdict::{Figure, RunSet, Thresholds, Trend, by_version, compare};

const EXAMPLES: &str = "\
Examples:
  servemark compare vllm-0.31.0 new
      the latest run against a baseline
  servemark compare old-1,old-2,old-3 new-1,new-2,new-3 --only-changes
      three runs of each version: the variation between runs is then measured, not assumed
  servemark compare vllm-0.31.0.tar.gz new --threshold ttft_p99=10%
      a file from another machine; a change of the TTFT's P99 matters from 10 %
  servemark compare vllm-0.30.2 vllm-0.31.0 vllm-0.32.0 --figures tok_s,ttft_p50
      a trend, in the order of the servers' versions
  servemark compare vllm-0.31.0 new --figures capacity
      the largest load within the objectives, where both sides have searched for it

A figure regressed or improved if its change is significant among all tested figures and reaches the threshold. It is
unchanged if the whole 95 % interval lies within the threshold, else inconclusive. For failed requests the difference
of the shares counts, from 1 percentage point. docs/statistics.md describes the method. Different models or workloads,
and simulated against real servers, are refused with exit code 2.";

#[derive(clap::Args)]
#[command(after_help = side::SIDES, after_long_help = format!("{}\n\n{EXAMPLES}", side::SIDES))]
pub struct Arguments {
    /// The sides to compare: the version before, then the version after; more than two make a trend
    #[arg(required = true, num_args = 2.., value_name = "SIDE")]
    sides: Vec<String>,
    /// Smallest change of a figure that matters, where it is not 3 % (capacity: 5 %): tok_s=2%,ttft_p99=10%
    #[arg(long, value_name = "FIGURE=PERCENT,…")]
    threshold: Option<Thresholds>,
    /// Only these figures: tok_s, rps, goodput, ttft_mean, ttft_p50, ttft_p99, tpot_mean, itl_p99, e2el_p50, e2el_p99,
    /// failed, capacity; also the p95 and p99_9 of ttft, itl and e2el, which are not compared by default
    #[arg(long, value_name = "FIGURE,…", value_delimiter = ',', value_parser = figure)]
    figures: Vec<Figure>,
    /// Show only the figures that regressed or improved (two sides only)
    #[arg(long)]
    only_changes: bool,
}

fn figure(name: &str) -> Result<Figure, String> {
    Figure::named(name).ok_or_else(|| {
        let names = Figure::ALL.map(Figure::id).join(", ");
        format!("the figures are {names}")
    })
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let sides = arguments.sides.iter().map(|text| side::read(text));
    let sides: Vec<RunSet> = sides.collect::<anyhow::Result<_>>()?;
    let mut thresholds = match arguments.figures.is_empty() {
        true => Thresholds::default(),
        false => Thresholds::of(arguments.figures),
    };
    if let Some(own) = &arguments.threshold {
        thresholds.extend(own);
    }
    let text = match <[RunSet; 2]>::try_from(sides) {
        Ok(sides) => {
            let comparison = compare(&sides[0], &sides[1], &thresholds).context(REFUSED)?;
            report::verdicts(&comparison, &sides, &thresholds, arguments.only_changes)
        }
        Err(sides) => {
            let sides = by_version(sides);
            let trend = Trend::of(&sides, &thresholds).context(REFUSED)?;
            report::trend(&trend, &sides, &thresholds)
        }
    };
    anstream::print!("{text}");
    Ok(ExitCode::SUCCESS)
}

const REFUSED: &str = "these cannot be compared";
