//! How a request is written and its answer read: one file for each API.

mod chat_completions;
mod completions;
mod definition;
mod delta;
mod excerpt;
mod json_repair;
mod lenient_json;
mod openai_json;

pub use chat_completions::ChatCompletions;
pub use completions::Completions;
pub use definition::Dialect;
pub use delta::{Delta, Usage};
pub(crate) use excerpt::{excerpt, one_line};
pub(crate) use lenient_json::error_in_body;

/// Most tokens that chat templates in use add to a question.
pub(crate) const MOST_TEMPLATE_TOKENS: u32 = 128;

/// All dialects.
pub(crate) const DIALECTS: [&dyn Dialect; 2] = [&ChatCompletions, &Completions];
