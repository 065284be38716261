//! Contradictions in a point's answers: to each other, to the expected answer, or to their own counts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::latency;
use crate::client::{Completion, ExpectedAnswer, TokenSource};

/// Something about a point's answers that cannot be as it should: the requests count as successes, but what
/// is written here must be known beside their figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Contradiction {
    /// The contradiction.
    pub kind: ContradictionKind,
    /// How many answers show it.
    pub answers: usize,
    /// Of how many.
    pub of: usize,
    /// The values that contradict each other, in words.
    pub detail: String,
}

/// Kinds of contradiction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContradictionKind {
    /// `usage` counts no output token although text came.
    NoTokensCounted,
    /// `usage` counts output tokens although no text came.
    NoText,
    /// Fewer output tokens than were asked for.
    TooShort,
    /// More output tokens than were allowed.
    TooLong,
    /// More content events than output tokens.
    MoreEventsThanTokens,
    /// The server counts the prompt otherwise than it was made.
    PromptCount,
    /// All text of an answer came in one read.
    OneRead,
}

/// A contradiction that chance can bring about is one only in this share of the answers and more.
const NOTABLE_SHARE: f64 = 0.1;

/// Most tokens that chat templates in use add to a question; more are a prompt of the server's own.
const MOST_TEMPLATE_TOKENS: u32 = 128;

type Shows = fn(&ExpectedAnswer, &Completion) -> Option<u32>;

/// Every kind with how an answer shows it: by a value that contradicts.
const KINDS: [(ContradictionKind, Shows); 7] = [
    (ContradictionKind::NoTokensCounted, |_, c| {
        c.refused_count.filter(|count| *count == 0)
    }),
    (ContradictionKind::NoText, no_text),
    (ContradictionKind::TooShort, too_short),
    (ContradictionKind::TooLong, too_long),
    (ContradictionKind::MoreEventsThanTokens, more_events),
    (ContradictionKind::PromptCount, prompt_count),
    (ContradictionKind::OneRead, one_read),
];

/// The contradictions between answers and expectation.
pub fn contradictions(
    answers: impl Iterator<Item = Completion>,
    expected: &ExpectedAnswer,
) -> Vec<Contradiction> {
    let mut all_seen = KINDS.map(|_| None);
    let mut of = 0;
    for answer in answers {
        of += 1;
        for ((_, shows), seen) in KINDS.iter().zip(&mut all_seen) {
            *seen = Seen::with(seen.take(), shows(expected, &answer));
        }
    }
    let found = KINDS
        .into_iter()
        .zip(all_seen)
        .filter_map(|((kind, _), seen)| {
            let seen = seen?;
            let by_chance = kind == ContradictionKind::OneRead;
            let notable = !by_chance || seen.answers as f64 >= NOTABLE_SHARE * of as f64;
            notable.then(|| Contradiction {
                kind,
                answers: seen.answers,
                of,
                detail: detail(kind, expected, &seen),
            })
        });
    found.collect()
}

/// Values that contradict.
struct Seen {
    answers: usize,
    least: u32,
    most: u32,
}

impl Seen {
    /// With what another answer shows.
    fn with(seen: Option<Seen>, value: Option<u32>) -> Option<Seen> {
        let Some(value) = value else {
            return seen;
        };
        let (answers, least, most) =
            seen.map_or((0, value, value), |s| (s.answers, s.least, s.most));
        Some(Seen {
            answers: answers + 1,
            least: least.min(value),
            most: most.max(value),
        })
    }
}

/// `8`, or `3 to 8`.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.least == self.most {
            true => write!(f, "{}", self.least),
            false => write!(f, "{} to {}", self.least, self.most),
        }
    }
}

fn no_text(expected: &ExpectedAnswer, completion: &Completion) -> Option<u32> {
    let has_none = expected.streamed && completion.content_ns.is_empty();
    completion.usage_output.filter(|_| has_none)
}

fn too_short(expected: &ExpectedAnswer, completion: &Completion) -> Option<u32> {
    let wanted = expected.max_output_tokens.filter(|_| expected.is_exact)?;
    let (tokens, source) = completion.output_tokens()?;
    let least = match source {
        TokenSource::Server => wanted,
        // Text that is tokenized again has seldom as many tokens as were generated.
        TokenSource::Tokenizer => wanted - wanted / 5,
    };
    (tokens < least).then_some(tokens)
}

fn too_long(expected: &ExpectedAnswer, completion: &Completion) -> Option<u32> {
    let refused = completion.refused_count.filter(|tokens| *tokens > 0);
    refused.or_else(|| {
        let allowed = expected.max_output_tokens?;
        completion.usage_output.filter(|tokens| *tokens > allowed)
    })
}

fn more_events(_: &ExpectedAnswer, completion: &Completion) -> Option<u32> {
    let events = u32::try_from(completion.content_ns.len()).unwrap_or(u32::MAX);
    completion.usage_output.filter(|tokens| *tokens < events)
}

fn prompt_count(expected: &ExpectedAnswer, completion: &Completion) -> Option<u32> {
    let made = expected.prompt_tokens?;
    let template = if expected.has_chat_template {
        MOST_TEMPLATE_TOKENS
    } else {
        0
    };
    let possible = made..=made.saturating_add(template);
    completion
        .usage_input
        .filter(|counted| !possible.contains(counted))
}

/// Two tokens and more cannot come at one moment from a server that streams as it generates.
fn one_read(_: &ExpectedAnswer, completion: &Completion) -> Option<u32> {
    let events = completion.content_ns.len();
    let at_once = completion.content_ns.gaps().all(|gap| gap == 0);
    let tokens = events as u32 + latency::coalesced_tokens(completion);
    (events > 0 && at_once && tokens > 1).then_some(tokens)
}

fn detail(kind: ContradictionKind, expected: &ExpectedAnswer, seen: &Seen) -> String {
    let wanted = expected.max_output_tokens.unwrap_or_default();
    match kind {
        ContradictionKind::NoTokensCounted => {
            "usage counts 0 output tokens although text came; the tokenizer's count stands in for it".to_owned()
        }
        ContradictionKind::NoText => {
            format!("usage counts output tokens ({seen}) although no text came: TTFT, TPOT and ITL have no value")
        }
        ContradictionKind::TooShort => format!(
            "shorter than the {wanted} output tokens that were asked for ({seen}): the server does not keep ignore_eos and min_tokens, and throughput and latency are those of less work"
        ),
        ContradictionKind::TooLong if expected.max_output_tokens.is_none() => {
            format!("more output tokens than an answer can have ({seen})")
        }
        ContradictionKind::TooLong => {
            format!("longer than the {wanted} output tokens that max_tokens allows ({seen})")
        }
        ContradictionKind::MoreEventsThanTokens => {
            format!("more content events than output tokens in usage ({seen}): usage counts too few")
        }
        ContradictionKind::PromptCount => format!(
            "the server counts {seen} prompt tokens where {} were made: its tokenizer is not the one in use here, or it adds a prompt of its own; TOKENIZER_PATH names the model's tokenizer",
            expected.prompt_tokens.unwrap_or_default()
        ),
        ContradictionKind::OneRead => {
            "all text came in one read, as through a proxy that buffers: TTFT is E2EL and TPOT is 0, neither is the server's".to_owned()
        }
    }
}

/// `12 of 400 answers: usage counts …`.
impl fmt::Display for Contradiction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} of {} answers: {}",
            self.answers, self.of, self.detail
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Outcome, RequestRecord};
    use crate::load::window_tests::completed;

    const EXPECTED: ExpectedAnswer = ExpectedAnswer {
        streamed: true,
        max_output_tokens: Some(8),
        is_exact: true,
        prompt_tokens: Some(10),
        has_chat_template: false,
    };

    fn of_requests(requests: &[RequestRecord], expected: &ExpectedAnswer) -> Vec<Contradiction> {
        let answers = requests.iter().map(|request| match &request.outcome {
            Outcome::Completed(completion) => completion.clone(),
            other => panic!("{other:?}"),
        });
        contradictions(answers, expected)
    }

    type Change = fn(&mut Completion);

    /// Returns the contradictions in ten answers of eight tokens, of which the first five are changed.
    fn found(expected: &ExpectedAnswer, change: Change) -> Vec<Contradiction> {
        let mut requests: Vec<RequestRecord> =
            (0..10).map(|_| completed(0, 2_000, 9_000, 8)).collect();
        for request in &mut requests[..5] {
            let Outcome::Completed(completion) = &mut request.outcome else {
                unreachable!("made as completed");
            };
            change(completion);
        }
        of_requests(&requests, expected)
    }

    #[test]
    fn answers_that_are_as_they_should_be_contradict_nothing() {
        assert_eq!(found(&EXPECTED, |_| {}), []);
        let chat = ExpectedAnswer {
            has_chat_template: true,
            ..EXPECTED
        };
        assert_eq!(found(&chat, |c| c.usage_input = Some(46)), []);
        let free = ExpectedAnswer {
            is_exact: false,
            ..EXPECTED
        };
        let shorter: Change = |c| {
            c.usage_output = Some(5);
            c.content_ns = c.content_ns.iter().take(5).collect();
        };
        assert_eq!(found(&free, shorter), [], "no length was asked for");
        assert_eq!(
            found(&EXPECTED, |c| (c.usage_output, c.usage_input) =
                (None, None)),
            []
        );
    }

    #[test]
    fn each_kind_is_found_and_told_with_its_values() {
        use ContradictionKind::*;
        let changes: [(ContradictionKind, Change, &str); 8] = [
            (
                NoTokensCounted,
                |c| (c.usage_output, c.refused_count) = (None, Some(0)),
                "0 output tokens",
            ),
            (
                NoText,
                |c| c.content_ns = Default::default(),
                "(8) although no text",
            ),
            (
                TooShort,
                |c| {
                    c.usage_output = Some(5);
                    c.content_ns = c.content_ns.iter().take(5).collect();
                },
                "than the 8 output tokens that were asked for (5)",
            ),
            (
                TooShort,
                |c| {
                    (c.usage_output, c.counted_output) = (None, Some(3));
                    c.content_ns = c.content_ns.iter().take(3).collect();
                },
                "asked for (3)",
            ),
            (
                TooLong,
                |c| c.usage_output = Some(16),
                "than the 8 output tokens that max_tokens allows (16)",
            ),
            (
                MoreEventsThanTokens,
                |c| c.content_ns = (0..12).collect(),
                "more content events",
            ),
            (
                PromptCount,
                |c| c.usage_input = Some(19),
                "counts 19 prompt tokens where 10 were made",
            ),
            (
                OneRead,
                |c| c.content_ns = [9_000; 8].into_iter().collect(),
                "in one read",
            ),
        ];
        for (kind, change, words) in changes {
            let found = found(&EXPECTED, change);
            let kinds: Vec<_> = found
                .iter()
                .map(|contradiction| contradiction.kind)
                .collect();
            assert_eq!(kinds, [kind]);
            let text = found[0].to_string();
            assert!(
                text.starts_with("5 of 10 answers: ") && text.contains(words),
                "{text}"
            );
        }
    }

    #[test]
    fn one_event_with_all_tokens_is_one_read_and_one_token_is_none() {
        let one_event: Change = |c| c.content_ns = [9_000].into_iter().collect();
        assert_eq!(
            found(&EXPECTED, one_event)[0].kind,
            ContradictionKind::OneRead
        );
        let single = ExpectedAnswer {
            is_exact: false,
            ..EXPECTED
        };
        let one_token: Change = |c| {
            c.content_ns = [9_000].into_iter().collect();
            c.usage_output = Some(1);
        };
        assert_eq!(found(&single, one_token), []);
    }

    #[test]
    fn a_few_answers_in_one_read_are_chance() {
        let mut requests: Vec<RequestRecord> =
            (0..20).map(|_| completed(0, 2_000, 9_000, 8)).collect();
        if let Outcome::Completed(completion) = &mut requests[0].outcome {
            completion.content_ns = [9_000; 8].into_iter().collect();
        }
        assert_eq!(of_requests(&requests, &EXPECTED), []);
    }
}
