use std::num::NonZeroU32;

use bytes::Bytes;
use url::Url;

/// Header with the id of a request, for the server and its log.
pub const REQUEST_ID: &str = "x-request-id";

/// One request, ready to send: nothing is left to compute after the clock starts.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The address.
    pub url: Url,
    /// The serialised body.
    pub body: Bytes,
    /// Tokens of the prompt by the harness's tokenizer.
    pub prompt_tokens: u32,
    /// The output tokens that it asks for; `None` for those of all requests.
    pub output_tokens: Option<NonZeroU32>,
    /// Whether the generated text is kept even where the server counts its tokens.
    pub keep_text: bool,
    /// Sent as `X-Request-Id`, which the server's log and the `id` of its response repeat;
    /// must be visible ASCII. No two requests in flight may share one.
    pub request_id: Option<String>,
}
