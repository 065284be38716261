/// What the answers to a point's requests must be, as far as it can be checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpectedAnswer {
    /// Whether answers are streamed, so that their content events have times.
    pub streamed: bool,
    /// Most output tokens.
    pub max_output_tokens: Option<u32>,
    /// Whether each answer must have exactly that many (`ignore_eos` with `min_tokens`).
    pub is_exact: bool,
    /// Tokens of the prompt by the harness's tokenizer; `None` where its count is unreliable.
    pub prompt_tokens: Option<u32>,
    /// Whether the server wraps the prompt into a chat template, which adds tokens.
    pub has_chat_template: bool,
}
