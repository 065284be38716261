use super::*;
use crate::client::{Outcome, RequestRecord};
use crate::load::window_tests::completed;

const EXPECTED: ExpectedAnswer = ExpectedAnswer {
    streamed: true,
    max_output_tokens: Some(8),
    is_exact: true,
    knows_prompt_tokens: true,
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
    let mut requests: Vec<RequestRecord> = (0..10).map(|_| completed(0, 2_000, 9_000, 8)).collect();
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
fn an_answer_is_held_against_the_length_that_its_own_request_asked_for() {
    let answer = |tokens, requested| {
        let mut request = completed(0, 2_000, 9_000, tokens);
        if let Outcome::Completed(completion) = &mut request.outcome {
            completion.requested_output = Some(requested);
        }
        request
    };
    let kept = [answer(3, 3), answer(300, 300)];
    assert_eq!(of_requests(&kept, &EXPECTED), []);
    let broken = [answer(3, 3), answer(4, 7), answer(8, 300), answer(5, 2)];
    let found = of_requests(&broken, &EXPECTED);
    let said = Vec::from_iter(found.iter().map(Contradiction::to_string));
    assert!(
        said[0].starts_with(
            "2 of 4 answers: shorter than the 7 to 300 output tokens that were asked for (4 to 8)"
        ),
        "{said:?}"
    );
    assert!(
        said[1].starts_with("1 of 4 answers: longer than the 2 output tokens"),
        "{said:?}"
    );
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
    let mut requests: Vec<RequestRecord> = (0..20).map(|_| completed(0, 2_000, 9_000, 8)).collect();
    if let Outcome::Completed(completion) = &mut requests[0].outcome {
        completion.content_ns = [9_000; 8].into_iter().collect();
    }
    assert_eq!(of_requests(&requests, &EXPECTED), []);
}
