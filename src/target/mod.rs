//! What a request of the load meets: a prompt made ahead of it, a safety check, and the endpoint whose turn it is.

mod balanced_endpoints;
mod prompt_queue;
mod unanswered;

pub(crate) use balanced_endpoints::{BalancedEndpoints, KeepTexts};
pub(crate) use prompt_queue::PromptQueue;
pub(crate) use unanswered::UnansweredLog;
