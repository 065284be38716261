//! A side of a comparison as it stands on the command line: names and files, between commas.

use std::path::Path;

use servemark::results::baseline::Unpacked;
use servemark::results::{BaselineName, Baselines, RunRecord};
use servemark::verdict::RunSet;

/// What a side can be, for the help of commands.
pub const SIDES: &str = "\
A side is
  NAME               a baseline (servemark baseline list), or new: the latest run
  NAME1,NAME2,NAME3  several runs of one version: they narrow the intervals
  FILE               what servemark baseline export wrote, or a run record (…/c=8/new.json)";

/// Reads a side; it is called what it is called on the command line.
pub fn read(text: &str) -> anyhow::Result<RunSet> {
    let mut records = Vec::new();
    match Path::new(text).is_file() {
        true => records.extend(part(text)?),
        false => {
            for name in text.split(',') {
                records.extend(part(name.trim())?);
            }
        }
    }
    Ok(RunSet::new(text, records))
}

fn part(text: &str) -> anyhow::Result<Vec<RunRecord>> {
    let path = Path::new(text);
    let baseline = match BaselineName::or_latest(text) {
        Ok(name) => Baselines::here().find(&name).map_err(anyhow::Error::from),
        Err(_) if path.components().count() > 1 && !path.exists() => {
            Err(anyhow::anyhow!("there is no file {text}"))
        }
        Err(error) => Err(error.into()),
    };
    match baseline {
        Ok(baseline) => Ok(baseline.records()?),
        Err(_) if text.ends_with(".json") => Ok(vec![record(path)?]),
        Err(_) if path.is_file() => Ok(Unpacked::read(path)?.records),
        Err(error) => Err(error),
    }
}

/// One record of a whole load.
fn record(path: &Path) -> anyhow::Result<RunRecord> {
    let record = RunRecord::read(path)?;
    anyhow::ensure!(
        record.part.is_none(),
        "{} is one rank's part of a load; give the record of the whole, which lies beside it",
        path.display()
    );
    Ok(record)
}
