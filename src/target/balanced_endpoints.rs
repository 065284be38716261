//! The endpoints of a run as the target of a load.

use std::sync::atomic::{AtomicU32, Ordering};

use url::Url;

use super::prompt_queue::{PromptQueue, QueuedPrompt, SerializedPrompt};
use super::unanswered::{TrackedRequest, UnansweredLog};
use crate::client::{
    Block, BlockStage, Client, Clock, Completion, Failure, FailureCause, Outcome, Prepared,
    RequestRecord,
};
use crate::endpoint::Balance;
use crate::load::Target;
use crate::safety::{CheckOutcome, SafetyCheck, SafetyError};

/// `RequestRecord::endpoint` of a request that was not sent.
const NO_ENDPOINT: usize = usize::MAX;

/// Endpoints that take requests by a balancing policy, with safety checks before and after each where wanted.
pub(crate) struct BalancedEndpoints {
    pub client: Client,
    pub prompts: PromptQueue,
    pub urls: Vec<Url>,
    pub balance: Balance,
    pub safety: Option<SafetyCheck>,
    pub keep_texts: KeepTexts,
    /// Prefix of the requests' ids; without one, requests carry no id.
    pub request_id_prefix: Option<String>,
    pub unanswered: UnansweredLog,
}

/// Which generated texts are kept for counting tokens after the request.
pub(crate) enum KeepTexts {
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

impl Target for BalancedEndpoints {
    async fn request(&self, events: &AtomicU32) -> RequestRecord {
        let Some(QueuedPrompt { index, prompt }) = self.prompts.next().await else {
            return self.prompt_failure(0, "the thread that makes prompts has died".into());
        };
        match (prompt, &self.safety) {
            (Err(message), _) => self.prompt_failure(index, message),
            (Ok(prompt), None) => self.send(index, prompt, events).await,
            (Ok(prompt), Some(check)) => self.send_checked(index, prompt, events, check).await,
        }
    }
}

impl BalancedEndpoints {
    fn clock(&self) -> Clock {
        self.client.clock()
    }

    /// Sends one request to the endpoint that the balancing policy picks.
    async fn send(
        &self,
        index: u64,
        prompt: SerializedPrompt,
        events: &AtomicU32,
    ) -> RequestRecord {
        let turn = self.balance.pick();
        let endpoint = turn.endpoint();
        let prefix = self.request_id_prefix.as_ref();
        let prepared = Prepared {
            url: self.urls[endpoint].clone(),
            body: prompt.body,
            prompt_tokens: prompt.tokens,
            output_tokens: prompt.output_tokens,
            keep_text: self.keep_texts.next(),
            request_id: prefix.map(|prefix| format!("{prefix}{index:x}")),
        };
        let in_flight = TrackedRequest::start(&self.unanswered, self.clock(), endpoint);
        let exchange = self
            .client
            .send(prepared, events, &in_flight.heard_ns)
            .await;
        in_flight.end(&exchange.result);
        match exchange.result {
            Ok(_) => drop(turn),
            Err(_) => turn.fail(),
        }
        RequestRecord {
            index,
            endpoint,
            intended_ns: exchange.sent_ns,
            is_scheduled: false,
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

    /// Sends one request, with a safety check of its prompt before and of its answer after it.
    async fn send_checked(
        &self,
        index: u64,
        prompt: SerializedPrompt,
        events: &AtomicU32,
        check: &SafetyCheck,
    ) -> RequestRecord {
        let start_ns = self.clock().now_ns();
        let before = check.check(&prompt.text, 2 * index).await;
        let checked_ns = self.clock().now_ns();
        if let Some(outcome) = refusal(before, BlockStage::Prompt) {
            return unsent(index, start_ns, checked_ns, outcome);
        }
        let mut record = self.send(index, prompt, events).await;
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

    fn prompt_failure(&self, index: u64, message: String) -> RequestRecord {
        let now_ns = self.clock().now_ns();
        let failure = Failure::new(FailureCause::Prompt, message);
        unsent(index, now_ns, now_ns, Outcome::Failed(failure))
    }
}

/// A request that ended before it was sent, after a safety check from `start_ns` to `end_ns`.
fn unsent(index: u64, start_ns: u64, end_ns: u64, outcome: Outcome) -> RequestRecord {
    RequestRecord {
        index,
        endpoint: NO_ENDPOINT,
        intended_ns: start_ns,
        is_scheduled: false,
        start_ns,
        sent_ns: end_ns,
        end_ns,
        safety_ns: end_ns - start_ns,
        outcome,
    }
}

/// The outcome of a request that the safety check did not let pass; `None` if it did.
fn refusal(result: Result<CheckOutcome, SafetyError>, stage: BlockStage) -> Option<Outcome> {
    match result {
        Ok(CheckOutcome::Allowed) => None,
        Ok(CheckOutcome::Blocked { category, severity }) => Some(Outcome::Blocked(Block {
            stage,
            category,
            severity,
        })),
        Err(error) => {
            let failure = Failure::new(FailureCause::SafetyCheck, error);
            Some(Outcome::Failed(failure))
        }
    }
}
