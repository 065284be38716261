use std::time::Duration;

use crate::config::EndpointUrl;
use crate::endpoint::error::EndpointError;
use crate::endpoint::failure::EndpointFailure;

/// The progress of waiting.
#[derive(Clone, Debug)]
pub struct ReadyState {
    /// Every endpoint, in the order of the list.
    pub endpoints: Vec<(EndpointUrl, Readiness)>,
    /// Time since the start.
    pub elapsed: Duration,
    /// The timeout.
    pub limit: Duration,
}

/// Whether an endpoint is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Not ready yet.
    Waiting {
        /// Number of failed attempts.
        attempts: u32,
        /// The last failure.
        last: Option<EndpointFailure>,
    },
    /// Ready.
    Ready,
}

impl ReadyState {
    pub(super) fn new(urls: &[EndpointUrl], limit: Duration) -> ReadyState {
        let waiting = Readiness::Waiting {
            attempts: 0,
            last: None,
        };
        ReadyState {
            endpoints: urls
                .iter()
                .map(|url| (url.clone(), waiting.clone()))
                .collect(),
            elapsed: Duration::ZERO,
            limit,
        }
    }

    /// How many endpoints are ready.
    pub fn ready(&self) -> usize {
        let ready = |(_, state): &&(EndpointUrl, Readiness)| *state == Readiness::Ready;
        self.endpoints.iter().filter(ready).count()
    }

    /// Records an attempt's outcome and returns how many failed before it.
    pub(super) fn record(&mut self, position: usize, failure: Option<EndpointFailure>) -> u32 {
        let state = &mut self.endpoints[position].1;
        let before = match state {
            Readiness::Waiting { attempts, .. } => *attempts,
            Readiness::Ready => 0,
        };
        *state = match failure {
            None => Readiness::Ready,
            last => Readiness::Waiting {
                attempts: before.saturating_add(1),
                last,
            },
        };
        before
    }

    pub(super) fn into_error(self) -> EndpointError {
        let limit = self.limit;
        let lagging = self
            .endpoints
            .into_iter()
            .filter_map(|(url, state)| match state {
                Readiness::Ready => None,
                Readiness::Waiting { last, .. } => Some((
                    url.to_string(),
                    last.unwrap_or_else(|| EndpointFailure::timed_out(limit)),
                )),
            });
        EndpointError::NotReady {
            waited: self.elapsed,
            endpoints: lagging.collect(),
        }
    }
}
