//! Counting tokens the way the server under test will count them.
//!
//! **Special tokens.** A server that gets a text on `/v1/completions` adds its special tokens (such
//! as a begin-of-text token) before it counts, so `usage.prompt_tokens` includes them: such prompts
//! are counted with [`SpecialTokens::Added`]. On `/v1/chat/completions` the server wraps the text in
//! its chat template; the text alone is counted, with [`SpecialTokens::None`], and
//! `usage.prompt_tokens` is larger by the template's tokens.

mod counter;
mod error;
mod lookup;
mod server;
mod special_tokens;

pub use counter::{TokenCounter, shipped_tokenizer};
pub use error::{TokenizeError, TokenizerSource};
pub use lookup::{Loaded, TokenizerLookup};
#[cfg(feature = "cli")]
pub(crate) use server::PROBE_LIMIT;
pub use server::ServerTokenizer;
pub use special_tokens::SpecialTokens;
