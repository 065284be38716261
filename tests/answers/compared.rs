//! Failing servers against a healthy but slow one: what fails is never called faster.

use super::scripted::{Answer, Scripted};
use super::{DONE, Here, LAST, TOKEN, USAGE, finishing, good, said};

/// Tokens of the slow server's answers.
const TOKENS: &str = "401";

/// Where a healthy server that takes its time for long answers has been measured and kept as `before`.
fn measured_before() -> Here {
    let here = Here::new();
    let slow = std::iter::repeat_n(TOKEN, 400).chain([LAST, USAGE, DONE]);
    here.run(&Scripted::start(vec![Answer::events(slow)]), TOKENS);
    said(&here.command(&["baseline", "save", "before"]));
    here
}

#[test]
fn a_server_that_fails_more_is_never_called_faster() {
    let here = measured_before();
    for failing in [
        Answer::events([DONE]),
        Answer::events([TOKEN, &finishing("\"abort\""), DONE]),
        Answer::json(r#"{"object":"error","message":"no room"}"#),
    ] {
        let server = Scripted::start(vec![good(), good(), failing]);
        let (code, text) = here.run(&server, TOKENS);
        assert_eq!(code, Some(0), "a third fails: {text}");
        let (_, text) = said(&here.command(&["compare", "before", "new"]));
        assert!(text.contains("0 improved"), "{text}");
        assert!(text.contains("failed (%)"), "{text}");
        let (code, text) = said(&here.command(&["gate", "--baseline", "before"]));
        assert!(matches!(code, Some(1 | 2)), "{code:?}: {text}");
        assert!(text.contains("of the requests of before failed"), "{text}");
    }
}

#[test]
fn a_server_that_dies_during_a_run_leaves_its_failures_and_is_never_called_faster() {
    let here = measured_before();
    // The warm-up and some windows are served, then nothing is.
    for served in [30, 31, 60, 61, 100] {
        let died = Answer::whole(
            "500 Internal Server Error",
            r#"{"error":{"message":"died"}}"#,
        );
        let server = Scripted::start_and_then(vec![good()], served, died);
        let (code, text) = here.run(&server, TOKENS);
        assert_eq!(code, Some(1), "{served}: {text}");
        let record = here.record();
        let failures = record["failures"].to_string();
        assert!(failures.contains("died"), "{served}: {failures}");
        let (_, text) = said(&here.command(&["compare", "before", "new"]));
        assert!(text.contains("0 improved"), "{served}: {text}");
        let (code, text) = said(&here.command(&["gate", "--baseline", "before"]));
        assert!(matches!(code, Some(1 | 2)), "{served}: {code:?}: {text}");
    }
}
