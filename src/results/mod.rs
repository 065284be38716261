//! Run records on disk, one JSON document per benchmark point and run, and baselines.

pub mod baseline;
mod capacity_record;
mod deployment;
mod file_name;
mod last_run;
mod lock;
mod point;
mod rank_part;
mod record;
mod result_key;
mod setup;
mod store;
mod whole_file;

pub use baseline::{BaselineName, Baselines};
pub use capacity_record::CapacityRecord;
#[cfg(test)]
pub(crate) use capacity_record::capacity_record_tests;
pub use deployment::DeploymentRecord;
pub(crate) use file_name::file_name;
pub use last_run::{LastRun, PlannedPoint};
pub use lock::LockError;
pub(crate) use lock::{Purpose, ResultsLock};
pub(crate) use point::CriterionGroup;
pub use point::PointKey;
pub use rank_part::RankPart;
pub use record::{RecordError, RunRecord, SCHEMA_VERSION, WindowRecord};
pub use result_key::{CapacityKey, ResultKey};
pub use setup::Setup;
pub use store::{
    check_writable, check_writable_directory, criterion_directory, directory, write_atomically,
};
pub(crate) use store::{write_atomically_unsynced, write_in_pieces};
pub(crate) use whole_file::WholeFile;
