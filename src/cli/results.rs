use std::process::ExitCode;

use anyhow::Context;
use regex::Regex;

use super::output::{FORMATS, Output};
use super::side;
use crate::report::{self, Row};
use crate::results::RunRecord;

const EXAMPLES: &str = "\
Examples:
  servemark results
      the table of the latest run
  servemark results vllm-0.31.0 --point '^chat_throughput/1k '
      some points of a baseline
  servemark results --format csv > performance_metrics.csv
  servemark results --format vllm --output results/
      for dashboards that read the results of `vllm bench serve`
  servemark results vllm-0.31.0.tar.gz --format json | jq .summary.output_tok_s";

#[derive(clap::Args)]
#[command(after_help = side::SIDES, after_long_help = format!("{}\n\n{FORMATS}\n\n{EXAMPLES}", side::SIDES))]
pub struct Arguments {
    /// The side whose figures to show
    #[arg(value_name = "SIDE", default_value = "new")]
    side: String,
    /// Only points whose name (chat_throughput/1k c=8) this regular expression matches
    #[arg(long, value_name = "REGEX")]
    point: Option<Regex>,
    #[command(flatten)]
    output: Output,
    /// Print the JSON Schema of run records (--format json), and exit
    #[arg(long)]
    schema: bool,
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    if arguments.schema {
        println!(
            "{}",
            serde_json::to_string_pretty(&RunRecord::json_schema())?
        );
        return Ok(ExitCode::SUCCESS);
    }
    let (side, mut missing) = side::read_with_missing(&arguments.side)?;
    let wanted = |name: String| {
        let regex = arguments.point.as_ref();
        regex.is_none_or(|regex| regex.is_match(&name))
    };
    let records = side.records().filter(|r| wanted(r.point().to_string()));
    let records: Vec<RunRecord> = records.cloned().collect();
    let capacities = side.capacities().values().flatten();
    let capacities = capacities.filter(|record| wanted(record.key().to_string()));
    let capacities = Vec::from_iter(capacities);
    missing.retain(|point| wanted(point.to_string()));
    if records.is_empty() && capacities.is_empty() {
        let regex = arguments.point.as_ref().map_or("", Regex::as_str);
        return Err(anyhow::anyhow!("no point matches --point {regex}"))
            .context(format!("{} has nothing to show", arguments.side));
    }
    let rows: Vec<Row> = records.iter().map(Row::of).collect();
    let mut table = report::by_bench(&rows, report::table).join("\n");
    let mut notes = Vec::from_iter(side.time_gap());
    if !missing.is_empty() {
        let points = report::not_measured(&missing);
        notes.push(format!("not measured by the last run: {points}"));
    }
    for record in capacities {
        let (key, capacity) = (record.key(), &record.capacity);
        table.push_str(&format!("- capacity of {key}: {capacity}\n"));
    }
    for note in &notes {
        table.push_str(&format!("- {note}\n"));
    }
    arguments.output.write(&records, &table)?;
    // The table already contains them.
    if !arguments.output.is_table() {
        for note in notes {
            eprintln!("warning: {note}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
