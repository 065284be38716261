//! Run records on disk: one JSON document per benchmark point and run.

mod record;
mod store;

pub use record::{RunRecord, SCHEMA_VERSION};
pub use store::{criterion_directory, directory, write_atomically};
