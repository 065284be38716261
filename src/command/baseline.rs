use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Subcommand;
use servemark::report;
use servemark::results::baseline::{Baseline, offered_name};
use servemark::results::{BaselineName, Baselines};
use servemark::verdict::RunSet;

const EXAMPLES: &str = "\
Examples:
  cargo bench --bench chat_throughput
  servemark baseline save
      keeps the latest run under its server's version, such as vllm-0.31.0
  servemark baseline export vllm-0.31.0.tar.gz --name vllm-0.31.0
  servemark baseline import vllm-0.31.0.tar.gz
      on another machine or in a later CI job: then `servemark compare vllm-0.31.0 new` works there,
      and Criterion's `cargo bench -- --baseline vllm-0.31.0`, too
  cargo bench -- --save-baseline vllm-0.31.0
      the same as `save`, while measuring";

#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Keep the latest run
    #[command(after_long_help = "\
Examples:
  servemark baseline save
  servemark baseline save before-the-upgrade")]
    Save {
        /// Name to keep it under [default: after the server's version, vllm-0.31.0]
        name: Option<BaselineName>,
        /// Replace the baseline of that name
        #[arg(long)]
        force: bool,
    },
    /// Say which baselines there are
    #[command(after_long_help = "\
Example:
  servemark baseline list
      a line for each, the newest first")]
    List,
    /// Show the figures of a baseline's points
    #[command(after_long_help = "\
Example:
  servemark baseline show vllm-0.31.0
      servemark results has the same figures in other forms")]
    Show {
        /// Its name, or new: the latest run
        #[arg(value_parser = BaselineName::or_latest)]
        name: BaselineName,
    },
    /// Write a baseline to one file, to keep or to carry
    #[command(after_long_help = "\
Examples:
  servemark baseline export latest.tar.gz
  servemark baseline export vllm-0.31.0.tar.gz --name vllm-0.31.0
      for figures in CSV, Markdown or JSON: servemark results")]
    Export {
        /// The file; NAME.tar.gz, say
        file: PathBuf,
        /// Which baseline; the latest run is exported under its server's version
        #[arg(long, default_value = "new", value_parser = BaselineName::or_latest)]
        name: BaselineName,
    },
    /// Take in a baseline that was exported
    #[command(after_long_help = "\
Examples:
  servemark baseline import vllm-0.31.0.tar.gz
  servemark baseline import vllm-0.31.0.tar.gz --as before")]
    Import {
        /// The file
        file: PathBuf,
        /// Call it so, not as the file says
        #[arg(long = "as", value_name = "NAME")]
        name: Option<BaselineName>,
        /// Replace the baseline of that name
        #[arg(long)]
        force: bool,
    },
    /// Give a baseline another name
    #[command(after_long_help = "\
Example:
  servemark baseline rename before vllm-0.31.0")]
    Rename {
        /// Its name
        old: BaselineName,
        /// Its name from now on
        new: BaselineName,
    },
    /// Delete a baseline: its run records, and Criterion's files of that name
    #[command(after_long_help = "\
Example:
  servemark baseline delete vllm-0.31.0")]
    Delete {
        /// Its name
        name: BaselineName,
    },
}

pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let baselines = Baselines::here();
    match arguments.action {
        Action::Save { name, force } => save(&baselines, name, force)?,
        Action::List => list(&baselines),
        Action::Show { name } => {
            let baseline = baselines.find(&name)?;
            let side = RunSet::new(name.as_str(), baseline.records()?);
            anstream::print!("{}", report::painted(&report::baseline(&name, &side)));
            say_missing(&baseline);
        }
        Action::Export { file, name } => export(&baselines.find(&name)?, &file)?,
        Action::Import { file, name, force } => {
            let imported = baselines.import(&file, name.as_ref(), force).context(
                // Nothing has changed: the file was looked through first.
                "nothing was imported",
            )?;
            let (name, points) = (&imported.name, imported.points.len());
            println!("imported {name}: {points} point(s)");
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
        None => offered_name(&baselines.find(&BaselineName::latest())?.records()?)?,
    };
    let saved = baselines.save(&name, force)?;
    println!(
        "kept the latest run as {name}: {} point(s)",
        saved.points.len()
    );
    say_missing(&saved);
    Ok(())
}

/// Says which points the last run has not measured.
fn say_missing(baseline: &Baseline) {
    if !baseline.missing.is_empty() {
        let (count, points) = (
            baseline.missing.len(),
            report::not_measured(&baseline.missing),
        );
        println!("not measured by the last run, and not in it: {count} point(s): {points}");
    }
}

fn list(baselines: &Baselines) {
    let (mut readable, mut problems) = (Vec::new(), Vec::new());
    for baseline in baselines.all() {
        match baseline.records() {
            Ok(records) => {
                let side = RunSet::new(baseline.name.as_str(), records);
                readable.push((baseline.name, side));
            }
            Err(error) => problems.push(format!("{}: {error}", baseline.name)),
        }
    }
    match readable.is_empty() {
        true => println!("no baseline; measure first: cargo bench --bench chat_throughput"),
        false => print!("{}", report::baselines(readable)),
    }
    for problem in problems {
        eprintln!("warning: {problem}");
    }
}

fn export(baseline: &Baseline, file: &std::path::Path) -> anyhow::Result<()> {
    let name = match baseline.name.is_latest() {
        true => offered_name(&baseline.records()?).context(
            "the latest run has no name of its own; save it first: servemark baseline save NAME",
        )?,
        false => baseline.name.clone(),
    };
    let manifest = baseline.export(&name, file)?;
    println!(
        "wrote {} as {}: {} file(s), {}; servemark baseline import takes it in",
        baseline.name,
        file.display(),
        manifest.files,
        manifest.server
    );
    say_missing(baseline);
    Ok(())
}

fn delete(baselines: &Baselines, name: &BaselineName) -> anyhow::Result<()> {
    let (records, criterion) = baselines.delete(name)?;
    println!("deleted {name}: {records} run record(s) and {criterion} of Criterion's directories");
    Ok(())
}
