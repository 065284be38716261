//! Servers that the harness itself starts and always stops.
//!
//! Each replica of a [`Deployment`](crate::config::Deployment) with a command is one process in a process
//! group of its own, with a port and GPUs that no other has, and a log file. It is stopped (SIGTERM to the
//! group, SIGKILL after a grace time) when its [`Running`] is dropped, be it on success, on failure or
//! while a panic unwinds, and when the harness itself gets SIGINT, SIGTERM or SIGHUP. Where the harness is
//! killed outright (SIGKILL), Linux ends the process that was started; what that has started in turn must
//! end by itself.
//!
//! [`layouts`] are deployments that need no process: embedded engines.

mod error;
mod gpus;
mod group;
pub mod layouts;
mod log;
mod ports;
mod process;
mod running;
mod supervisor;

pub use error::DeploymentError;
pub use running::Running;
