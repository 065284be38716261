//! A question beside the load never bars it: whatever `/health`, `/version`, `/v1/models`, `/metrics` and `/tokenize`
//! answer, the load's own path decides.

#[path = "../engines/mod.rs"]
mod engines;
#[path = "../gateway/mod.rs"]
mod gateway;
mod metrics;
mod models;

use std::path::Path;
use std::process::Command;

use gateway::{Answer, Gateway, say};
use servemark::RunRecord;
use tempfile::TempDir;

/// The model that the engine serves.
const MODEL: &str = "simulated/sim-small";

struct Ran {
    code: Option<i32>,
    text: String,
    here: TempDir,
}

/// `servemark` with these arguments against `url`, in a directory of its own.
fn servemark(arguments: &[&str], url: &str, env: &[(&str, &str)]) -> Ran {
    let here = tempfile::tempdir().expect("a folder");
    let output = Command::new(env!("CARGO_BIN_EXE_servemark"))
        .args(arguments)
        .args(["--endpoint", url])
        .current_dir(here.path())
        .env("CRITERION_HOME", here.path())
        .env("HF_HUB_CACHE", here.path())
        .env_remove("OPENAI_API_KEY")
        .env("SERVEMARK_READY_TIMEOUT", "30")
        .envs(env.iter().copied())
        .output()
        .expect("the command runs");
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    Ran {
        code: output.status.code(),
        text: text.concat(),
        here,
    }
}

fn run(url: &str, env: &[(&str, &str)]) -> Ran {
    let arguments = [
        "run",
        "--concurrency",
        "1,2",
        "--max-tokens",
        "4",
        "--duration",
        "0.3",
        "--warm-up",
        "0.1",
        "--windows",
        "2",
    ];
    servemark(&arguments, url, env)
}

fn record(here: &Path) -> RunRecord {
    RunRecord::read(&here.join("servemark/run/100/c=2/new.json")).expect("a record")
}

fn is_load(path: &str) -> bool {
    path.contains("/completions")
}

/// A gateway that answers everything but the load so.
fn all_but_the_load(engine: &servemark::internals::engine::Engine, answer: Answer) -> Gateway {
    Gateway::before(engine, move |path| match is_load(path) {
        true => Answer::Pass,
        false => answer.clone(),
    })
}

fn named(model: &str) -> [(&str, &str); 1] {
    [("SERVEMARK_MODEL_PATH", model)]
}

#[test]
fn bad_answers_to_side_questions_do_not_stop_the_load_and_are_reported_once() {
    let engine = engines::engine(|_| {});
    let huge = "x".repeat(17 << 20);
    let cases = [
        (
            say("401 Unauthorized", &[], "no"),
            "/health (HTTP 401 Unauthorized)",
        ),
        (
            say("403 Forbidden", &[], "no"),
            "/version (HTTP 403 Forbidden)",
        ),
        (
            say("404 Not Found", &[], ""),
            "/metrics (HTTP 404 Not Found)",
        ),
        (
            say("405 Method Not Allowed", &[], ""),
            "/v1/models (HTTP 405 Method Not Allowed)",
        ),
        (
            say("501 Not Implemented", &[], ""),
            "/metrics (HTTP 501 Not Implemented)",
        ),
        (
            say("500 Internal Server Error", &[], "oh"),
            "/health (HTTP 500 Internal Server Error (oh))",
        ),
        (
            say("503 Service Unavailable", &[], ""),
            "/health (HTTP 503 Service Unavailable)",
        ),
        (
            say(
                "307 Temporary Redirect",
                &["location: https://sso.example/login?key=s3cret#x"],
                "",
            ),
            "/health (HTTP 307 Temporary Redirect, to https://sso.example/login)",
        ),
        (
            say("302 Found", &["location: /elsewhere"], ""),
            "/elsewhere)",
        ),
        (
            say("200 OK", &[], "<html>Sign in</html>"),
            "/v1/models (its /v1/models is not a list of models",
        ),
        (
            say("200 OK", &["content-encoding: gzip"], "\u{1f}\u{8b}"),
            "compressed by gzip",
        ),
        (
            say("200 OK", &[], &huge),
            "/version (an answer of more than 16 MiB)",
        ),
        (
            Answer::Say("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{".to_owned()),
            "/version (",
        ),
        (
            Answer::Say(String::new()),
            "/metrics (the connection failed",
        ),
    ];
    for (answer, said) in cases {
        let gateway = all_but_the_load(&engine, answer);
        let ran = run(&gateway.url(), &named(MODEL));
        assert_eq!(ran.code, Some(0), "{said}: {}", ran.text);
        assert_eq!(
            ran.text.matches("not answered as expected").count(),
            1,
            "{said}: {}",
            ran.text
        );
        assert!(ran.text.contains(said), "{said}: {}", ran.text);
        assert!(
            ran.text.contains("tokenizer is unknown"),
            "{said}: {}",
            ran.text
        );
        assert!(!ran.text.contains("s3cret"), "{}", ran.text);
        let record = record(ran.here.path());
        assert!(
            record
                .summary
                .is_some_and(|summary| summary.completed > 0 && summary.failures.is_empty())
        );
        let missing = &record.endpoints[0].missing;
        assert!(
            missing.iter().any(|piece| piece.what == "process_start"),
            "{missing:?}"
        );
        // Not asked for again, point by point.
        let metrics = gateway
            .asked()
            .iter()
            .filter(|asked| asked.contains("/metrics"))
            .count();
        assert_eq!(metrics, 1, "{said}: {:?}", gateway.asked());
    }
}

#[test]
fn a_server_that_never_answers_a_side_question_is_loaded_all_the_same() {
    let engine = engines::engine(|_| {});
    let gateway = all_but_the_load(&engine, Answer::Hang);
    let ran = run(&gateway.url(), &named(MODEL));
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    assert!(
        ran.text.contains("/health (no answer within 2.0 s)"),
        "{}",
        ran.text
    );
}

#[test]
fn check_sends_one_request_whatever_the_pages_say() {
    let engine = engines::engine(|_| {});
    let sent = |health: Answer, models: Answer| {
        let before = successes(&engine);
        let gateway = Gateway::before(&engine, move |path| match path {
            "/health" => health.clone(),
            "/v1/models" => models.clone(),
            _ => Answer::Pass,
        });
        let ran = servemark(&["check", "--model", MODEL], &gateway.url(), &[]);
        assert_eq!(ran.code, Some(0), "{}", ran.text);
        successes(&engine) - before
    };
    let refused = || say("403 Forbidden", &[], "");
    assert_eq!(sent(Answer::Pass, Answer::Pass), 1.0);
    assert_eq!(sent(refused(), refused()), 1.0);
}

fn successes(engine: &servemark::internals::engine::Engine) -> f64 {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let url = servemark::internals::config::EndpointUrl::parse(engine.urls()[0].as_str())
        .expect("an address");
    let http =
        servemark::internals::endpoint::Http::new(reqwest::Client::new(), Default::default());
    let metrics = runtime.block_on(servemark::internals::endpoint::ServerMetrics::scrape(
        &http, &url,
    ));
    metrics
        .expect("metrics")
        .counters
        .request_success_total
        .unwrap_or(0.0)
}

#[test]
fn fields_that_a_server_refuses_can_be_left_out() {
    let engine = engines::engine(|_| {});
    let env = [(
        "SERVEMARK_EXTRA_BODY",
        r#"{"temperature": null, "stream_options": null, "min_tokens": null, "ignore_eos": null}"#,
    )];
    let ran = run(engine.urls()[0].as_str(), &env);
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    let record = record(ran.here.path());
    let summary = record.summary.expect("figures");
    assert!(
        summary.completed > 0 && summary.output_tok_s.is_some(),
        "{summary:?}"
    );
    assert_eq!(
        summary.tokens.source(),
        "tokenizer",
        "usage was not asked for"
    );
}

#[test]
fn the_query_of_the_address_stays_on_every_question_and_is_never_shown() {
    let engine = engines::engine(|_| {});
    let gateway = Gateway::before(&engine, |path| match path.split_once('?') {
        Some((_, "api-version=1&key=s3cret")) => Answer::Pass,
        _ => say("401 Unauthorized", &[], ""),
    });
    let ran = run(
        &format!("{}/v1?api-version=1&key=s3cret", gateway.url()),
        &[],
    );
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    assert!(
        !ran.text.contains("not answered as expected"),
        "{}",
        ran.text
    );
    assert!(
        ran.text.contains("/tokenize?api-version=1&key=hidden"),
        "{}",
        ran.text
    );
    for page in [
        "/health",
        "/version",
        "/v1/models",
        "/metrics",
        "/tokenize",
        "/v1/chat/completions",
    ] {
        assert!(
            gateway.asked().iter().any(|asked| asked.contains(page)),
            "{page}: {:?}",
            gateway.asked()
        );
    }
    let file = std::fs::read_to_string(ran.here.path().join("servemark/run/100/c=2/new.json"));
    let (record, text) = (file.expect("a record"), ran.text);
    assert!(
        !record.contains("s3cret") && !text.contains("s3cret"),
        "{text}"
    );
}

#[test]
fn check_says_yes_where_a_real_request_works() {
    let engine = engines::engine(|_| {});
    let gateway = all_but_the_load(&engine, say("403 Forbidden", &[], ""));
    let ran = servemark(&["check", "--model", MODEL], &gateway.url(), &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    assert!(ran.text.contains("| yes"), "{}", ran.text);
    for said in [
        "health: HTTP 403 Forbidden; the streamed request was answered all the same",
        "server: HTTP 403 Forbidden",
        "(answered; /v1/models: HTTP 403 Forbidden)",
    ] {
        assert!(ran.text.contains(said), "{said}: {}", ran.text);
    }
    // And NO where it does not, whatever the pages say.
    let gateway = Gateway::before(&engine, |path| match is_load(path) {
        true => say("500 Internal Server Error", &[], "out of order"),
        false => Answer::Pass,
    });
    let ran = servemark(&["check"], &gateway.url(), &[]);
    assert_eq!(ran.code, Some(1), "{}", ran.text);
    assert!(
        ran.text.contains("| NO") && ran.text.contains("out of order"),
        "{}",
        ran.text
    );
}
