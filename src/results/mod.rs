//! Run records on disk: one JSON document per benchmark point and run.

mod columns;
mod record;
mod store;

pub use columns::RequestColumns;
pub use record::{RecordError, RunRecord, SCHEMA_VERSION, WindowRecord};
pub use store::{criterion_directory, directory, write_atomically};
