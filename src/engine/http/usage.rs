//! The token counts that a response reports.

use std::time::{SystemTime, UNIX_EPOCH};

use super::super::faults::UsageFault;
use super::super::replica::Generation;
use super::super::sse::ResponseTokens;

/// The present time for `created` fields.
pub(super) fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// The usage to report: the true one, changed by the drawn fault.
pub(super) fn reported_usage(
    generation: &Generation,
    completion_tokens: u32,
) -> Option<ResponseTokens> {
    let truth = ResponseTokens {
        prompt_tokens: generation.prompt_tokens,
        completion_tokens,
    };
    match generation.faults.usage {
        UsageFault::None => Some(truth),
        UsageFault::Wrong => Some(ResponseTokens {
            prompt_tokens: truth.prompt_tokens + 3,
            completion_tokens: completion_tokens + completion_tokens / 2 + 1,
        }),
        UsageFault::Missing => None,
        UsageFault::Zero => Some(ResponseTokens {
            completion_tokens: 0,
            ..truth
        }),
    }
}
