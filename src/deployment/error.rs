use std::io;

use crate::endpoint::EndpointError;

/// A deployment that could not be started, or did not live until it was ready.
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
        /// What limits them.
        variable: &'static str,
        /// How many there are.
        visible: usize,
    },
    /// The system has no port to give.
    #[error("no free port could be had: {0}")]
    Port(io::Error),
    /// The log cannot be written.
    #[error("{path}: {source}; servers' logs are written there")]
    Log {
        /// Path of the log.
        path: String,
        /// What the system says.
        source: io::Error,
    },
    /// The program cannot be run.
    #[error("deployment {deployment}: cannot run {program:?}: {source}. {mend}")]
    Spawn {
        /// The deployment.
        deployment: String,
        /// The command's first word.
        program: String,
        /// What the system says.
        source: io::Error,
        /// What to do.
        mend: &'static str,
    },
    /// No handler for Ctrl-C: servers could be left behind.
    #[error("cannot listen for signals: {0}")]
    Signals(io::Error),
    /// The harness has been told to end.
    #[error("interrupted")]
    Interrupted,
    /// A server ended that should serve.
    #[error("{server} ended with {status}; the end of its log {log}:\n{tail}")]
    Died {
        /// Deployment and replica.
        server: String,
        /// How it ended.
        status: String,
        /// Path of its log.
        log: String,
        /// The log's last lines.
        tail: String,
    },
    /// The servers run, but are not ready or not what is wanted.
    #[error("deployment {deployment}: {error}\n{logs}")]
    NotReady {
        /// The deployment.
        deployment: String,
        /// What is missing.
        error: Box<EndpointError>,
        /// The ends of their logs.
        logs: String,
    },
}
