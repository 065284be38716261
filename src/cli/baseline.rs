use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;

use crate::report;
use crate::results::baseline::Baseline;
use crate::results::{BaselineName, Baselines, ResultKey};
use crate::verdict::RunSet;

const EXAMPLES: &str = "\
Examples:
  cargo bench --bench chat_throughput
  servemark baseline save
      saves the latest run under its server's version, such as vllm-0.31.0
  servemark baseline export vllm-0.31.0.tar.gz --name vllm-0.31.0
  servemark baseline import vllm-0.31.0.tar.gz
      on another machine or in a later CI job: `servemark compare vllm-0.31.0 new` then works there,
      and so does Criterion's `cargo bench -- --baseline vllm-0.31.0`
  cargo bench -- --save-baseline vllm-0.31.0
      measures, and saves the run like `save`";

#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Save the latest run
    #[command(after_long_help = "\
Examples:
  servemark baseline save
  servemark baseline save before-the-upgrade")]
    Save {
        /// Name of the baseline [default: the server's version, such as vllm-0.31.0]
        name: Option<BaselineName>,
        /// Replace an existing baseline of that name
        #[arg(long)]
        force: bool,
    },
    /// List the baselines
    #[command(after_long_help = "\
Example:
  servemark baseline list
      one line for each, the newest first")]
    List,
    /// Show the figures of a baseline's points
    #[command(after_long_help = "\
Example:
  servemark baseline show vllm-0.31.0
      servemark results shows the same figures in other formats")]
    Show {
        /// Name of the baseline, or new: the latest run
        #[arg(value_parser = BaselineName::or_latest)]
        name: BaselineName,
    },
    /// Write a baseline to one file, to archive or copy it
    #[command(after_long_help = "\
Examples:
  servemark baseline export latest.tar.gz
  servemark baseline export vllm-0.31.0.tar.gz --name vllm-0.31.0
      for figures in CSV, Markdown or JSON: servemark results")]
    Export {
        /// The file, such as NAME.tar.gz
        file: PathBuf,
        /// The baseline to export; the latest run is exported under its server's version
        #[arg(long, default_value = "new", value_parser = BaselineName::or_latest)]
        name: BaselineName,
    },
    /// Import an exported baseline
    #[command(after_long_help = "\
Examples:
  servemark baseline import vllm-0.31.0.tar.gz
  servemark baseline import vllm-0.31.0.tar.gz --as before")]
    Import {
        /// The file
        file: PathBuf,
        /// Name of the imported baseline, instead of the one in the file
        #[arg(long = "as", value_name = "NAME")]
        name: Option<BaselineName>,
        /// Replace an existing baseline of that name
        #[arg(long)]
        force: bool,
    },
    /// Rename a baseline
    #[command(after_long_help = "\
Example:
  servemark baseline rename before vllm-0.31.0")]
    Rename {
        /// Its present name
        old: BaselineName,
        /// Its new name
        new: BaselineName,
    },
    /// Delete a baseline: its records of points and capacities, and Criterion's files of that name
    #[command(after_long_help = "\
Example:
  servemark baseline delete vllm-0.31.0")]
    Delete {
        /// Name of the baseline
        name: BaselineName,
    },
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let baselines = Baselines::here();
    match arguments.action {
        Action::Save { name, force } => save(&baselines, name, force)?,
        Action::List => list(&baselines)?,
        Action::Show { name } => {
            let baseline = baselines.find(&name)?;
            let side = RunSet::new(name.as_str(), baseline.records()?)
                .with_capacities(baseline.capacities()?);
            anstream::print!("{}", report::baseline(&name, &side));
            print_missing(&baseline);
        }
        Action::Export { file, name } => export(&baselines.find(&name)?, &file)?,
        Action::Import { file, name, force } => {
            let imported = baselines.import(&file, name.as_ref(), force).context(
                // Nothing has changed: the file is checked first.
                "nothing was imported",
            )?;
            let (name, results) = (&imported.name, ResultKey::count(&imported.results));
            println!("imported {name}: {results}");
        }
        Action::Rename { old, new } => {
            baselines.rename(&old, &new)?;
            println!("{old} is now {new}");
        }
        Action::Delete { name } => delete(&baselines, &name)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn save(baselines: &Baselines, name: Option<BaselineName>, force: bool) -> anyhow::Result<()> {
    let name = match name {
        Some(name) => name,
        None => baselines.find(&BaselineName::latest())?.offered_name()?,
    };
    let saved = baselines.save(&name, force)?;
    println!(
        "saved the latest run as {name}: {}",
        ResultKey::count(&saved.results)
    );
    print_missing(&saved);
    Ok(())
}

/// Prints which points the last run did not measure.
fn print_missing(baseline: &Baseline) {
    if !baseline.missing.is_empty() {
        let (count, points) = (
            baseline.missing.len(),
            report::not_measured(&baseline.missing),
        );
        println!("not measured by the last run, and not in it: {count} point(s): {points}");
    }
}

fn list(baselines: &Baselines) -> anyhow::Result<()> {
    let (mut readable, mut problems) = (Vec::new(), Vec::new());
    for baseline in baselines.all()? {
        match (baseline.records(), baseline.capacities()) {
            (Ok(records), Ok(capacities)) => {
                let side = RunSet::new(baseline.name.as_str(), records);
                readable.push((baseline.name, side.with_capacities(capacities)));
            }
            (Err(error), _) | (_, Err(error)) => {
                problems.push(format!("{}: {error}", baseline.name));
            }
        }
    }
    match readable.is_empty() {
        true => println!("no baseline; measure first: cargo bench --bench chat_throughput"),
        false => print!("{}", report::baselines(readable)),
    }
    for problem in problems {
        eprintln!("warning: {problem}");
    }
    Ok(())
}

fn export(baseline: &Baseline, file: &std::path::Path) -> anyhow::Result<()> {
    let name = match baseline.name.is_latest() {
        true => baseline.offered_name().context(
            "the latest run has no name of its own; save it first: servemark baseline save NAME",
        )?,
        false => baseline.name.clone(),
    };
    let manifest = baseline.export(&name, file)?;
    println!(
        "wrote {} as {}: {} file(s), {}; import it with servemark baseline import",
        baseline.name,
        file.display(),
        manifest.files,
        manifest.server
    );
    print_missing(baseline);
    Ok(())
}

fn delete(baselines: &Baselines, name: &BaselineName) -> anyhow::Result<()> {
    let (records, criterion) = baselines.delete(name)?;
    println!("deleted {name}: {records} run record(s) and {criterion} Criterion directories");
    Ok(())
}
