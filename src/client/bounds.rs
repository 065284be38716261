//! Limits on the size of one response, as a server may send and count anything.

use super::payload::PayloadTemplate;
use crate::config::Settings;
use crate::dialect::Completions;

/// Limits of one response, far beyond what any answer needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Content events to allocate for.
    pub expected_events: usize,
    /// Most content events, and largest credible count of output tokens.
    pub tokens: u32,
    /// Most bytes of generated text.
    pub text: usize,
    /// Most bytes of an answer that is not streamed.
    pub whole: usize,
}

/// Tokens of the longest answer where the request names no limit.
const LONGEST_ANSWER: u32 = 1 << 20;

impl Bounds {
    /// The limits of answers to requests of this configuration.
    pub fn of(config: &Settings) -> Bounds {
        let request = PayloadTemplate::new(config, &Completions, "", false);
        Bounds::for_tokens(
            request
                .expected_answer()
                .max_output_tokens
                .unwrap_or(LONGEST_ANSWER),
        )
    }

    /// The limits of answers to requests for at most `requested` output tokens.
    pub fn for_tokens(requested: u32) -> Bounds {
        /// Servers that ignore max_tokens are measured, and their answers reported as contradictions.
        const TIMES_REQUESTED: u32 = 64;
        const LEAST_TOKENS: u32 = 4_096;
        const LEAST_BYTES: usize = 1 << 20;
        const TEXT_OF_TOKEN: usize = 16;
        /// With twenty log probabilities for each requested token.
        const JSON_OF_TOKEN: usize = 64;
        /// Beyond it the allocation grows with the events.
        const MOST_EXPECTED: usize = 1 << 16;
        let tokens = requested
            .min(LONGEST_ANSWER)
            .saturating_mul(TIMES_REQUESTED)
            .saturating_add(LEAST_TOKENS);
        Bounds {
            // One content event per token, and room for a few more.
            expected_events: (requested as usize + 4).min(MOST_EXPECTED),
            tokens,
            text: LEAST_BYTES + TEXT_OF_TOKEN * tokens as usize,
            whole: LEAST_BYTES + JSON_OF_TOKEN * tokens as usize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::ConfigSource;

    fn tokens(file: &str) -> u32 {
        let config = Settings::from_parts(ConfigSource::BuiltIn, file, &|_| None).unwrap();
        Bounds::of(&config).tokens
    }

    #[test]
    fn bounds_follow_the_requested_tokens() {
        assert_eq!(tokens(r#"{"MAX_NEW_TOKENS": 8}"#), 8 * 64 + 4_096);
        let own = r#"{"MAX_NEW_TOKENS": 8, "EXTRA_BODY": {"max_tokens": 100}}"#;
        assert_eq!(tokens(own), 100 * 64 + 4_096);
        let free = r#"{"MAX_NEW_TOKENS": 8, "EXTRA_BODY": {"max_tokens": null}}"#;
        assert!(tokens(free) > 1 << 20);
        let most = Bounds::for_tokens(u32::MAX);
        assert!(
            most.expected_events <= 1 << 16,
            "no allocation for events that may never arrive"
        );
    }
}
