use super::super::openai_json;
use super::*;

/// Text of reasoning, text of the answer, finish reason, prompt and completion tokens.
type Told = (
    &'static str,
    &'static str,
    Option<&'static str>,
    [Option<u32>; 2],
);

#[track_caller]
fn told(event: &[u8], expected: Told) {
    let shown = String::from_utf8_lossy(event);
    let delta = openai_json::parse(event).unwrap_or_else(|error| panic!("{shown}: {error}"));
    let counts = [delta.usage.prompt_tokens, delta.usage.completion_tokens];
    let finish = delta.finish_reason.as_deref();
    let told = (&*delta.reasoning, &*delta.answer, finish, counts);
    assert_eq!(told, expected, "{shown}");
    assert_eq!(delta.error, None, "{shown}");
}

#[test]
fn usage_without_a_count_is_ignored() {
    const NONE: Option<u32> = None;
    for (usage, counts) in [
        ("null", [NONE, NONE]),
        ("{}", [NONE, NONE]),
        ("[]", [NONE, NONE]),
        ("7", [NONE, NONE]),
        (
            r#"{"prompt_tokens":null,"completion_tokens":5}"#,
            [NONE, Some(5)],
        ),
        (r#"{"completion_tokens":5}"#, [NONE, Some(5)]),
        (r#"{"prompt_tokens":3}"#, [Some(3), NONE]),
        (
            r#"{"prompt_tokens":-1,"completion_tokens":-5}"#,
            [NONE, NONE],
        ),
        (
            r#"{"prompt_tokens":3.0,"completion_tokens":5.5}"#,
            [Some(3), NONE],
        ),
        (
            r#"{"prompt_tokens":"3","completion_tokens":"many"}"#,
            [Some(3), NONE],
        ),
        (
            r#"{"prompt_tokens":3,"completion_tokens":1e30}"#,
            [Some(3), NONE],
        ),
        (
            r#"{"prompt_tokens":3,"completion_tokens":99999999999}"#,
            [Some(3), NONE],
        ),
        (
            r#"{"prompt_tokens":3,"completion_tokens":NaN}"#,
            [Some(3), NONE],
        ),
        (
            r#"{"prompt_tokens":3,"completion_tokens":4,"completion_tokens":5}"#,
            [Some(3), Some(5)],
        ),
        (
            r#"{"input_tokens":3,"output_tokens":5}"#,
            [Some(3), Some(5)],
        ),
        (
            r#"{"prompt_tokens":3,"completion_tokens":5,"prompt_tokens_details":{"cached_tokens":null}}"#,
            [Some(3), Some(5)],
        ),
    ] {
        let event = format!(r#"{{"choices":[{{"text":"a"}}],"usage":{usage}}}"#);
        told(event.as_bytes(), ("", "a", None, counts));
        let event = format!(r#"{{"choices":[{{"text":"a","usage":{usage}}}]}}"#);
        told(event.as_bytes(), ("", "a", None, counts));
    }
}

#[test]
fn of_two_names_of_one_thing_one_is_taken() {
    for event in [
        r#"{"choices":[{"delta":{"reasoning":"hm","reasoning_content":"hm","content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"reasoning":null,"reasoning_content":"hm","content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"reasoning":"hm","reasoning_content":"","content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"reasoning":"hm","content":"a"},"message":{"reasoning":"hm","content":"a"}}]}"#,
        r#"{"choices":[{"delta":{},"message":{"reasoning":"hm","content":"a"}}]}"#,
        r#"{"choices":[{"delta":{"reasoning":"hm","content":"a"},"text":"a"}]}"#,
        r#"{"choices":{"delta":{"reasoning":"hm","content":"a"}}}"#,
        r#"{"choices":[{"delta":{"content":"b","reasoning":"hm","content":"a"}}]}"#,
    ] {
        told(event.as_bytes(), ("hm", "a", None, [None, None]));
    }
}

#[test]
fn null_and_mistyped_fields_are_ignored() {
    for event in [
        r#"{"choices":null}"#,
        r#"{"choices":null,"usage":null,"error":null}"#,
        r#"{"choices":[{"text":null,"finish_reason":null}]}"#,
        r#"{"choices":[{"text":true,"delta":[],"finish_reason":""}]}"#,
        r#"{"choices":[null]}"#,
        r#"{"choices":[{"delta":null}]}"#,
        r#"{"choices":[{"delta":{"content":{},"tool_calls":null,"refusal":null}}]}"#,
        r#"{"choices":[{"delta":{"content":"","tool_calls":[]}}],"error":""}"#,
        r#"{"object":"ping"}"#,
        "{}",
        "null",
        "[]",
        r#""words""#,
        "3",
    ] {
        told(event.as_bytes(), ("", "", None, [None, None]));
    }
}

#[test]
fn tool_calls_refusals_and_parts_are_content() {
    for (delta, answer) in [
        (
            r#"{"tool_calls":[{"index":0,"id":"x","function":{"name":"f","arguments":""}}]}"#,
            "f",
        ),
        (
            r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\":"}}]}"#,
            "{\"a\":",
        ),
        (
            r#"{"content":null,"function_call":{"name":"g","arguments":"1"}}"#,
            "g1",
        ),
        (r#"{"content":null,"refusal":"I will not"}"#, "I will not"),
        (
            r#"{"content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}"#,
            "ab",
        ),
        (
            r#"{"content":[{"type":"output_text","text":{"content":"a"}},"b",null]}"#,
            "ab",
        ),
    ] {
        let event = format!(r#"{{"choices":[{{"delta":{delta}}}]}}"#);
        told(event.as_bytes(), ("", answer, None, [None, None]));
    }
}

#[test]
fn text_that_is_not_unicode_has_replacement_characters() {
    for text in [&br"\ud83d"[..], br"\uDE00", b"\xff", b"\xe2\x82"] {
        let event = [br#"{"choices":[{"text":"a"#, text, br#"b"}]}"#].concat();
        told(&event, ("", "a\u{fffd}b", None, [None, None]));
    }
    // A whole pair is one character, and an escaped backslash is no escape.
    told(
        br#"{"choices":null,"x":"\ud83d","choices":[{"text":"\ud83d\ude00"}]}"#,
        ("", "😀", None, [None, None]),
    );
    told(
        br#"{"choices":[{"text":"\\ud83d"}],"x":NaN}"#,
        ("", r"\ud83d", None, [None, None]),
    );
}

#[test]
fn an_objects_finish_reason_is_its_type() {
    let event = br#"{"choices":[{"text":"a","finish_reason":{"type":"length","length":8}}]}"#;
    told(event, ("", "a", Some("length"), [None, None]));
}

#[test]
fn every_form_of_error_gives_the_servers_words() {
    for (event, words) in [
        (
            r#"{"error":{"message":"boom","type":"InternalServerError","code":500}}"#,
            "boom",
        ),
        (
            r#"{"object":"error","message":"boom","type":"BadRequestError","code":400}"#,
            "boom",
        ),
        (
            r#"{"type":"error","error":{"type":"overloaded_error","message":"boom"}}"#,
            "boom",
        ),
        (r#"{"type":"error","choices":[],"detail":"boom"}"#, "boom"),
        (r#"{"error":"boom"}"#, "boom"),
        (r#"{"error":{"error":{"message":"boom"}}}"#, "boom"),
        (r#"{"error":["boom","bang"]}"#, "boom; bang"),
        (r#"{"errors":[{"message":"boom"}]}"#, "boom"),
        (r#"{"detail":"boom"}"#, "boom"),
        (r#"{"detail":[{"loc":["body"],"msg":"boom"}]}"#, "boom"),
        (r#"{"message":"boom","code":503}"#, "boom"),
        (r#"{"message":"boom\n\u001b[31m red"}"#, "boom [31m red"),
        (r#"{"status":503}"#, r#"{"status":503}"#),
        (r#"{"error":{"code":503}}"#, r#"{"code":503}"#),
        (r#"{"error":true}"#, "true"),
        (
            r#"[{"error":{"code":503,"message":"boom","status":"UNAVAILABLE"}}]"#,
            "boom",
        ),
        (
            r#"{"fault":{"faultstring":"boom"}}"#,
            r#"{"faultstring":"boom"}"#,
        ),
        (r#"{"Error":{"Message":"boom"}}"#, r#"{"Message":"boom"}"#),
        (
            r#"{"success":false,"result":null}"#,
            r#"{"success":false,"result":null}"#,
        ),
        (
            r#"{"choices":[{"delta":{"content":"","error":{"message":"boom"}},"finish_reason":"stop"}]}"#,
            "boom",
        ),
        (
            r#"{"choices":[{"message":{"content":"a","error":"boom"},"finish_reason":"stop"}]}"#,
            "boom",
        ),
        (
            r#"{"choices":[{"delta":{},"finish_reason":"stop"}],"code":500,"message":"boom"}"#,
            "boom",
        ),
        (
            r#"{"text":"**NETWORK ERROR** boom","error_code":50001}"#,
            "**NETWORK ERROR** boom",
        ),
        (
            r#"{"choices":[{"delta":{"content":""},"error":{"message":"boom"},"finish_reason":"error"}]}"#,
            "boom",
        ),
        (
            r#"{"choices":[{"text":"a"}],"error":{"message":"boom"}}"#,
            "boom",
        ),
    ] {
        let delta = openai_json::parse(event.as_bytes()).unwrap();
        assert_eq!(delta.error.as_deref(), Some(words), "{event}");
    }
}

#[test]
fn error_bodies_give_their_message() {
    for (body, message) in [
        (
            r#"{"error":{"message":"too long","type":"BadRequestError","code":400}}"#,
            "too long",
        ),
        (r#"{"object":"error","message":"no model"}"#, "no model"),
        (r#"{"detail":"Not Found"}"#, "Not Found"),
        ("Bad Gateway", "Bad Gateway"),
        ("", ""),
    ] {
        assert_eq!(error_in_body(body.as_bytes()), message);
    }
}

#[test]
fn invalid_json_is_an_error() {
    for event in [
        r#"{"choices":[{"#,
        "words",
        "",
        r#"{"choices":[{"text":"a}]}"#,
    ] {
        assert!(parse(event.as_bytes()).is_err(), "{event}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_bytes_are_too_odd_to_be_read(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
        let _ = openai_json::parse(&bytes);
        error_in_body(&bytes);
    }

    #[test]
    fn no_json_is_too_odd_to_be_understood(choice in r#"(\{("(delta|message|text|finish_reason|usage|error|content)":)?("[a-z\\ud83]{0,6}"|null|-?[0-9.]{1,4}|\[\]|\{\}|NaN),?\})"#) {
        let _ = openai_json::parse(format!(r#"{{"choices":[{choice}],"usage":{choice}}}"#).as_bytes());
    }
}
