//! Run records on disk: one JSON document per benchmark point and run, and the baselines made of them.

pub mod baseline;
mod columns;
mod deployment;
mod point;
mod rank_part;
mod record;
mod store;

pub use baseline::{BaselineName, Baselines};
pub use columns::RequestColumns;
pub use deployment::DeploymentRecord;
pub use point::PointKey;
pub(crate) use point::criterion_file_name;
pub use rank_part::RankPart;
pub use record::{RecordError, RunRecord, SCHEMA_VERSION, WindowRecord};
pub(crate) use store::WholeFile;
pub use store::{
    check_writable, check_writable_directory, criterion_directory, directory, write_atomically,
};
