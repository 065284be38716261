//! Servers that the harness itself starts and stops.
//!
//! Each replica of a [`Deployment`](crate::config::Deployment) with a command is one process in a process
//! group of its own, with its own port, GPUs and log file. It is stopped (SIGTERM to the group, SIGKILL after a grace
//! time) when its [`Running`] is dropped, whether on success, on failure or while a panic unwinds, and when the
//! harness itself gets SIGINT, SIGTERM or SIGHUP. If the harness is killed (SIGKILL), Linux ends the started process;
//! processes that this one has started must end by themselves.

mod error;
mod gpus;
mod group;
mod log;
mod ports;
mod process;
mod running;
mod supervisor;

pub use error::DeploymentError;
pub use running::Running;
