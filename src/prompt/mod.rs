//! What is sent to the model: real questions for chat models, random words for pretrained ones,
//! each prompt of an exactly known number of tokens.
//!
//! A kind of prompt is one file: it implements `PromptKind`, and makes its [`Workload`]s.

mod chat_question;
mod configured;
mod counted_sample;
mod error;
mod exact_length;
mod frame;
mod lengths;
mod mixed_lengths;
mod named_prompt;
mod questions;
mod random_tokens;
mod seeding;
mod single_token_words;
mod source;
#[cfg(test)]
mod testing;
mod tokenizer;
mod unique_prefix;
mod word_pool;
mod workload;

#[cfg(any(feature = "engine", test))]
pub(crate) use chat_question::ChatQuestion;
pub use error::{PromptError, Unsendable};
pub use lengths::{RequestLengths, TokenRange};
pub(crate) use named_prompt::{NamedPrompt, PromptSeries, Side};
pub use questions::{Question, Questions, QuestionsError, QuestionsOrigin};
#[cfg(test)]
pub(crate) use random_tokens::RandomTokens;

#[cfg(any(feature = "engine", test))]
pub(crate) use source::PromptKind;
pub(crate) use source::{PromptSource, RequestSpec, SourceOptions};
#[cfg(feature = "cli")]
#[cfg(feature = "cli")]
pub(crate) use tokenizer::PROBE_LIMIT;
pub use tokenizer::{
    Loaded, ServerTokenizer, SpecialTokens, TokenCounter, TokenizeError, TokenizerLookup,
    TokenizerSource, shipped_tokenizer,
};
pub use workload::{Workload, WorkloadError};
