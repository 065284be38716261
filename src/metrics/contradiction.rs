//! Contradictions in a point's answers: to each other, to the expected answer, or to their own counts.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::latency;
use crate::client::{Completion, ExpectedAnswer, TokenSource};
use crate::dialect::MOST_TEMPLATE_TOKENS;

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

/// A value that contradicts, and the value expected in its place (0 where there is none).
type Shown = (u32, u32);

type Shows = fn(&ExpectedAnswer, &Completion) -> Option<Shown>;

/// Every kind with how an answer shows it: by a value that contradicts.
const KINDS: [(ContradictionKind, Shows); 7] = [
    (ContradictionKind::NoTokensCounted, |_, c| {
        c.refused_count.filter(|count| *count == 0).map(alone)
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
                detail: detail(kind, seen.values, seen.expected),
            })
        });
    found.collect()
}

/// Values that contradict, and the expected ones.
struct Seen {
    answers: usize,
    values: Between,
    expected: Between,
}

impl Seen {
    /// With what another answer shows.
    fn with(seen: Option<Seen>, shown: Option<Shown>) -> Option<Seen> {
        let Some((value, expected)) = shown else {
            return seen;
        };
        Some(match seen {
            None => Seen {
                answers: 1,
                values: Between(value, value),
                expected: Between(expected, expected),
            },
            Some(seen) => Seen {
                answers: seen.answers + 1,
                values: seen.values.with(value),
                expected: seen.expected.with(expected),
            },
        })
    }
}

/// The least and the greatest of some values.
#[derive(Clone, Copy)]
struct Between(u32, u32);

impl Between {
    fn with(self, value: u32) -> Between {
        Between(self.0.min(value), self.1.max(value))
    }
}

/// `8`, or `3 to 8`.
impl fmt::Display for Between {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 == self.1 {
            true => write!(f, "{}", self.0),
            false => write!(f, "{} to {}", self.0, self.1),
        }
    }
}

/// A value that contradicts where none is expected.
fn alone(value: u32) -> Shown {
    (value, 0)
}

/// The most output tokens that the request allowed.
fn allowed(expected: &ExpectedAnswer, completion: &Completion) -> Option<u32> {
    completion.requested_output.or(expected.max_output_tokens)
}

fn no_text(expected: &ExpectedAnswer, completion: &Completion) -> Option<Shown> {
    let has_none = expected.streamed && completion.content_ns.is_empty();
    completion.usage_output.filter(|_| has_none).map(alone)
}

fn too_short(expected: &ExpectedAnswer, completion: &Completion) -> Option<Shown> {
    let wanted = allowed(expected, completion).filter(|_| expected.is_exact)?;
    let (tokens, source) = completion.output_tokens()?;
    let least = match source {
        TokenSource::Server => wanted,
        // Text that is tokenized again has seldom as many tokens as were generated.
        TokenSource::Tokenizer => wanted - wanted / 5,
    };
    (tokens < least).then_some((tokens, wanted))
}

fn too_long(expected: &ExpectedAnswer, completion: &Completion) -> Option<Shown> {
    let allowed = allowed(expected, completion);
    let refused = completion.refused_count.filter(|tokens| *tokens > 0);
    let beyond = || {
        let tokens = completion.usage_output?;
        (tokens > allowed?).then_some(tokens)
    };
    Some((refused.or_else(beyond)?, allowed.unwrap_or_default()))
}

fn more_events(_: &ExpectedAnswer, completion: &Completion) -> Option<Shown> {
    let events = u32::try_from(completion.content_ns.len()).unwrap_or(u32::MAX);
    let counted = completion.usage_output.filter(|tokens| *tokens < events);
    counted.map(alone)
}

fn prompt_count(expected: &ExpectedAnswer, completion: &Completion) -> Option<Shown> {
    let made = completion.prompt_tokens;
    // More tokens are a prompt of the server's own.
    let template = if expected.has_chat_template {
        MOST_TEMPLATE_TOKENS
    } else {
        0
    };
    let possible = made..=made.saturating_add(template);
    let counted = completion
        .usage_input
        .filter(|counted| expected.knows_prompt_tokens && !possible.contains(counted));
    Some((counted?, made))
}

/// Two tokens and more cannot come at one moment from a server that streams as it generates.
fn one_read(_: &ExpectedAnswer, completion: &Completion) -> Option<Shown> {
    let events = completion.content_ns.len();
    let at_once = completion.content_ns.gaps().all(|gap| gap == 0);
    let tokens = events as u32 + latency::coalesced_tokens(completion);
    (events > 0 && at_once && tokens > 1).then_some(alone(tokens))
}

fn detail(kind: ContradictionKind, seen: Between, expected: Between) -> String {
    match kind {
        ContradictionKind::NoTokensCounted => {
            "usage counts 0 output tokens although text came; the tokenizer's count stands in for it".to_owned()
        }
        ContradictionKind::NoText => {
            format!("usage counts output tokens ({seen}) although no text came: TTFT, TPOT and ITL have no value")
        }
        ContradictionKind::TooShort => format!(
            "shorter than the {expected} output tokens that were asked for ({seen}): the server does not keep ignore_eos and min_tokens, and throughput and latency are those of less work"
        ),
        ContradictionKind::TooLong if expected.1 == 0 => {
            format!("more output tokens than an answer can have ({seen})")
        }
        ContradictionKind::TooLong => {
            format!("longer than the {expected} output tokens that max_tokens allows ({seen})")
        }
        ContradictionKind::MoreEventsThanTokens => {
            format!("more content events than output tokens in usage ({seen}): usage counts too few")
        }
        ContradictionKind::PromptCount => format!(
            "the server counts {seen} prompt tokens where {expected} were made: its tokenizer is not the one in use here, or it adds a prompt of its own; TOKENIZER_PATH names the model's tokenizer"
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
mod tests;
