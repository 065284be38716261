//! The target of a load's requests: a prompt prepared ahead, a safety check, and a balanced endpoint.

mod balanced_endpoints;
mod prompt_queue;
mod unanswered;

pub(crate) use balanced_endpoints::{BalancedEndpoints, KeepTexts};
pub(crate) use prompt_queue::PromptQueue;
pub(crate) use unanswered::UnansweredLog;
