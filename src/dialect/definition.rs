use std::fmt::Debug;

use serde_json::{Map, Value};

use super::delta::Delta;
use super::openai_json;

/// An API under load: where its requests go, what they hold, and what its answers mean.
pub trait Dialect: Debug + Send + Sync {
    /// The name in run records.
    fn id(&self) -> &'static str;

    /// The path of its requests behind the API root `/v1`: `/completions`.
    fn path(&self) -> &'static str;

    /// Whether the server wraps the prompt into a chat template, which adds tokens.
    fn has_chat_template(&self) -> bool;

    /// Adds the prompt to the fields of a request body.
    fn set_prompt(&self, body: &mut Map<String, Value>, prompt: &str);

    /// Reads the data of one stream event, or one whole response.
    ///
    /// # Errors
    /// The JSON error, where the bytes are not JSON even if read leniently.
    fn decode<'a>(&self, data: &'a [u8]) -> Result<Delta<'a>, serde_json::Error> {
        openai_json::parse(data)
    }

    /// Whether the data of a stream event is the stream's end mark.
    fn is_end(&self, data: &[u8]) -> bool {
        data.trim_ascii() == b"[DONE]"
    }
}
