//! How much of one response is taken: a server may send and count whatever it likes.

use super::PayloadTemplate;
use crate::config::{Api, Config};

/// The most that one response may be. Far beyond what an answer needs, so that only what is none exceeds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Content events for which room is made beforehand.
    pub expected_events: usize,
    /// Most content events, and most output tokens that are believed to be in it.
    pub tokens: u32,
    /// Most bytes of generated text.
    pub text: usize,
    /// Most bytes of an answer that is not streamed.
    pub whole: usize,
}

/// Tokens of the longest answer where the request names no limit.
const LONGEST_ANSWER: u32 = 1 << 20;

impl Bounds {
    /// Of the requests that this configuration has sent.
    pub fn of(config: &Config) -> Bounds {
        // One place knows which fields of a request limit its answer.
        let request = PayloadTemplate::new(config, Api::Completions, "", false);
        Bounds::for_tokens(request.asked(0).most_output.unwrap_or(LONGEST_ANSWER))
    }

    /// Of requests for at most `asked` output tokens.
    pub fn for_tokens(asked: u32) -> Bounds {
        /// Servers that do not keep to max_tokens are measured, and contradicted.
        const TIMES_ASKED: u32 = 64;
        const LEAST_TOKENS: u32 = 4_096;
        const LEAST_BYTES: usize = 1 << 20;
        const TEXT_OF_TOKEN: usize = 16;
        /// With twenty log probabilities beside each token that was asked for.
        const JSON_OF_TOKEN: usize = 64;
        /// More room grows with the events.
        const MOST_EXPECTED: usize = 1 << 16;
        let tokens = asked
            .min(LONGEST_ANSWER)
            .saturating_mul(TIMES_ASKED)
            .saturating_add(LEAST_TOKENS);
        Bounds {
            // One content event per token, and room for a few more.
            expected_events: (asked as usize + 4).min(MOST_EXPECTED),
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
        let config = Config::from_parts(ConfigSource::BuiltIn, file, &|_| None).unwrap();
        Bounds::of(&config).tokens
    }

    #[test]
    fn bounds_follow_what_the_request_asks_for() {
        assert_eq!(tokens(r#"{"MAX_NEW_TOKENS": 8}"#), 8 * 64 + 4_096);
        let own = r#"{"MAX_NEW_TOKENS": 8, "EXTRA_BODY": {"max_tokens": 100}}"#;
        assert_eq!(tokens(own), 100 * 64 + 4_096);
        let free = r#"{"MAX_NEW_TOKENS": 8, "EXTRA_BODY": {"max_tokens": null}}"#;
        assert!(tokens(free) > 1 << 20);
        let most = Bounds::for_tokens(u32::MAX);
        assert!(
            most.expected_events <= 1 << 16,
            "no room is made for what may never come"
        );
    }
}
