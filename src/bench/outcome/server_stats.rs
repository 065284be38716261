use std::ops::Range;

use crate::endpoint::{MetricsInterval, ServerSample};

/// Statistics that each endpoint reported during a run of a point's load.
#[derive(Clone, Default)]
pub struct ServerStats {
    /// Their counters over the run.
    pub intervals: Vec<Option<MetricsInterval>>,
    /// How busy they were, sample by sample.
    pub timeline: Vec<Vec<ServerSample>>,
}

impl ServerStats {
    /// Returns the statistics of the endpoints at these positions of the list.
    pub fn of(&self, place: Range<usize>) -> ServerStats {
        let timeline = self.timeline.get(place.clone()).unwrap_or_default();
        ServerStats {
            intervals: self.intervals.get(place).unwrap_or_default().to_vec(),
            timeline: timeline.to_vec(),
        }
    }
}
