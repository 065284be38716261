//! A question beside the load never bars it: whatever `/health`, `/version`, `/v1/models`, `/metrics` and `/tokenize`
//! answer, the load's own path decides.

mod engines;
mod gateway;

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
fn a_model_missing_from_v1_models_is_measured_if_the_server_accepts_it() {
    let engine = engines::engine(|_| {});
    let pattern = r#"{"data":[{"id":"openai/*"}]}"#;
    for (body, said) in [
        (pattern, r#"lists "openai/*", not the requested model"#),
        (r#"{"data":[]}"#, "lists none, not the requested model"),
        (r#"{"data":null}"#, "lists none, not the requested model"),
        (
            r#"{"data":[{"object":"model"},{"id":null},{"id":7},"x"]}"#,
            "lists none",
        ),
        (
            r#"{"data":[{"id":"other-lora","max_model_len":-1}]}"#,
            r#"lists "other-lora""#,
        ),
        (r#"{"object":"list"}"#, "not a list of models"),
        ("[]", "not a list of models"),
    ] {
        let models = say("200 OK", &[], body);
        let gateway = Gateway::before(&engine, move |path| match path {
            "/v1/models" => models.clone(),
            _ => Answer::Pass,
        });
        let ran = run(&gateway.url(), &named(MODEL));
        assert_eq!(ran.code, Some(0), "{body}: {}", ran.text);
        assert!(ran.text.contains(said), "{body}: {}", ran.text);
        let record = record(ran.here.path());
        assert_eq!(record.model(), MODEL);
        assert!(
            record.endpoints[0]
                .missing
                .iter()
                .any(|m| m.what == "models"),
            "{body}"
        );
    }
    for body in [
        pattern,
        r#"{"data":[]}"#,
        r#"{"data":null}"#,
        "{}",
        "<html>",
    ] {
        let models = say("200 OK", &[], body);
        let gateway = Gateway::before(&engine, move |path| match path {
            "/v1/models" => models.clone(),
            _ => Answer::Pass,
        });
        let ran = run(&gateway.url(), &[]);
        assert_eq!(ran.code, Some(2), "{body}: {}", ran.text);
        assert!(ran.text.contains("Set MODEL_PATH"), "{body}: {}", ran.text);
    }
}

#[test]
fn an_alias_and_an_entry_among_broken_ones_are_listed() {
    let engine = engines::engine(|_| {});
    for body in [
        format!(r#"{{"data":[{{"id":"/models/file.gguf","aliases":["{MODEL}"]}}]}}"#),
        format!(
            r#"{{"data":[null,{{"id":"openai/*"}},{{"id":"{MODEL}","owned_by":5,"max_model_len":"x"}}]}}"#
        ),
    ] {
        let models = say("200 OK", &[], &body);
        let gateway = Gateway::before(&engine, move |path| match path {
            "/v1/models" => models.clone(),
            _ => Answer::Pass,
        });
        let ran = run(&gateway.url(), &named(MODEL));
        assert_eq!(ran.code, Some(0), "{body}: {}", ran.text);
        assert!(
            !ran.text.contains("not answered as expected"),
            "{body}: {}",
            ran.text
        );
    }
}

#[test]
fn a_key_that_the_load_is_refused_with_is_told_at_once() {
    let engine = engines::engine(|_| {});
    for health in [
        say("401 Unauthorized", &[], ""),
        say("404 Not Found", &[], ""),
    ] {
        let gateway = Gateway::before(&engine, move |path| match is_load(path) {
            true => say("401 Unauthorized", &[], "bad key sk-secret"),
            false => health.clone(),
        });
        let ran = run(&gateway.url(), &named("m"));
        assert_eq!(ran.code, Some(2), "{}", ran.text);
        assert!(
            ran.text.contains("HTTP 401") && ran.text.contains("OPENAI_API_KEY"),
            "{}",
            ran.text
        );
        assert!(!ran.text.contains("sk-secret"), "{}", ran.text);
        let posts = gateway
            .asked()
            .iter()
            .filter(|asked| is_load(asked))
            .count();
        assert_eq!(posts, 1, "told at once: {:?}", gateway.asked());
    }
}

#[test]
fn a_model_that_the_server_refuses_is_named_with_the_models_it_lists() {
    let engine = engines::engine(|_| {});
    for health in [Answer::Pass, say("403 Forbidden", &[], "")] {
        let gateway = Gateway::before(&engine, move |path| match path {
            "/health" => health.clone(),
            _ => Answer::Pass,
        });
        let ran = run(&gateway.url(), &named("org/absent"));
        assert_eq!(ran.code, Some(2), "{}", ran.text);
        for said in [
            "a request for the model \"org/absent\" failed",
            "HTTP 404",
            MODEL,
            "MODEL_PATH",
        ] {
            assert!(ran.text.contains(said), "{said}: {}", ran.text);
        }
    }
}

#[test]
fn a_server_that_is_up_and_cannot_answer_says_why_at_once() {
    let engine = engines::engine(|_| {});
    for (answer, said) in [
        (
            say("500 Internal Server Error", &[], "no such deployment"),
            "no such deployment",
        ),
        (
            say("200 OK", &[], "<html>Sign in</html>"),
            "a request for the model \"m\" failed",
        ),
        (
            say("308 Permanent Redirect", &["location: https://other/"], ""),
            "MODEL_ENDPOINTS",
        ),
    ] {
        let gateway = Gateway::before(&engine, move |path| match is_load(path) {
            true => answer.clone(),
            false => Answer::Pass,
        });
        let ran = run(&gateway.url(), &named("m"));
        assert_eq!(ran.code, Some(2), "{}", ran.text);
        assert!(ran.text.contains(said), "{said}: {}", ran.text);
        assert!(
            !ran.text.contains("not ready after"),
            "at once: {}",
            ran.text
        );
    }
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
fn metrics_that_stop_coming_are_given_up_once_and_hold_up_no_point() {
    let engine = engines::engine(|_| {});
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let gateway = Gateway::before(&engine, move |path| match path {
        "/metrics" => match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Answer::Pass,
            _ => say("403 Forbidden", &[], ""),
        },
        _ => Answer::Pass,
    });
    let ran = run(&gateway.url(), &named(MODEL));
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    let given_up = "its /metrics is not read any more: HTTP 403 Forbidden";
    assert_eq!(ran.text.matches(given_up).count(), 1, "{}", ran.text);
    let metrics = gateway
        .asked()
        .iter()
        .filter(|asked| asked.contains("/metrics"))
        .count();
    assert_eq!(metrics, 2, "before the load, and once more");
}

#[test]
fn metrics_that_hang_are_given_up_within_a_few_questions() {
    let engine = engines::engine(|_| {});
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let gateway = Gateway::before(&engine, move |path| match path {
        "/metrics" => match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Answer::Pass,
            _ => Answer::Hang,
        },
        _ => Answer::Pass,
    });
    let ran = run(&gateway.url(), &named(MODEL));
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    let given_up = "its /metrics is not read any more: no answer within 3.0 s";
    assert_eq!(ran.text.matches(given_up).count(), 1, "{}", ran.text);
    let mut asked = gateway.asked();
    asked.retain(|asked| asked.contains("/metrics"));
    assert!(asked.len() <= 8, "{:?}", gateway.asked());
    assert!(
        record(ran.here.path())
            .server_metrics
            .iter()
            .all(Option::is_none)
    );
}

#[test]
fn metrics_that_never_end_are_given_up_and_said_once() {
    let engine = engines::engine(|_| {});
    let endless = Answer::Endless("vllm:generation_tokens_total 1\n");
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let gateway = Gateway::before(&engine, move |path| match path {
        "/metrics" => match asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) {
            0 => Answer::Pass,
            _ => endless.clone(),
        },
        _ => Answer::Pass,
    });
    let begun = std::time::Instant::now();
    let ran = run(&gateway.url(), &named(MODEL));
    assert_eq!(ran.code, Some(0), "{}", ran.text);
    let given_up = "its /metrics is not read any more: no answer within 3.0 s";
    assert_eq!(ran.text.matches(given_up).count(), 1, "{}", ran.text);
    // Three questions of 3 s in a row at most, and a second for each of the points.
    let took = begun.elapsed();
    assert!(took.as_secs() < 25, "{took:?}: {}", ran.text);
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
