//! Run records on disk: one JSON document per benchmark point and run.

mod columns;
mod rank_part;
mod record;
mod store;

pub use columns::RequestColumns;
pub use rank_part::RankPart;
pub use record::{RecordError, RunRecord, SCHEMA_VERSION, WindowRecord};
pub use store::{criterion_directory, directory, write_atomically};
