/// Whether the tokens a tokenizer adds on its own (such as a begin-of-text token) are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpecialTokens {
    /// Counted: what `/v1/completions` reports as `usage.prompt_tokens`.
    Added,
    /// Not counted: the text alone, as it stands inside a chat message.
    None,
}
