//! Drives a point's load: one file for each way of doing it.

mod budget;
pub mod direct;
pub mod distributed;
mod distributed_part;
mod first_answer;
pub mod in_turns;
mod interruptible_load;
mod load_result;
mod missing_tokens;
mod observation;
mod precision;

pub use budget::Spent;
pub use interruptible_load::InterruptibleLoad;
pub use load_result::LoadResult;
pub use missing_tokens::count_missing_tokens;
pub use observation::{LoadObservation, LoadObservationResult};
pub use precision::PrecisionReached;
