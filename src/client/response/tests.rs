use super::*;
use crate::dialect::ChatCompletions;

const CHAT: &[&str] = &[
    r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#,
    r#"{"choices":[{"delta":{"content":"a"}}]}"#,
    r#"{"choices":[{"delta":{"content":"b"},"finish_reason":"length"}]}"#,
    r#"{"choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2}}"#,
    "[DONE]",
];

fn reader(stream: bool, keep_text: bool) -> ResponseReader {
    let prepared = Prepared {
        url: "http://localhost/".parse().unwrap(),
        body: Default::default(),
        prompt_tokens: 3,
        output_tokens: None,
        keep_text,
        request_id: None,
    };
    ResponseReader::new(&ChatCompletions, stream, Bounds::for_tokens(8), &prepared)
}

fn data(event: &str) -> Vec<u8> {
    format!("data: {event}\n\n").into_bytes()
}

fn read(stream: bool, pieces: &[&str]) -> (Result<Completion, Failure>, u32) {
    read_keeping(stream, pieces, true)
}

fn read_keeping(
    stream: bool,
    pieces: &[&str],
    keep_text: bool,
) -> (Result<Completion, Failure>, u32) {
    let events = AtomicU32::new(0);
    let mut reader = reader(stream, keep_text);
    let mut result = Ok(());
    for (i, piece) in pieces.iter().enumerate() {
        let bytes = match stream {
            true => data(piece),
            false => piece.as_bytes().to_vec(),
        };
        result = result.and_then(|()| reader.take(&bytes, 10 * (i as u64 + 1), &events).map(drop));
    }
    let result = result.and_then(|()| reader.finish());
    (result, events.into_inner())
}

#[test]
fn only_events_with_content_are_timed_and_counted() {
    let (result, events) = read(true, CHAT);
    let completion = result.unwrap();
    assert_eq!(completion.content_ns.iter().collect::<Vec<_>>(), [20, 30]);
    assert_eq!(events, 2);
    assert_eq!(completion.last_byte_ns, 50);
    assert_eq!(
        (completion.usage_input, completion.usage_output),
        (Some(4), Some(2))
    );
    assert_eq!(completion.text.as_deref(), Some("ab"));
}

#[test]
fn the_text_is_kept_where_requested_or_where_the_server_does_not_count() {
    let whole = |keep| read_keeping(true, CHAT, keep).0.unwrap();
    assert_eq!(whole(false).text, None);
    let uncounted: Vec<_> = CHAT
        .iter()
        .copied()
        .filter(|e| !e.contains("usage"))
        .collect();
    let completion = read_keeping(true, &uncounted, false).0.unwrap();
    assert_eq!(completion.text.as_deref(), Some("ab"));
}

#[test]
fn a_stream_without_its_end_is_a_cut() {
    let failure = read(true, &CHAT[..2]).0.unwrap_err();
    assert_eq!(failure.cause, FailureCause::StreamCut);
    assert!(
        failure.message.contains("after 1 content events"),
        "{}",
        failure.message
    );
}

#[test]
fn a_stream_that_closes_after_its_finish_reason_is_whole() {
    assert!(read(true, &CHAT[..3]).0.is_ok());
}

#[test]
fn an_error_event_and_broken_json_are_failures_of_their_own_kind() {
    let error = read(true, &[CHAT[1], r#"{"error":{"message":"engine died"}}"#]);
    let failure = error.0.unwrap_err();
    assert_eq!(failure.cause, FailureCause::ServerError);
    assert_eq!(failure.message, "engine died");
    let failure = read(true, &[r#"{"choices":[{"#, CHAT[1]]).0.unwrap_err();
    assert_eq!(failure.cause, FailureCause::Malformed);
}

/// What comes of a streamed response whose body is `bytes`.
fn read_raw(bytes: &[u8]) -> Result<Completion, Failure> {
    let mut reader = reader(true, false);
    let taken = reader.take(bytes, 10, &AtomicU32::new(0));
    taken.and_then(|_| reader.finish())
}

#[track_caller]
fn fails(result: Result<Completion, Failure>, cause: FailureCause, words: &str) {
    let failure = result.expect_err(words);
    assert_eq!(failure.cause, cause, "{}", failure.message);
    assert!(failure.message.contains(words), "{}", failure.message);
}

#[test]
fn a_stream_that_ends_is_not_yet_an_answer() {
    use FailureCause::*;
    let finishing = |reason: &str| CHAT[2].replace("length", reason);
    for (events, cause, words) in [
        (
            vec![CHAT[1], &finishing("abort")],
            Aborted,
            "\"abort\" after 2",
        ),
        (
            vec![CHAT[1], &finishing("error")],
            FinishedInError,
            "\"error\"",
        ),
        (
            vec![CHAT[1], &finishing(""), CHAT[4]],
            NoFinishReason,
            "2 content events",
        ),
        (vec![CHAT[1], CHAT[4]], NoFinishReason, "1 content events"),
        (vec![CHAT[0], CHAT[4]], EmptyAnswer, "no token"),
        (vec![CHAT[4]], EmptyAnswer, "no finish_reason"),
        (
            vec![
                r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"usage":{"completion_tokens":0}}"#,
                CHAT[4],
            ],
            EmptyAnswer,
            "\"stop\"",
        ),
        (
            vec![
                CHAT[1],
                r#"{"object":"error","message":"out of memory","code":500}"#,
                CHAT[4],
            ],
            ServerError,
            "out of memory",
        ),
    ] {
        fails(read(true, &events).0, cause, words);
    }
    fails(read_raw(b""), EmptyAnswer, "no token");
    fails(
        read_raw(b"event: error\ndata: lost a worker\n\n"),
        ServerError,
        "lost a worker",
    );
}

#[test]
fn a_response_that_is_not_a_stream_is_named() {
    use FailureCause::*;
    for (body, cause, words) in [
        (
            r#"{"object":"error","message":"no room"}"#,
            ErrorAnswer,
            "no room",
        ),
        (
            "{\n  \"error\": {\n    \"message\": \"no room\"\n  }\n}\n",
            ErrorAnswer,
            "no room",
        ),
        (r#"{"detail":"no room"}"#, ErrorAnswer, "no room"),
        (
            r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#,
            OtherForm,
            "does not stream",
        ),
        (
            "<html><h1>Bad gateway</h1></html>",
            Malformed,
            "<h1>Bad gateway</h1>",
        ),
        (
            "upstream\nconnect\nerror\n\n",
            Malformed,
            "upstream connect error",
        ),
    ] {
        fails(read_raw(body.as_bytes()), cause, words);
    }
}

#[test]
fn a_whole_answer_is_judged_as_a_stream_is() {
    use FailureCause::*;
    for (body, cause, words) in [
        (
            r#"{"object":"error","message":"no room","code":400}"#,
            ErrorAnswer,
            "no room",
        ),
        (
            r#"{"choices":[{"text":"a","finish_reason":"abort"}]}"#,
            Aborted,
            "abort",
        ),
        (
            r#"{"choices":[{"text":"a","finish_reason":null}]}"#,
            NoFinishReason,
            "finish_reason",
        ),
        (
            r#"{"choices":[{"text":"","finish_reason":"stop"}]}"#,
            EmptyAnswer,
            "no token",
        ),
        (r#"{"choices":[]}"#, EmptyAnswer, "no token"),
        ("", EmptyAnswer, "no token"),
        (
            "data: {\"choices\":[]}\n\ndata: [DONE]\n\n",
            OtherForm,
            "event stream",
        ),
        ("<html>", Malformed, "<html>"),
    ] {
        fails(read(false, &[body]).0, cause, words);
    }
}

#[test]
fn a_count_far_beyond_what_was_asked_for_is_not_believed() {
    let count = |count: &str| {
        let usage = CHAT[3].replace("\"completion_tokens\":2", count);
        let answer = [CHAT[1], CHAT[2], &usage, CHAT[4]];
        read_keeping(true, &answer, false).0.unwrap()
    };
    let impossible = count("\"completion_tokens\":4294967295");
    assert_eq!(
        (impossible.usage_output, impossible.refused_count),
        (None, Some(u32::MAX))
    );
    assert_eq!(impossible.text.as_deref(), Some("ab"));
    let longer = count("\"completion_tokens\":16");
    assert_eq!(
        (longer.usage_output, longer.refused_count),
        (Some(16), None)
    );
}

#[test]
fn reading_an_endless_answer_stops() {
    let events = AtomicU32::new(0);
    let many = format!("data: {}\n\n", CHAT[1]).repeat(100);
    let large = format!(
        "data: {}\n\n",
        CHAT[1].replace("\"a\"", &format!("\"{}\"", "a".repeat(500_000)))
    );
    let word = " ".repeat(64 * 1024);
    for (stream, piece, names) in [
        (true, &many, "content events"),
        (true, &large, "bytes of text"),
        (false, &word, "bytes, far more"),
    ] {
        let mut reader = reader(stream, false);
        let ended = (0..1_000).find_map(|at| reader.take(piece.as_bytes(), at, &events).err());
        let failure = ended.expect("a failure");
        assert_eq!(failure.cause, FailureCause::TooLarge, "{failure:?}");
        assert!(failure.message.contains(names), "{failure:?}");
    }
}

#[test]
fn zero_usage_beside_text_is_refused() {
    let zero = CHAT[3].replace("\"completion_tokens\":2", "\"completion_tokens\":0");
    let completion = read_keeping(true, &[CHAT[1], CHAT[2], &zero, CHAT[4]], false)
        .0
        .unwrap();
    assert_eq!(
        (completion.usage_output, completion.refused_count),
        (None, Some(0))
    );
    assert_eq!(
        completion.text.as_deref(),
        Some("ab"),
        "what the tokenizer will count"
    );
    let hidden =
        r#"{"choices":[{"delta":{},"finish_reason":"length"}],"usage":{"completion_tokens":8}}"#;
    let completion = read(true, &[hidden, CHAT[4]]).0.unwrap();
    assert_eq!(
        (completion.usage_output, completion.content_ns.len()),
        (Some(8), 0)
    );
}

#[test]
fn the_wire_is_read_as_it_is() {
    let body = "\u{feff}: hello\r\n\r\nevent: ping\r\ndata: still here\r\n\r\nfoo: bar\n\ndata:\n\n\
        data: {\"choices\":null}\n\nevent: chunk\ndata: {\"choices\":[{\"text\":\"a\"}]}\r\r\
        data: {\"choices\":[{\"text\":\"b\",\ndata: \"finish_reason\":\"stop\"}],\"usage\":{\"completion_tokens\":2}}\n\n\
        data:  [DONE] \n\n";
    let completion = read_raw(body.as_bytes()).unwrap();
    assert_eq!(
        (completion.content_ns.len(), completion.usage_output),
        (2, Some(2))
    );
    assert_eq!(
        (completion.usage_input, completion.finish_reason.as_deref()),
        (None, Some("stop"))
    );
}

#[test]
fn the_end_mark_ends_the_stream_however_its_event_ends() {
    for end in [
        "data: [DONE]\n\n",
        "data: [DONE]\n",
        "data: [DONE]",
        "data:[DONE]\r\n\r\ndata: x\n\n",
    ] {
        let mut reader = reader(true, false);
        let stream: String = CHAT[..4]
            .iter()
            .map(|event| format!("data: {event}\n\n"))
            .collect();
        let taken = reader.take((stream + end).as_bytes(), 10, &AtomicU32::new(0));
        assert!(taken.unwrap().is_break() && reader.is_done(), "{end}");
        assert!(reader.finish().is_ok(), "{end}");
    }
}

#[test]
fn the_first_tokens_of_reasoning_and_of_the_answer_are_kept_apart() {
    let thought = |text: &str| CHAT[1].replace("content\":\"a", &format!("reasoning\":\"{text}"));
    let events = [&*thought("h"), &thought("m"), CHAT[1], CHAT[2], CHAT[4]];
    let completion = read(true, &events).0.unwrap();
    assert_eq!(
        completion.content_ns.iter().collect::<Vec<_>>(),
        [10, 20, 30, 40]
    );
    assert_eq!(completion.first_answer_ns, Some(30));
    assert_eq!(completion.text.as_deref(), Some("hmab"));
    assert_eq!(
        read(true, CHAT).0.unwrap().first_answer_ns,
        None,
        "no reasoning"
    );
}

#[test]
fn a_text_that_is_not_utf_8_has_replacement_characters() {
    let events = AtomicU32::new(0);
    let mut reader = reader(true, true);
    let mut broken = data(CHAT[1]);
    let last = broken.iter().rposition(|byte| *byte == b'a').unwrap();
    broken[last] = 0xff;
    for bytes in [data(CHAT[1]), broken, data(CHAT[2]), data(CHAT[3])] {
        let _ = reader.take(&bytes, 10, &events).unwrap();
    }
    let completion = reader.finish().unwrap();
    assert_eq!(completion.text.as_deref(), Some("a\u{fffd}b"));
    assert_eq!(completion.content_ns.len(), 3);
}

#[test]
fn a_whole_response_is_read_at_its_end() {
    let whole = r#"{"choices":[{"text":"xyz","finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":3}}"#;
    let completion = read(false, &[&whole[..20], &whole[20..]]).0.unwrap();
    assert!(completion.content_ns.is_empty());
    assert_eq!(completion.usage_output, Some(3));
    assert_eq!(completion.finish_reason.as_deref(), Some("stop"));
}
