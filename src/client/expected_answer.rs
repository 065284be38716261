/// What the answers to a point's requests must be, as far as it can be checked. The lengths that differ between
/// requests are in each [`Completion`](super::Completion).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpectedAnswer {
    /// Whether answers are streamed, so that their content events have times.
    pub streamed: bool,
    /// Most output tokens, where the request has no limit of its own.
    pub max_output_tokens: Option<u32>,
    /// Whether each answer must have exactly as many as are allowed (`ignore_eos` with `min_tokens`).
    pub is_exact: bool,
    /// Whether the harness knows how many tokens each prompt has.
    pub knows_prompt_tokens: bool,
    /// Whether the server wraps the prompt into a chat template, which adds tokens.
    pub has_chat_template: bool,
}
