//! The simulated engine inside this process: what there is to measure without a server. Built with the feature
//! `engine`; without it there is none, and what would boot it is an error.

#[cfg_attr(not(feature = "engine"), path = "engines/not_built.rs")]
mod engines;
mod error;
mod layouts;

pub use engines::Engines;
pub use error::EmbeddedError;
pub use layouts::{EmbeddedLayout, LAYOUTS};
