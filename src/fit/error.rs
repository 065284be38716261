use crate::engine::EngineError;

/// No preset could be fitted.
#[derive(Debug, thiserror::Error)]
pub enum FitError {
    /// Too few records for the number of parameters.
    #[error(
        "{given} record(s) are too few to fit seven parameters: give at least {LEAST_RECORDS}, of several concurrencies and at least two prompt lengths"
    )]
    TooFew {
        /// Number of records.
        given: usize,
    },
    /// The initial preset cannot run a record's load.
    #[error("{load}: {source}")]
    Unfit {
        /// The record's load.
        load: String,
        /// The error.
        source: EngineError,
    },
    /// The search failed.
    #[error("the search for parameters failed: {0}")]
    Search(String),
}

/// Seven parameters need four records of two figures each.
pub(super) const LEAST_RECORDS: usize = 4;
