//! The last word on an endpoint: one small request, sent and judged as the load's are.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::Duration;

use crate::client::{
    self, Client, Clock, Connections, Exchange, FailureCause, PayloadTemplate, Prepared,
};
use crate::config::{EndpointUrl, FixedOutput, Settings};
use crate::dialect::Dialect;

/// Tokens asked for.
const TOKENS: NonZeroU32 = NonZeroU32::new(8).unwrap();

/// What is asked.
pub(crate) const QUESTION: &str =
    "Why is the sky blue at noon, and red at sunset? Answer in 3 sentences.";

/// Sends a request as the load does, of few tokens, before any load: what it is answered says whether the
/// load would be. No figure counts it.
#[derive(Debug)]
pub struct TrialRequest {
    connections: Connections,
    config: Settings,
    dialect: &'static dyn Dialect,
    clock: Clock,
}

impl TrialRequest {
    /// Requests over `connections` with the fields of the load's.
    pub fn new(
        connections: Connections,
        config: &Settings,
        dialect: &'static dyn Dialect,
    ) -> TrialRequest {
        TrialRequest {
            connections,
            config: config.clone(),
            dialect,
            clock: Clock::start(),
        }
    }

    /// Asks `url` for `model` and waits at most `limit`.
    ///
    /// # Errors
    /// Why a request of the load would fail.
    pub async fn send(
        &self,
        url: &EndpointUrl,
        model: &str,
        limit: Duration,
    ) -> Result<(), client::Failure> {
        match self.exchange(url, model, limit).await.result {
            // Only this question's answer was kept back.
            Err(failure) if failure.cause == FailureCause::Filtered => Ok(()),
            result => result.map(drop),
        }
    }

    /// [`TrialRequest::send`] with the whole of what came of it.
    pub(crate) async fn exchange(
        &self,
        url: &EndpointUrl,
        model: &str,
        limit: Duration,
    ) -> Exchange {
        let all = self.config.max_new_tokens;
        let exchange = self.ask(url, model, all.min(TOKENS), limit).await;
        match &exchange.result {
            // The load asks for more: too few tokens may be refused, or all go into unseen reasoning.
            Err(failure) if all > TOKENS && may_want_tokens(failure.cause) => {
                self.ask(url, model, all, limit).await
            }
            _ => exchange,
        }
    }

    async fn ask(
        &self,
        url: &EndpointUrl,
        model: &str,
        tokens: NonZeroU32,
        limit: Duration,
    ) -> Exchange {
        let config = Settings {
            max_new_tokens: tokens,
            request_timeout: self.config.request_timeout.min(limit),
            ..self.config.clone()
        };
        let fixed = config.fixed_output == FixedOutput::On;
        let template = PayloadTemplate::new(&config, self.dialect, model, fixed);
        let prepared = Prepared {
            url: url.api(self.dialect),
            body: template.body(QUESTION, None),
            prompt_tokens: 0,
            output_tokens: None,
            keep_text: false,
            request_id: None,
        };
        let client = Client::new(self.connections.clone(), &config, self.dialect, self.clock);
        let mut exchange = client
            .send(prepared, &AtomicU32::new(0), &AtomicU64::new(0))
            .await;
        if let Err(failure) = &mut exchange.result
            && failure.cause == FailureCause::Timeout
        {
            failure.message = format!(
                "no end of the answer within {:.1} s",
                config.request_timeout.as_secs_f64()
            );
        }
        exchange
    }
}

/// Whether a request may have failed only because it asked for few tokens.
fn may_want_tokens(cause: FailureCause) -> bool {
    matches!(
        cause,
        FailureCause::Http(400 | 422) | FailureCause::EmptyAnswer
    )
}
