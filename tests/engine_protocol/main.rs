//! The embedded engine over a real socket: protocol, usage, errors, truth, faults.

mod captured;
mod choices;
mod client;
mod errors;
mod faults;
mod lifecycle;
mod responses;
mod truth;
