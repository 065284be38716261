//! When requests start, and what a window is. Knows nothing of HTTP.
//!
//! A load drives a [`Target`] at the [`Pace`] of its level, and its owner takes one [`Window`] after another.
//! A window is consecutive *rounds*: of C completed requests in a closed loop of C, of equal times in an open loop.

mod arrivals;
mod gauge;
mod open;
mod paced_load;
mod pacing;
mod sampling;
mod self_check;
mod slots;
mod steady;
mod tally;
mod target;
mod threads;
mod timed_rounds;
mod wave;
mod window;

pub use arrivals::Arrivals;
pub use gauge::{Gauge, Reading};
#[cfg(feature = "engine")]
pub(crate) use open::not_sent;
pub use paced_load::{Load, Pace};
pub use sampling::{Rounds, Sampling};
pub use self_check::{
    Lag, MOST_BUSY_SHARE, MOST_LOOP_LAG_MS, MOST_SEND_LAG_MS, MOST_STARVED_SHARE, SelfCheck, Watch,
    Watched,
};
pub use target::Target;
#[cfg(feature = "engine")]
pub(crate) use timed_rounds::TimedRounds;
pub use window::Window;
#[cfg(test)]
pub(crate) use window::tests as window_tests;
pub(crate) use window::{Boundary, Finished};
