use std::borrow::Cow;

use serde::Deserialize;

/// What one stream event adds to the answer, or what one whole response holds.
#[derive(Debug, Default, PartialEq)]
pub struct Delta<'a> {
    /// Generated text before the answer: the thinking of a reasoning model.
    pub reasoning: Cow<'a, str>,
    /// Generated text of the answer: content, a refusal, the name and arguments of a tool call. Both are
    /// empty for role-only, empty and usage-only events.
    pub answer: Cow<'a, str>,
    /// `finish_reason`; `None` if it is missing or empty.
    pub finish_reason: Option<Cow<'a, str>>,
    /// `usage`, as far as it is given.
    pub usage: Usage,
    /// The message of an error object, which ends the response.
    pub error: Option<String>,
    /// Whether it has any `choices`, as every completion does.
    pub has_choices: bool,
}

impl Delta<'_> {
    /// Whether it holds generated text.
    pub fn has_text(&self) -> bool {
        !self.reasoning.is_empty() || !self.answer.is_empty()
    }
}

/// The server's token counts; `None` where a count is missing or invalid.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, chat template included.
    pub prompt_tokens: Option<u32>,
    /// Tokens generated.
    pub completion_tokens: Option<u32>,
}
