//! Equal requests to one server, each with an id of its own.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use bytes::Bytes;
use servemark::internals::client::{Client, Outcome, Prepared, RequestRecord};
use servemark::internals::load::Target;
use url::Url;

pub struct Requests {
    client: Client,
    url: Url,
    body: Bytes,
    next: AtomicU64,
}

impl Requests {
    pub fn new(client: Client, url: Url, body: Bytes) -> Requests {
        Requests {
            client,
            url,
            body,
            next: AtomicU64::new(0),
        }
    }
}

impl Target for Requests {
    async fn request(&self, events: &AtomicU32) -> RequestRecord {
        let index = self.next.fetch_add(1, Ordering::Relaxed);
        let prepared = Prepared {
            url: self.url.clone(),
            body: self.body.clone(),
            prompt_tokens: 1,
            output_tokens: None,
            keep_text: false,
            request_id: Some(request_id(index)),
        };
        let heard_ns = AtomicU64::new(0);
        let exchange = self.client.send(prepared, events, &heard_ns).await;
        RequestRecord {
            index,
            endpoint: 0,
            intended_ns: exchange.sent_ns,
            is_scheduled: false,
            start_ns: exchange.sent_ns,
            sent_ns: exchange.sent_ns,
            end_ns: exchange.ended_ns,
            safety_ns: 0,
            outcome: exchange
                .result
                .map_or_else(Outcome::Failed, Outcome::Completed),
        }
    }
}

/// The `X-Request-Id` of the request with this index.
pub fn request_id(index: u64) -> String {
    format!("overhead-{index}")
}
