use std::io;

use crate::endpoint::EndpointError;

/// A deployment that could not be started, or ended before it was ready.
#[derive(Debug, thiserror::Error)]
pub enum DeploymentError {
    /// Fewer GPUs than it needs.
    #[error(
        "deployment {deployment} needs {needed} GPUs, but {variable} shows {visible}: give it fewer replicas or GPUs, make more GPUs visible, or set CUDA_VISIBLE_DEVICES in its env to share them on purpose"
    )]
    TooFewGpus {
        /// The deployment.
        deployment: String,
        /// GPUs of all its replicas.
        needed: usize,
        /// The setting that limits them.
        variable: &'static str,
        /// How many are visible.
        visible: usize,
    },
    /// The system has no free port.
    #[error("no free port is available: {0}")]
    Port(io::Error),
    /// The log cannot be written.
    #[error("{path}: {source}; servers' logs are written there")]
    Log {
        /// Path of the log.
        path: String,
        /// The error of the system.
        source: io::Error,
    },
    /// The program cannot be run.
    #[error("deployment {deployment}: cannot run {program:?}: {source}. {hint}")]
    Spawn {
        /// The deployment.
        deployment: String,
        /// The command's first word.
        program: String,
        /// The error of the system.
        source: io::Error,
        /// How to fix it.
        hint: &'static str,
    },
    /// Signals cannot be handled, so servers could be left running.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    /// A signal ended the harness.
    #[error("interrupted")]
    Interrupted,
    /// A server ended while it was needed.
    #[error("{server} ended with {status}; the end of its log {log}:\n{tail}")]
    Died {
        /// Deployment and replica.
        server: String,
        /// Its exit status.
        status: String,
        /// Path of its log.
        log: String,
        /// The log's last lines.
        tail: String,
    },
    /// The servers run, but are not ready or serve something else.
    #[error("deployment {deployment}: {error}\n{logs}")]
    NotReady {
        /// The deployment.
        deployment: String,
        /// Why they are not ready.
        error: Box<EndpointError>,
        /// The last lines of their logs.
        logs: String,
    },
}
