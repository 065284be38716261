//! When requests start, and what a window is. Knows nothing of HTTP.
//!
//! A load drives a [`Target`] with the [`Pacing`] of its level, and its owner takes one [`Window`] after another.
//! A window is consecutive *rounds*: of C completed requests in a closed loop of C, of equal times in an open loop.

mod arrivals;
mod gauge;
mod load_shape;
mod load_shapes;
mod open;
mod paced_load;
mod pacing;
mod sampling;
mod self_check;
mod sender;
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
pub(crate) use load_shape::Constructor;
pub use load_shape::LoadShape;
pub use load_shapes::LOAD_SHAPES;
pub use open::OPEN;
pub use paced_load::Load;
pub use pacing::Pacing;
#[cfg(feature = "engine")]
pub(crate) use pacing::{Runner, Starts, Windows};
pub use sampling::{Rounds, Sampling};
pub use self_check::{
    Lag, MOST_BUSY_SHARE, MOST_LOOP_LAG_MS, MOST_SEND_LAG_MS, MOST_STARVED_SHARE, SelfCheck, Watch,
    Watched,
};
#[cfg(feature = "engine")]
pub(crate) use sender::not_sent;
pub use steady::{STEADY, steady};
pub use target::Target;
pub use wave::WAVE;
pub use window::Window;
#[cfg(test)]
pub(crate) use window::tests as window_tests;
pub(crate) use window::{Boundary, Finished};
