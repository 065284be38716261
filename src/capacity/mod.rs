//! How much load a deployment holds: the largest concurrency or request rate at which it meets its objectives.
//!
//! An objective such as *TTFT P95 ≤ 500 ms* says that at most 5 % of the requests may take longer. So each trial of a
//! level counts its requests and those that missed the objective; a percentile is judged by these counts alone (its
//! order statistics), without an assumption about the latencies. `objective.rs` counts, `trial.rs` judges one level,
//! `fit.rs` finds where a monotone fit of all levels crosses the allowed share, `search.rs` says which level to try next, and
//! `answer.rs` is what it found.

mod answer;
mod fit;
mod objective;
mod scale;
mod search;
mod trial;
mod trial_record;

pub use answer::{Capacity, UnknownCapacity};
pub use objective::{Objective, objectives};
pub use scale::Scale;
pub use search::{Next, Search};
pub use trial::{Count, Judgement, Trial};
pub use trial_record::TrialRecord;
