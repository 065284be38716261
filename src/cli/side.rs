//! A side of a comparison as given on the command line: names and files, separated by commas.

use std::path::Path;

use crate::results::baseline::Unpacked;
use crate::results::{BaselineName, Baselines, CapacityRecord, PointKey, RunRecord};
use crate::verdict::RunSet;

/// The forms of a side, for the help of commands.
pub const SIDES: &str = "\
A side is
  NAME               a baseline (servemark baseline list), or new: the last run of each bench. A point that this run
                     did not measure is missing, even if an older run has measured it
  NAME1,NAME2,NAME3  several runs of one version, which narrow the intervals
  FILE               a file of servemark baseline export, or the record of a point (…/c=8/new.json) or of a capacity
                     (…/capacity/new.json)";

/// Reads a side. Its name is the text given on the command line.
pub fn read(text: &str) -> anyhow::Result<RunSet> {
    Ok(read_with_missing(text)?.0)
}

/// Reads a side, and the points that its last run did not measure.
pub fn read_with_missing(text: &str) -> anyhow::Result<(RunSet, Vec<PointKey>)> {
    let mut all = Part::default();
    let names = match Path::new(text).is_file() {
        true => vec![text],
        false => text.split(',').map(str::trim).collect(),
    };
    for name in names {
        let part = part(name)?;
        all.records.extend(part.records);
        all.capacities.extend(part.capacities);
        all.missing.extend(part.missing);
    }
    let side = RunSet::new(text, all.records).with_capacities(all.capacities);
    Ok((side, all.missing))
}

/// What one name or file of a side has.
#[derive(Default)]
struct Part {
    records: Vec<RunRecord>,
    capacities: Vec<CapacityRecord>,
    missing: Vec<PointKey>,
}

fn part(text: &str) -> anyhow::Result<Part> {
    let path = Path::new(text);
    let baseline = match BaselineName::or_latest(text) {
        Ok(name) => Baselines::here().find(&name).map_err(anyhow::Error::from),
        Err(_) if path.components().count() > 1 && !path.exists() => {
            Err(anyhow::anyhow!("there is no file {text}"))
        }
        Err(error) => Err(error.into()),
    };
    match baseline {
        Ok(baseline) => Ok(Part {
            records: baseline.records()?,
            capacities: baseline.capacities()?,
            missing: baseline.missing,
        }),
        Err(_) if text.ends_with(".json") => record(path),
        Err(_) if path.is_file() => {
            let unpacked = Unpacked::read(path)?;
            Ok(Part {
                records: unpacked.records,
                capacities: unpacked.capacities,
                missing: Vec::new(),
            })
        }
        Err(error) => Err(error),
    }
}

/// Reads the record of a whole load, or of a capacity.
fn record(path: &Path) -> anyhow::Result<Part> {
    let record = match RunRecord::read(path) {
        Ok(record) => record,
        Err(error) => {
            let capacity = CapacityRecord::read(path).map_err(|_| error)?;
            return Ok(Part {
                capacities: vec![capacity],
                ..Part::default()
            });
        }
    };
    anyhow::ensure!(
        record.part.is_none(),
        "{} is one rank's part of a load; give the record of the whole load, in the same directory",
        path.display()
    );
    Ok(Part {
        records: vec![record],
        ..Part::default()
    })
}
