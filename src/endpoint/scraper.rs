use std::sync::atomic::{AtomicU32, Ordering};

use super::{EndpointFailure, Endpoints, FailureKind, Http, ServerMetrics};
use crate::config::EndpointUrl;

/// Reads the endpoints' `/metrics` while a run goes on, and leaves alone those that do not give it: no run waits
/// for a page that will not come.
#[derive(Debug)]
pub struct Scraper {
    http: Http,
    pages: Vec<MetricsPage>,
}

#[derive(Debug)]
struct MetricsPage {
    url: EndpointUrl,
    /// Readings that failed in a row.
    misses: AtomicU32,
}

/// A page that has failed so often in a row is not asked for again.
const MOST_MISSES: u32 = 3;

impl Scraper {
    /// Those that had a page before the load are asked during it.
    pub fn new(http: Http, endpoints: &Endpoints) -> Scraper {
        let pages = endpoints.iter().map(|endpoint| {
            let had_none = endpoint
                .unavailable_pages
                .iter()
                .any(|(page, _)| *page == "/metrics");
            MetricsPage {
                url: endpoint.url.clone(),
                misses: AtomicU32::new(if had_none { MOST_MISSES } else { 0 }),
            }
        });
        Scraper {
            http,
            pages: pages.collect(),
        }
    }

    /// How many endpoints there are.
    pub fn count(&self) -> usize {
        self.pages.len()
    }

    /// Whether the endpoint's page is still asked for.
    pub fn asks(&self, endpoint: usize) -> bool {
        self.pages[endpoint].misses.load(Ordering::Relaxed) < MOST_MISSES
    }

    /// Reads the page of an endpoint; `None` where it does not give one. Says so on stderr once, when it is given
    /// up.
    pub async fn read(&self, endpoint: usize) -> Option<ServerMetrics> {
        if !self.asks(endpoint) {
            return None;
        }
        let page = &self.pages[endpoint];
        let failure = match ServerMetrics::scrape(&self.http, &page.url).await {
            Ok(metrics) => {
                page.misses.store(0, Ordering::Relaxed);
                return Some(metrics);
            }
            Err(failure) => failure,
        };
        let more = if is_final(&failure) { MOST_MISSES } else { 1 };
        let before = page.misses.fetch_add(more, Ordering::Relaxed);
        if before < MOST_MISSES && before + more >= MOST_MISSES {
            eprintln!(
                "note      {}: its /metrics is not read any more: {}",
                page.url, failure.what
            );
        }
        None
    }
}

/// Whether a page is not there for us, rather than late.
fn is_final(failure: &EndpointFailure) -> bool {
    matches!(
        failure.kind,
        FailureKind::Status(300..=499) | FailureKind::Status(501)
    ) && failure.kind != FailureKind::Status(429)
}
