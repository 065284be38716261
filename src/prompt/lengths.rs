//! How long the requests of a source are.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The lengths of a source's requests.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RequestLengths {
    /// Tokens of a prompt as the harness's tokenizer counts them.
    pub prompt: TokenRange,
    /// Output tokens that a request asks for; `None` where all ask for `MAX_NEW_TOKENS`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<TokenRange>,
}

/// A number of tokens that differs between requests, or is the same for all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TokenRange {
    /// The mean that the requests have in the long run.
    pub mean: f64,
    /// The least possible.
    pub least: u32,
    /// The greatest possible.
    pub most: u32,
}

impl RequestLengths {
    /// Prompts of the same length, whose requests ask for `MAX_NEW_TOKENS`.
    pub fn of_prompt(tokens: usize) -> RequestLengths {
        RequestLengths {
            prompt: TokenRange::constant(u32::try_from(tokens).unwrap_or(u32::MAX)),
            output: None,
        }
    }
}

impl RequestLengths {
    /// Whether they are more than one length of the prompt.
    pub(crate) fn is_mixed(&self) -> bool {
        self.output.is_some() || self.prompt.least < self.prompt.most
    }
}

impl TokenRange {
    /// The same number for all requests.
    pub fn constant(tokens: u32) -> TokenRange {
        TokenRange {
            mean: f64::from(tokens),
            least: tokens,
            most: tokens,
        }
    }

    /// The mean as a whole number of tokens.
    pub fn rounded_mean(&self) -> usize {
        self.mean.round() as usize
    }
}

/// `1000`, or `480 (1–2048)`.
impl fmt::Display for TokenRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mean = self.rounded_mean();
        match self.least == self.most {
            true => write!(f, "{mean}"),
            false => write!(f, "{mean} ({}–{})", self.least, self.most),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_length_is_shown_as_a_number_and_several_as_mean_and_range() {
        assert_eq!(TokenRange::constant(1000).to_string(), "1000");
        let mixed = TokenRange {
            mean: 480.4,
            least: 1,
            most: 2048,
        };
        assert_eq!(mixed.to_string(), "480 (1–2048)");
    }
}
