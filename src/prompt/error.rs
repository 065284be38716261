use super::tokenizer::{TokenizeError, TokenizerSource};

/// Why a prompt could not be made.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PromptError {
    /// Tokens could not be counted.
    #[error(transparent)]
    Tokenize(#[from] TokenizeError),
    /// The question to vary is empty.
    #[error("the question is empty; every key of the input file needs a text")]
    Empty,
    /// The shared fraction is out of range.
    #[error("PREFIX_CACHE: {0} is not a fraction between 0 and 1")]
    Fraction(f64),
    /// The tokenizer's own special tokens already take up the requested length.
    #[error(
        "a prompt of {wanted} token(s) is impossible: {special_tokens} special token(s) are added to every text by the {tokenizer}; set RANDOM_PROMPT_LENGTH to {} or more",
        special_tokens + 1
    )]
    TooShort {
        /// Requested tokens.
        wanted: usize,
        /// Special tokens in every text.
        special_tokens: usize,
        /// The tokenizer.
        tokenizer: TokenizerSource,
    },
    /// Nearly no request of a workload can be sent.
    #[error("no request of this workload can be sent: {0}; change its lengths")]
    NoLengths(Unsendable),
    /// The tokenizer's vocabulary has no word that is one token.
    #[error(
        "{tokenizer}: no word to make prompts of ({candidates} ASCII vocabulary entries of more than two characters, none of them one token between spaces); set TOKENIZER_PATH to the model's own tokenizer.json, or for chat PREFIX_CACHE to \"allow\""
    )]
    NoWords {
        /// The tokenizer.
        tokenizer: TokenizerSource,
        /// Entries that were considered.
        candidates: usize,
    },
    /// No combination of words that was tried has the requested length.
    #[error(
        "no prompt of exactly {wanted} tokens found; the nearest had {nearest}, counted by {tokenizer}; try another length"
    )]
    Inexact {
        /// Requested tokens.
        wanted: usize,
        /// Tokens of the nearest attempt.
        nearest: usize,
        /// The tokenizer.
        tokenizer: TokenizerSource,
    },
}

/// Why a request of a workload cannot be sent.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "prompt and answer are longer than {}, or the prompt has no more than the {special_tokens} special token(s) of every text",
    max_model_len.map_or("the servers' max_model_len".to_owned(), |limit| format!("the servers' max_model_len of {limit} tokens"))
)]
pub struct Unsendable {
    /// The longest prompt and answer together.
    pub max_model_len: Option<u64>,
    /// Special tokens in every text.
    pub special_tokens: u32,
}
