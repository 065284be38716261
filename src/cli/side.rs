//! A side of a comparison as given on the command line: names and files, separated by commas.

use std::path::Path;

use crate::results::baseline::Unpacked;
use crate::results::{BaselineName, Baselines, PointKey, RunRecord};
use crate::verdict::RunSet;

/// The forms of a side, for the help of commands.
pub const SIDES: &str = "\
A side is
  NAME               a baseline (servemark baseline list), or new: the last run of each bench. A point that this run
                     did not measure is missing, even if an older run has measured it
  NAME1,NAME2,NAME3  several runs of one version, which narrow the intervals
  FILE               a file of servemark baseline export, or a run record (…/c=8/new.json)";

/// Reads a side. Its name is the text given on the command line.
pub fn read(text: &str) -> anyhow::Result<RunSet> {
    Ok(read_with_missing(text)?.0)
}

/// Reads a side, and the points that its last run did not measure.
pub fn read_with_missing(text: &str) -> anyhow::Result<(RunSet, Vec<PointKey>)> {
    let (mut records, mut missing) = (Vec::new(), Vec::new());
    let names = match Path::new(text).is_file() {
        true => vec![text],
        false => text.split(',').map(str::trim).collect(),
    };
    for name in names {
        let part = part(name)?;
        records.extend(part.0);
        missing.extend(part.1);
    }
    Ok((RunSet::new(text, records), missing))
}

fn part(text: &str) -> anyhow::Result<(Vec<RunRecord>, Vec<PointKey>)> {
    let path = Path::new(text);
    let baseline = match BaselineName::or_latest(text) {
        Ok(name) => Baselines::here().find(&name).map_err(anyhow::Error::from),
        Err(_) if path.components().count() > 1 && !path.exists() => {
            Err(anyhow::anyhow!("there is no file {text}"))
        }
        Err(error) => Err(error.into()),
    };
    match baseline {
        Ok(baseline) => Ok((baseline.records()?, baseline.missing)),
        Err(_) if text.ends_with(".json") => Ok((vec![record(path)?], Vec::new())),
        Err(_) if path.is_file() => Ok((Unpacked::read(path)?.records, Vec::new())),
        Err(error) => Err(error),
    }
}

/// Reads a record of a whole load.
fn record(path: &Path) -> anyhow::Result<RunRecord> {
    let record = RunRecord::read(path)?;
    anyhow::ensure!(
        record.part.is_none(),
        "{} is one rank's part of a load; give the record of the whole load, in the same directory",
        path.display()
    );
    Ok(record)
}
