//! What a load sends to: the endpoints as they are balanced, with a prompt each, between safety checks.

use std::sync::atomic::{AtomicU32, Ordering};

use url::Url;

use super::feed::{Feed, Item, Ready};
use crate::client::{
    Block, BlockStage, Client, Clock, Completion, Failure, FailureCause, Outcome, Prepared,
    RequestRecord,
};
use crate::endpoint::Balance;
use crate::load::Target;
use crate::safety::{self, SafetyCheck};

/// `RequestRecord::endpoint` of a request that reached none.
const NO_ENDPOINT: usize = usize::MAX;

/// The endpoints of a run as one target of a load.
pub(super) struct Serving {
    pub client: Client,
    pub feed: Feed,
    pub urls: Vec<Url>,
    pub balance: Balance,
    pub safety: Option<SafetyCheck>,
    pub keep_texts: KeepTexts,
    /// Begin of the requests' ids, where they get one.
    pub request_id_prefix: Option<String>,
}

/// Which generated texts are kept for counting tokens after the request.
pub(super) enum KeepTexts {
    /// All: they are checked.
    All,
    /// The first few of a point, to compare the server's count with the tokenizer's.
    First(AtomicU32),
}

impl KeepTexts {
    fn next(&self) -> bool {
        match self {
            KeepTexts::All => true,
            KeepTexts::First(left) => left
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
                .is_ok(),
        }
    }
}

impl Target for Serving {
    async fn request(&self, events: &AtomicU32) -> RequestRecord {
        let Some(Item { index, ready }) = self.feed.next().await else {
            return self.unsent(0, "the thread that makes prompts has died".into());
        };
        let ready = match ready {
            Ok(ready) => ready,
            Err(message) => return self.unsent(index, message),
        };
        match &self.safety {
            None => self.exchange(index, ready, events).await,
            Some(check) => self.checked(index, ready, events, check).await,
        }
    }
}

impl Serving {
    fn clock(&self) -> Clock {
        self.client.clock()
    }

    /// Sends one request to the endpoint that the balancing policy names.
    async fn exchange(&self, index: u64, ready: Ready, events: &AtomicU32) -> RequestRecord {
        let turn = self.balance.pick();
        let endpoint = turn.endpoint();
        let prepared = Prepared {
            url: self.urls[endpoint].clone(),
            body: ready.body,
            prompt_tokens: ready.tokens,
            keep_text: self.keep_texts.next(),
            request_id: self
                .request_id_prefix
                .as_ref()
                .map(|prefix| format!("{prefix}{index:x}")),
        };
        let exchange = self.client.send(prepared, events).await;
        match exchange.result {
            Ok(_) => drop(turn),
            Err(_) => turn.fail(),
        }
        RequestRecord {
            index,
            endpoint,
            intended_ns: exchange.sent_ns,
            start_ns: exchange.sent_ns,
            sent_ns: exchange.sent_ns,
            // A response is over with its last byte; noticing that takes a little longer.
            end_ns: match &exchange.result {
                Ok(completion) => completion.last_byte_ns,
                Err(_) => exchange.ended_ns,
            },
            safety_ns: 0,
            outcome: exchange
                .result
                .map_or_else(Outcome::Failed, Outcome::Completed),
        }
    }

    /// Sends one request with a safety check before and after it.
    async fn checked(
        &self,
        index: u64,
        ready: Ready,
        events: &AtomicU32,
        check: &SafetyCheck,
    ) -> RequestRecord {
        let start_ns = self.clock().now_ns();
        let before = check.check(&ready.text, 2 * index).await;
        let checked_ns = self.clock().now_ns();
        if let Some(outcome) = refusal(before, BlockStage::Prompt) {
            return RequestRecord {
                index,
                endpoint: NO_ENDPOINT,
                intended_ns: start_ns,
                start_ns,
                sent_ns: checked_ns,
                end_ns: checked_ns,
                safety_ns: checked_ns - start_ns,
                outcome,
            };
        }
        let mut record = self.exchange(index, ready, events).await;
        record.start_ns = start_ns;
        record.safety_ns = checked_ns - start_ns;
        if let Outcome::Completed(Completion { text, .. }) = &record.outcome {
            let answered_ns = self.clock().now_ns();
            let text = text.as_deref().unwrap_or_default();
            let after = check.check(text, 2 * index + 1).await;
            record.end_ns = self.clock().now_ns();
            record.safety_ns += record.end_ns - answered_ns;
            if let Some(outcome) = refusal(after, BlockStage::Answer) {
                record.outcome = outcome;
            }
        }
        record
    }

    /// A request that failed before it was sent.
    fn unsent(&self, index: u64, message: String) -> RequestRecord {
        let now_ns = self.clock().now_ns();
        RequestRecord {
            index,
            endpoint: NO_ENDPOINT,
            intended_ns: now_ns,
            start_ns: now_ns,
            sent_ns: now_ns,
            end_ns: now_ns,
            safety_ns: 0,
            outcome: Outcome::Failed(Failure {
                cause: FailureCause::Prompt,
                message,
            }),
        }
    }
}

/// How a request ends that the check did not let pass; `None` if it did.
fn refusal(
    result: Result<safety::Outcome, safety::SafetyError>,
    stage: BlockStage,
) -> Option<Outcome> {
    match result {
        Ok(safety::Outcome::Allowed) => None,
        Ok(safety::Outcome::Blocked { category, severity }) => Some(Outcome::Blocked(Block {
            stage,
            category,
            severity,
        })),
        Err(error) => Some(Outcome::Failed(Failure {
            cause: FailureCause::SafetyCheck,
            message: error.to_string(),
        })),
    }
}
