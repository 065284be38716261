//! The harness does not load what it measures: while a load runs, its requests are all that a server gets.

#[path = "cargo_bench/mod.rs"]
mod cargo_bench;

use std::convert::Infallible;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use axum::{Router, extract::Request, middleware};
use cargo_bench::CargoBench;
use serde_json::{Value, json};
use servemark::RunRecord;
use servemark::internals::prompt::{SpecialTokens, TokenCounter};
use tokio::runtime::Runtime;

/// A vLLM-like server on a real socket that notes every request.
struct Server {
    url: String,
    seen: Arc<Seen>,
    _runtime: Runtime,
}

/// The requests that a server got, and its answers.
struct Seen {
    counter: TokenCounter,
    /// Whether it says how many tokens an answer has.
    usage: bool,
    /// It refuses every further request of the load.
    refuses_after: usize,
    requests: Mutex<Vec<(Instant, String)>>,
    /// The texts that the load asked.
    prompts: Mutex<Vec<String>>,
}

/// Tokens of every answer, an event each.
const TOKENS: usize = 4;

const LOAD: &str = "/v1/chat/completions";

impl Server {
    fn start(usage: bool, refuses_after: usize) -> Server {
        let runtime = Runtime::new().expect("a runtime");
        let seen = Arc::new(Seen {
            counter: TokenCounter::shipped().expect("shipped"),
            usage,
            refuses_after,
            requests: Mutex::default(),
            prompts: Mutex::default(),
        });
        let models = json!({"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 8192}]});
        let router = Router::new()
            .route("/health", get(|| async { StatusCode::OK }))
            .route(
                "/version",
                get(|| async { Json(json!({"version": "0.32.0"})) }),
            )
            .route("/v1/models", get(move || async move { Json(models) }))
            .route(
                "/metrics",
                get(|| async { "vllm:num_requests_running 2.0\n" }),
            )
            .route("/tokenize", post(tokenize))
            .route(LOAD, post(chat))
            .layer(middleware::from_fn_with_state(Arc::clone(&seen), note))
            .with_state(Arc::clone(&seen));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = runtime.block_on(listener).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        // Each token is a packet of its own.
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        runtime.spawn(async move { axum::serve(listener, router).await });
        Server {
            url,
            seen,
            _runtime: runtime,
        }
    }

    /// The paths that were asked for between the first and the last request of the load, which have to be
    /// many, without those. `/metrics` is read at the start and the end of each of so many loads, and once a
    /// second in between.
    fn beside_the_load(&self, loads: usize) -> Vec<String> {
        let requests = self.seen.requests.lock().expect("whole");
        let is_load = |request: &(Instant, String)| request.1 == LOAD;
        let first = requests.iter().position(is_load).expect("a load");
        let last = requests.iter().rposition(is_load).expect("a load");
        let load = &requests[first..=last];
        assert!(load.len() > 20, "{} requests", load.len());
        let seconds = load[load.len() - 1]
            .0
            .duration_since(load[0].0)
            .as_secs_f64();
        let beside = load.iter().filter(|request| !is_load(request));
        let beside: Vec<String> = beside.map(|(_, path)| path.clone()).collect();
        let scrapes = beside.iter().filter(|path| *path == "/metrics").count();
        assert!(
            scrapes as f64 <= seconds + 2.0 * loads as f64,
            "{scrapes} scrapes in {seconds} s"
        );
        beside
    }

    fn count(&self, path: &str) -> usize {
        let requests = self.seen.requests.lock().expect("whole");
        requests.iter().filter(|(_, seen)| seen == path).count()
    }

    /// Asserts that nothing but `/metrics` was asked during the load, that what was asked before is bounded,
    /// and that all prompts have one length.
    fn assert_quiet(&self, loads: usize) {
        let beside = self.beside_the_load(loads);
        assert!(beside.iter().all(|path| path == "/metrics"), "{beside:?}");
        let prompts = self.seen.prompts.lock().expect("whole");
        let length = |text: &String| self.seen.counter.count(text, SpecialTokens::None);
        let lengths: Vec<usize> = prompts
            .iter()
            .map(|p| length(p).expect("counted"))
            .collect();
        assert!(
            lengths.iter().all(|length| *length == lengths[0]),
            "prompts are exact: {lengths:?}"
        );
        let mut distinct = prompts.clone();
        distinct.sort_unstable();
        distinct.dedup();
        assert_eq!(distinct.len(), prompts.len(), "no prompt is repeated");
    }
}

async fn note(State(seen): State<Arc<Seen>>, request: Request, next: middleware::Next) -> Response {
    let path = request.uri().path().to_owned();
    seen.requests
        .lock()
        .expect("whole")
        .push((Instant::now(), path));
    next.run(request).await
}

async fn tokenize(State(seen): State<Arc<Seen>>, Json(body): Json<Value>) -> Json<Value> {
    let special = match body["add_special_tokens"].as_bool() {
        Some(true) => SpecialTokens::Added,
        _ => SpecialTokens::None,
    };
    let text = body["prompt"].as_str().expect("a text");
    let tokens = seen.counter.token_ids(text, special).expect("tokens");
    Json(json!({"count": tokens.len(), "tokens": tokens}))
}

async fn chat(State(seen): State<Arc<Seen>>, Json(body): Json<Value>) -> Response {
    {
        let mut prompts = seen.prompts.lock().expect("whole");
        if prompts.len() >= seen.refuses_after {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let text = body["messages"][0]["content"].as_str().expect("a text");
        prompts.push(text.to_owned());
    }
    let token = |n: usize| {
        let reason = (n + 1 == TOKENS).then_some("length");
        json!({"choices": [{"index": 0, "delta": {"content": " the"}, "finish_reason": reason}]})
    };
    let mut events: Vec<String> = (0..TOKENS).map(|n| token(n).to_string()).collect();
    if seen.usage {
        let usage = json!({"prompt_tokens": 30, "completion_tokens": TOKENS});
        events.push(json!({"choices": [], "usage": usage}).to_string());
    }
    events.push("[DONE]".to_owned());
    let stream = futures_util::stream::unfold(events.into_iter(), |mut events| async {
        // The server takes its time for each token.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let event = events.next()?;
        Some((
            Ok::<_, Infallible>(Bytes::from(format!("data: {event}\n\n"))),
            events,
        ))
    });
    let head = [("content-type", "text/event-stream")];
    (head, Body::from_stream(stream)).into_response()
}

fn run(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let short = [
        "run",
        "--duration",
        "0.6",
        "--warm-up",
        "0.1",
        "--windows",
        "3",
    ];
    let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
    command
        .args(short)
        .args(["--prompt", "25", "--max-tokens", "4"])
        .args(arguments)
        .current_dir(directory)
        .env("CRITERION_HOME", directory)
        .env("HF_HUB_CACHE", directory);
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("SERVEMARK_")) {
        command.env_remove(key);
    }
    command.envs(variables.iter().copied());
    command.output().expect("the command runs")
}

fn assert_succeeded(output: &Output) {
    let text = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes));
    assert!(output.status.success(), "{}{}", text[0], text[1]);
}

/// A bench of one short point at these servers.
fn bench(variables: &[(&str, &str)]) -> CargoBench {
    let mut bench = CargoBench::one_point();
    bench.env("SERVEMARK_MAX_NEW_TOKENS", "4");
    for (key, value) in variables {
        bench.env(key, value);
    }
    bench
}

const SHORT: [&str; 4] = ["--warm-up-time", "0.2", "--measurement-time", "1"];

#[test]
fn no_prompt_is_counted_during_the_load_over_levels_and_runs() {
    let (directory, server) = (
        tempfile::tempdir().expect("a directory"),
        Server::start(true, usize::MAX),
    );
    let arguments = ["--endpoint", &server.url, "--concurrency", "2,16"];
    assert_succeeded(&run(
        directory.path(),
        &arguments,
        &[("SERVEMARK_RUNS", "2")],
    ));
    server.assert_quiet(4);
    let asked = server.count("/tokenize");
    assert!((1..=600).contains(&asked), "{asked} requests to prepare");
}

#[test]
fn answers_without_usage_are_counted_when_the_load_is_over() {
    let (directory, server) = (
        tempfile::tempdir().expect("a directory"),
        Server::start(false, usize::MAX),
    );
    let arguments = ["--endpoint", &server.url, "--concurrency", "4"];
    assert_succeeded(&run(
        directory.path(),
        &arguments,
        &[("SERVEMARK_PRECISION", "20%")],
    ));
    server.assert_quiet(1);
    let record = RunRecord::read(&directory.path().join("servemark/run/25/c=4/new.json"));
    let tokens = record.expect("a record").summary.expect("figures").tokens;
    let tokens = serde_json::to_value(tokens).expect("JSON");
    assert_eq!(
        (&tokens["by_server"], &tokens["uncounted"]),
        (&json!(0), &json!(0))
    );
    assert!(
        tokens["by_tokenizer"].as_u64().is_some_and(|n| n > 0),
        "{tokens}"
    );
}

#[test]
fn a_bench_gives_criterion_what_was_counted_after_the_load() {
    for usage in [true, false] {
        let server = Server::start(usage, usize::MAX);
        let mut bench = bench(&[("SERVEMARK_MODEL_ENDPOINTS", &server.url)]);
        let ran = bench.run(&SHORT);
        assert!(ran.succeeded, "{}", ran.text);
        server.assert_quiet(1);
        let record = ran.record();
        let source = match usage {
            true => "by_server",
            false => "by_tokenizer",
        };
        let counted = record["summary"]["tokens"][source].as_u64();
        assert!(
            counted.is_some_and(|n| n > 0),
            "{}",
            record["summary"]["tokens"]
        );
        for metric in ["output_tok_s", "rps", "ttft", "tpot", "e2el"] {
            let estimates = format!("chat_throughput_25_{metric}/c=4/new/estimates.json");
            assert!(
                bench.results().join(&estimates).is_file(),
                "{estimates}\n{}",
                ran.text
            );
        }
    }
}

#[test]
fn two_deployments_in_turns_are_asked_nothing_between_the_turns() {
    let [old, new] = [true, false].map(|usage| Server::start(usage, usize::MAX));
    let sides = format!("old={},new={}", old.url, new.url);
    let mut bench = bench(&[("SERVEMARK_AB", &sides), ("SERVEMARK_RUNS", "2")]);
    let ran = bench.run(&SHORT);
    assert!(ran.succeeded, "{}", ran.text);
    new.assert_quiet(2);
    // Both sides' loads take turns, and what `new` does not say is counted by the first endpoint after each
    // run of the turns: once within what the first side has seen.
    let prompts = [&old, &new].map(|server| server.seen.prompts.lock().expect("whole").clone());
    let mut both = prompts.concat();
    let all = both.len();
    both.sort_unstable();
    both.dedup();
    assert_eq!(
        both.len(),
        all,
        "no prompt is repeated, on either side or in either run"
    );
}

#[test]
fn ranks_ask_nothing_until_all_of_them_have_ended() {
    let server = Server::start(false, usize::MAX);
    let bench = bench(&[
        ("SERVEMARK_MODEL_ENDPOINTS", &server.url),
        ("SERVEMARK_RANKS", "2"),
    ]);
    let executable = bench.executable();
    let started = ["0", "1"].map(|rank| {
        let mut command = bench.command(&executable);
        command
            .args(["--bench"])
            .args(SHORT)
            .env("JOB_COMPLETION_INDEX", rank);
        command.stdout(std::process::Stdio::piped());
        command.stderr(std::process::Stdio::piped());
        command.spawn().expect("the bench runs")
    });
    for rank in started {
        assert_succeeded(&rank.wait_with_output().expect("it ends"));
    }
    server.assert_quiet(1);
    assert!(server.count("/tokenize") > 100, "the answers were counted");
}

#[test]
fn a_server_that_refuses_at_once_gets_no_more_than_its_share_by_least_outstanding() {
    let directory = tempfile::tempdir().expect("a directory");
    let servers = [usize::MAX, 4, usize::MAX].map(|after| Server::start(true, after));
    let urls = servers
        .each_ref()
        .map(|server| server.url.as_str())
        .join(",");
    let arguments = ["--endpoint", &urls, "--concurrency", "12"];
    let ran = run(
        directory.path(),
        &arguments,
        &[("SERVEMARK_BALANCING", "least_outstanding")],
    );
    assert!(
        String::from_utf8_lossy(&ran.stdout).contains("tok/s"),
        "{ran:?}"
    );
    let [one, refusing, other] = servers.each_ref().map(|server| server.count(LOAD));
    let equal = (one + refusing + other) / 3;
    let counts = format!("{one}, {refusing} refused, {other}");
    assert!(refusing <= equal + equal / 10, "{counts}");
    assert!(one.min(other) >= equal - equal / 10, "{counts}");
}
