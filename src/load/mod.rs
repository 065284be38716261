//! When requests start, and what a window is. Knows nothing of HTTP.
//!
//! A load drives a [`Target`] at a fixed concurrency *C*, and its owner takes one [`Window`] after another.
//! A *round* is C completed requests; a window is consecutive rounds.

mod gauge;
mod paced_load;
mod pacing;
mod sampling;
mod self_check;
mod slots;
mod steady;
mod tally;
mod target;
mod threads;
mod wave;
mod window;

pub use gauge::{Gauge, Reading};
pub use paced_load::Load;
pub use sampling::{Rounds, Sampling};
pub use self_check::{
    Lag, MOST_BUSY_SHARE, MOST_LOOP_LAG_MS, MOST_SEND_LAG_MS, MOST_STARVED_SHARE, SelfCheck, Watch,
    Watched,
};
pub use target::Target;
pub use window::Window;
#[cfg(test)]
pub(crate) use window::tests as window_tests;
pub(crate) use window::{Boundary, Finished};
