//! Runs against servers that answer badly: each way to fail is counted by its cause, with the server's
//! own words, and what contradicts itself is said.

#[path = "../cargo_bench/mod.rs"]
mod cargo_bench;
mod compared;
mod scripted;
mod secrets;

use std::path::Path;
use std::process::{Command, Output};

use scripted::{Answer, Scripted};
use serde_json::Value;
use tempfile::TempDir;

const TOKEN: &str = r#"{"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":null}]}"#;
const LAST: &str =
    r#"{"choices":[{"index":0,"delta":{"content":" word"},"finish_reason":"length"}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":2}}"#;
const DONE: &str = "[DONE]";

/// A whole answer of two tokens, as vLLM streams it.
fn good() -> Answer {
    Answer::events([TOKEN, LAST, USAGE, DONE])
}

/// The last event with another finish reason.
fn finishing(reason: &str) -> String {
    LAST.replace("\"length\"", reason)
}

/// Sent with every request.
const API_KEY: &str = "sk-answers-4711-secret";

struct Here(TempDir);

impl Here {
    fn new() -> Here {
        Here(tempfile::tempdir().expect("a temporary directory"))
    }

    /// With this in its `parameters.json`.
    fn with(parameters: &str) -> Here {
        let here = Here::new();
        let fixtures = here.0.path().join("fixtures");
        std::fs::create_dir(&fixtures).expect("a folder");
        std::fs::write(fixtures.join("parameters.json"), parameters).expect("a file");
        here
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = self.prepared(arguments);
        command.output().expect("the command runs")
    }

    /// The command, about to run.
    fn prepared(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("SERVEMARK_")) {
            command.env_remove(key);
        }
        let tokenizer = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tokenizer");
        command
            .args(arguments)
            .current_dir(self.0.path())
            .env("CRITERION_HOME", self.0.path())
            .env("OPENAI_API_KEY", API_KEY)
            .env("SERVEMARK_TOKENIZER_PATH", tokenizer)
            .env("SERVEMARK_REQUEST_TIMEOUT", "20");
        command
    }

    /// `servemark run` against a server, asking it for so many tokens; exit code, table and all that was said.
    fn run(&self, server: &Scripted, tokens: &str) -> (Option<i32>, String) {
        let short = ["--duration", "0.4", "--warm-up", "0.1", "--windows", "3"];
        let point = [
            "--concurrency",
            "2",
            "--max-tokens",
            tokens,
            "--prompt",
            "25",
        ];
        let arguments = [&["run", "--endpoint", server.url()], &short[..], &point];
        said(&self.command(&arguments.concat()))
    }

    fn record(&self) -> Value {
        let path = self.0.path().join("servemark/run/25/c=2/new.json");
        let text = std::fs::read(&path).expect("a record");
        serde_json::from_slice(&text).expect("JSON")
    }
}

fn said(output: &Output) -> (Option<i32>, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let both = text(&output.stdout) + &text(&output.stderr);
    assert!(!both.contains("panicked"), "{both}");
    (output.status.code(), both)
}

/// Returns the output of `run` against a server that always gives this answer.
fn only(answer: Answer) -> (Option<i32>, String) {
    Here::new().run(&Scripted::start(vec![answer]), "2")
}

#[track_caller]
fn fails(answer: Answer, cause: &str, words: &str) {
    let shown = format!("{answer:?}");
    let (code, text) = only(answer);
    assert_eq!(code, Some(1), "{shown}: {text}");
    assert!(text.contains("FAILED"), "{shown}: {text}");
    assert!(text.contains(&format!("× {cause}")), "{shown}: {text}");
    assert!(text.contains(words), "{shown}: {text}");
}

#[test]
fn a_stream_that_ends_is_not_yet_an_answer() {
    let role = r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#;
    let none = r#"{"choices":[{"delta":{},"finish_reason":"stop"}]}"#;
    for (events, cause, words) in [
        (
            vec![TOKEN, &finishing("\"abort\""), DONE],
            "aborted by the server",
            "\"abort\"",
        ),
        (
            vec![TOKEN, &finishing("\"error\""), DONE],
            "finish reason of an error",
            "\"error\"",
        ),
        (
            vec![&finishing("\"\""), &finishing("\"\""), DONE],
            "no finish reason",
            "without a finish_reason",
        ),
        (
            vec![TOKEN, TOKEN, DONE],
            "no finish reason",
            "without a finish_reason",
        ),
        (
            vec![TOKEN, &finishing("\"because\""), DONE],
            "unknown finish reason",
            "\"because\"",
        ),
        (vec![TOKEN, TOKEN], "stream cut short", "2 content events"),
        (vec![role, none, DONE], "empty answer", "no token"),
        (vec![DONE], "empty answer", "no finish_reason"),
        (
            vec![
                TOKEN,
                r#"{"object":"error","message":"out of memory"}"#,
                DONE,
            ],
            "error event in stream",
            "out of memory",
        ),
        (
            vec![r#"{"detail":"out of memory"}"#, DONE],
            "error event in stream",
            "out of memory",
        ),
    ] {
        fails(Answer::events(events), cause, words);
    }
    fails(Answer::stream([""; 0]), "empty answer", "no token");
    fails(
        Answer::stream(["event: error\ndata: lost a worker\n\n"]),
        "error event in stream",
        "lost a worker",
    );
}

#[test]
fn a_response_that_is_not_a_stream_is_named() {
    for (answer, cause, words) in [
        (
            Answer::json(r#"{"error":{"message":"no room","code":500}}"#),
            "error object as answer",
            "no room",
        ),
        (
            Answer::json(r#"{"object":"error","message":"no room"}"#),
            "error object as answer",
            "no room",
        ),
        (
            Answer::json(r#"{"choices":[{"message":{"content":"a"},"finish_reason":"stop"}]}"#),
            "answer of another form",
            "does not stream",
        ),
        (
            Answer::whole("200 OK", "<html>Welcome</html>"),
            "malformed response",
            "<html>Welcome</html>",
        ),
        (
            Answer::whole("200 OK\r\nContent-Encoding: gzip", "\u{1f}zzz"),
            "compressed response",
            "gzip",
        ),
        (
            Answer::whole(
                "307 Temporary Redirect\r\nLocation: http://elsewhere/v1?key=s3cret",
                "",
            ),
            "HTTP 307",
            "redirected to http://elsewhere/v1:",
        ),
    ] {
        fails(answer, cause, words);
    }
}

#[test]
fn an_answer_that_is_not_streamed_is_judged_alike() {
    let body = |reason: &str| {
        format!(
            r#"{{"choices":[{{"message":{{"content":" word word"}},"finish_reason":{reason}}}],"usage":{{"prompt_tokens":40,"completion_tokens":2}}}}"#
        )
    };
    // STREAM has no option of its own.
    let run = |answer| {
        let here = Here::with(r#"{"STREAM": false}"#);
        here.run(&Scripted::start(vec![answer]), "2")
    };
    let (code, text) = run(Answer::json(&body("\"stop\"")));
    assert_eq!(code, Some(0), "{text}");
    for (answer, cause) in [
        (Answer::json(&body("\"abort\"")), "aborted by the server"),
        (Answer::json(&body("null")), "no finish reason"),
        (
            Answer::json(r#"{"object":"error","message":"no room"}"#),
            "error object as answer",
        ),
        (Answer::json(r#"{"choices":[]}"#), "empty answer"),
        (good(), "answer of another form"),
    ] {
        let (code, text) = run(answer);
        assert_eq!(code, Some(1), "{text}");
        assert!(text.contains(&format!("× {cause}")), "{text}");
    }
}

#[test]
fn missing_optional_fields_lose_no_request() {
    let both = TOKEN.replace("\"content\"", "\"reasoning\":null,\"content\"");
    let bom = format!(
        "\u{feff}: comment\r\n\r\nevent: ping\r\ndata: alive\r\n\r\nretry: 5\ndata: {TOKEN}\n\n"
    );
    for answer in [
        Answer::events([TOKEN, LAST, DONE]),
        Answer::events([TOKEN, LAST, r#"{"choices":null,"usage":null}"#, DONE]),
        Answer::events([
            TOKEN,
            LAST,
            r#"{"choices":[],"usage":{"completion_tokens":-2}}"#,
            DONE,
        ]),
        Answer::events([
            TOKEN,
            LAST,
            r#"{"choices":[],"usage":{"completion_tokens":2.0}}"#,
            " [DONE] ",
        ]),
        Answer::events([&both, LAST, USAGE, DONE]),
        Answer::events([
            r#"{"choices":[{"delta":{"content":"\ud83d"}}]}"#,
            LAST,
            DONE,
        ]),
        Answer::events([
            r#"{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f"}}]}}]}"#,
            LAST,
            DONE,
        ]),
        Answer::stream([bom, format!("data: {LAST}\r\rdata: [DONE]\r\r")]),
        Answer::stream([format!("data: {TOKEN}\n\ndata: {LAST}\n\ndata: [DONE]")]),
    ] {
        let here = Here::new();
        let (code, text) = here.run(&Scripted::start(vec![answer.clone()]), "2");
        assert_eq!(code, Some(0), "{answer:?}: {text}");
        let record = here.record();
        assert_eq!(
            record["failures"].as_array().map(Vec::len),
            Some(0),
            "{answer:?}"
        );
        assert!(
            record["summary"]["output_tok_s"].as_f64() > Some(0.0),
            "{answer:?}: {text}"
        );
        assert!(record["summary"]["ttft_ms"].is_object(), "{answer:?}");
    }
}

#[test]
fn a_stream_is_over_with_its_end_mark_whether_or_not_the_connection_is() {
    let here = Here::new();
    let server = Scripted::start(vec![good().held()]);
    let (code, text) = here.run(&server, "2");
    assert_eq!(code, Some(0), "{text}");
    let record = here.record();
    // Far below REQUEST_TIMEOUT, which a wait for the connection's end would take.
    assert!(
        record["summary"]["e2el_ms"]["p99"].as_f64() < Some(5_000.0),
        "{text}"
    );
    assert!(server.posts() > 20, "{} requests", server.posts());
}

#[test]
fn the_first_tokens_of_reasoning_and_of_the_answer_have_times_of_their_own() {
    let here = Here::new();
    let thought = TOKEN.replace("\"content\"", "\"reasoning_content\"");
    let server = Scripted::start(vec![Answer::events([&thought, LAST, USAGE, DONE])]);
    let (code, text) = here.run(&server, "2");
    assert_eq!(code, Some(0), "{text}");
    let summary = &here.record()["summary"];
    let mean = |name: &str| summary[name]["mean"].as_f64().expect("a figure");
    assert!(mean("ttfo_ms") >= mean("ttft_ms"), "{summary}");
    assert!(text.contains("TTFO"), "{text}");
}

#[test]
fn contradictions_are_said_in_the_run_its_record_and_wherever_it_is_shown() {
    let cases = [
        (
            Answer::events([
                TOKEN,
                LAST,
                r#"{"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":0}}"#,
                DONE,
            ]),
            "usage counts 0 output tokens although text came",
        ),
        (
            Answer::events([
                TOKEN,
                LAST,
                r#"{"choices":[],"usage":{"prompt_tokens":9000,"completion_tokens":2}}"#,
                DONE,
            ]),
            "the server counts 9000 prompt tokens where",
        ),
        (
            Answer::events([
                TOKEN,
                LAST,
                r#"{"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":64}}"#,
                DONE,
            ]),
            "longer than the 2 output tokens that max_tokens allows (64)",
        ),
        (
            Answer::stream([format!(
                "data: {TOKEN}\n\ndata: {LAST}\n\ndata: {USAGE}\n\ndata: [DONE]\n\n"
            )]),
            "all text came in one read",
        ),
    ];
    for (answer, words) in cases {
        let here = Here::new();
        let (code, text) = here.run(&Scripted::start(vec![answer]), "2");
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(words), "{words}: {text}");
        let tok_s = here.record()["summary"]["output_tok_s"].as_f64();
        assert!(tok_s > Some(0.0), "{words}: {text}");
        let (_, again) = said(&here.command(&["results"]));
        assert!(again.contains(words), "{words}: {again}");
        let page = here.0.path().join("report.html");
        let file = page.display().to_string();
        let (code, text) = said(&here.command(&["report", "--single-file", &file]));
        assert_eq!(code, Some(0), "{text}");
        assert!(contains(&page, words), "{words}");
    }
}

#[test]
fn the_check_says_what_an_answer_contradicts_before_any_load() {
    let zero = r#"{"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":0}}"#;
    let server = Scripted::start(vec![Answer::events([TOKEN, LAST, zero, DONE])]);
    let (code, text) = said(&Here::new().command(&["check", "--endpoint", server.url()]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("yes, but see below"), "{text}");
    assert!(
        text.contains("usage counts 0 output tokens although text came"),
        "{text}"
    );
    let server = Scripted::start(vec![Answer::events([TOKEN, &finishing("\"abort\""), DONE])]);
    let (code, text) = said(&Here::new().command(&["check", "--endpoint", server.url()]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("aborted by the server"), "{text}");
}

#[test]
fn answers_shorter_than_asked_for_are_said() {
    let here = Here::with(r#"{"FIXED_OUTPUT_LENGTH": true}"#);
    let (code, text) = here.run(&Scripted::start(vec![good()]), "8");
    assert_eq!(code, Some(0), "{text}");
    assert!(
        text.contains("shorter than the 8 output tokens that were asked for (2)"),
        "{text}"
    );
}

fn contains(path: &Path, words: &str) -> bool {
    let text = std::fs::read_to_string(path).expect("a page");
    text.contains(words)
}

#[test]
fn an_answer_far_larger_than_asked_for_is_broken_off() {
    let endless = std::iter::repeat_n(TOKEN, 20_000).chain([LAST, USAGE, DONE]);
    let server = Scripted::start(vec![good(), Answer::events(endless)]);
    let (_, text) = Here::new().run(&server, "2");
    assert!(
        text.contains("answer too large, first: more than 4224 content events"),
        "{text}"
    );
}

#[test]
fn an_impossible_token_count_is_reported_and_does_not_end_the_run() {
    let here = Here::new();
    let usage = USAGE.replace(
        "\"completion_tokens\":2",
        "\"completion_tokens\":4294967295",
    );
    let impossible = Answer::events([TOKEN, LAST, &usage, DONE]);
    let server = Scripted::start(vec![good(), impossible]);
    let (code, text) = here.run(&server, "2");
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("longer than the 2 output tokens"), "{text}");
    for arguments in [
        &["results"][..],
        &["report"],
        &["results", "--format", "vllm"],
    ] {
        let (code, text) = said(&here.command(arguments));
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
    }
}
