use std::io;
use std::path::Path;

use super::name::{BaselineName, NoName};
use crate::results::{LockError, RecordError};

/// A failed operation on baselines.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// There is no baseline of this name.
    #[error("there is no baseline {name} in {directory}; {hint}")]
    Missing {
        /// The name.
        name: BaselineName,
        /// Criterion's directory.
        directory: String,
        /// Which baselines there are, or how to make one.
        hint: String,
    },
    /// The last run did not measure anything.
    #[error("{name} is empty: {why}")]
    Empty {
        /// The name.
        name: BaselineName,
        /// The run, and what to do.
        why: String,
    },
    /// A baseline of this name exists already.
    #[error(
        "baseline {0} already exists: choose another name, or delete it first (save and import: --force)"
    )]
    Exists(BaselineName),
    /// A record of it cannot be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A file of it cannot be read, written or moved.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: String,
        /// The error.
        error: io::Error,
    },
    /// The file is not an exported baseline.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Its servers give no name for it.
    #[error(transparent)]
    NoName(#[from] NoName),
    /// Another process is writing to the directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A process ended while it changed a baseline, and the change cannot be completed.
    #[error(
        "a change of the baselines in {directory} was interrupted, and they cannot be read before it is completed: {error}; run servemark baseline list with write access to it"
    )]
    Unfinished {
        /// Criterion's directory.
        directory: String,
        /// Why it cannot be completed.
        error: Box<BaselineError>,
    },
}

/// The file is not an exported baseline, or cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path} is not a baseline exported by servemark: {problem}")]
pub struct ArchiveError {
    pub(super) path: String,
    pub(super) problem: String,
}

/// Adds the path to an I/O error.
pub(super) fn at<T>(path: &Path, result: io::Result<T>) -> Result<T, BaselineError> {
    result.map_err(|error| BaselineError::File {
        path: path.display().to_string(),
        error,
    })
}
