//! Observes the client process and the servers while a load is measured.

use super::super::outcome::ServerStats;
use crate::fixture::{self, Fixture, LOAD_THREADS, Sampler, Scrape};
use crate::load::{Watch, Watched};

/// Watches this process, and reads the servers' `/metrics`, from start to end.
pub struct LoadObservation {
    watch: Watch,
    servers: Option<(Vec<Scrape>, Sampler)>,
}

/// The result of an [`LoadObservation`].
pub struct LoadObservationResult {
    pub client: Watched,
    pub servers: ServerStats,
}

impl LoadObservation {
    /// Starts watching; of several ranks only one reads the servers' metrics.
    pub fn begin(fixture: &Fixture, reads_servers: bool) -> LoadObservation {
        let servers = reads_servers.then(|| {
            let before = fixture.scrape();
            let sampler = fixture.sample(&before);
            (before, sampler)
        });
        LoadObservation {
            watch: Watch::start(fixture.runtime.handle(), LOAD_THREADS),
            servers,
        }
    }

    /// Ends it. `end_load` ends the load, if it still runs, after the client and before the servers are last
    /// looked at.
    pub fn end(self, fixture: &Fixture, end_load: impl FnOnce()) -> LoadObservationResult {
        let client = self.watch.stop();
        end_load();
        let servers = self.servers.map(|(before, sampler)| ServerStats {
            timeline: sampler.stop(),
            intervals: fixture::intervals(&[before, fixture.scrape()]),
        });
        LoadObservationResult {
            client,
            servers: servers.unwrap_or_default(),
        }
    }
}
