//! One request of the load on the wire: sent, read, timed, and judged.

mod bounds;
mod clock;
mod connections;
mod exchange;
mod expected_answer;
mod failure;
mod finish;
#[cfg(feature = "engine")]
pub(crate) mod fuzzing;
mod http1;
mod http_client;
mod payload;
mod plain_event;
mod prepared;
mod record;
mod refusal;
mod response;
mod sse;
mod timestamps;
#[cfg(test)]
mod truth_tests;
mod whole_body;

pub use clock::Clock;
pub use connections::Connections;
pub use exchange::{Client, Exchange};
pub use expected_answer::ExpectedAnswer;
pub use failure::{Failure, FailureCause};
pub(crate) use http_client::innermost;
pub use http_client::{HttpClientError, http_client};
pub use payload::PayloadTemplate;
pub use prepared::{Prepared, REQUEST_ID};
pub use record::{
    Block, BlockStage, CompletedRequest, Completion, Outcome, RequestRecord, TokenSource,
};
pub use sse::{EventName, SseDecoder, SseError};
pub use timestamps::Timestamps;
pub(crate) use whole_body::{BodyError, whole_body};
