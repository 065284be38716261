//! Run records on disk: one JSON document per benchmark point and run, and the baselines made of them.

pub mod baseline;
mod columns;
mod deployment;
mod file_name;
mod last_run;
mod point;
mod rank_part;
mod record;
mod store;

pub use baseline::{BaselineName, Baselines};
pub use columns::RequestColumns;
pub use deployment::DeploymentRecord;
pub(crate) use file_name::file_name;
pub use last_run::{LastRun, PlannedPoint};
pub(crate) use point::CriterionGroup;
pub use point::PointKey;
pub use rank_part::RankPart;
pub use record::{RecordError, RunRecord, SCHEMA_VERSION, WindowRecord};
pub(crate) use store::WholeFile;
pub use store::{
    check_writable, check_writable_directory, criterion_directory, directory, write_atomically,
};
