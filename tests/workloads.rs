//! Workloads of mixed lengths, as a user runs them.

mod cargo_bench;
mod engines;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cargo_bench::CargoBench;
use engines::engine;
use serde_json::{Value, json};
use servemark::RunRecord;
use servemark::internals::prompt::{SpecialTokens, TokenCounter};
use tempfile::TempDir;

const SHORT: [&str; 7] = [
    "run",
    "--duration",
    "0.6",
    "--warm-up",
    "0.1",
    "--windows",
    "3",
];

/// Short enough for this test, and of many different lengths.
const WORKLOADS: &str =
    r#"[{"name": "mixed", "lengths": "N(60,30)/(8,4)", "slo": {"ttft": 60000}}, "rag"]"#;

/// The shipped tokenizer, by its path.
const TOKENIZER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tokenizer");

fn run(directory: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
    command
        .args(SHORT)
        .args(arguments)
        .current_dir(directory)
        .env("CRITERION_HOME", directory);
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("SERVEMARK_")) {
        command.env_remove(key);
    }
    command.env("SERVEMARK_WORKLOADS", WORKLOADS);
    command.envs(variables.iter().copied());
    command.output().expect("the command runs")
}

fn here() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

fn record(directory: &Path, prompt: &str) -> (RunRecord, Value) {
    let path = directory.join(format!("servemark/run/{prompt}/c=16/new.json"));
    let json = std::fs::read_to_string(&path).expect("a record");
    let record = RunRecord::read(&path).expect("a record");
    (record, serde_json::from_str(&json).expect("JSON"))
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]];
    both.map(String::from_utf8_lossy).concat()
}

/// Prompt and output tokens by the position of the request.
fn lengths(json: &Value) -> BTreeMap<u64, (u64, u64)> {
    let column = |name: &str| json["requests"][name].as_array().expect("a column").clone();
    let numbers = |name: &str| {
        column(name)
            .into_iter()
            .map(|n| n.as_u64().expect("a number"))
    };
    let lengths = numbers("input_tokens").zip(numbers("output_tokens"));
    numbers("index")
        .map(|index| index & 0x7FFF_FFFF)
        .zip(lengths)
        .collect()
}

#[test]
fn token_counts_are_those_drawn_and_the_same_in_every_run() {
    let engine = engine(|_| {});
    let endpoint = [
        "--endpoint",
        engine.urls()[0].as_str(),
        "--workload",
        "mixed",
        "--concurrency",
        "16",
    ];
    let runs = ["1", "2"].map(|seed| {
        let here = here();
        let ran = run(
            here.path(),
            &[&endpoint[..], &["--seed", seed]].concat(),
            &[],
        );
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran));
        let (record, json) = record(here.path(), "mixed");
        let summary = record.summary.as_ref().expect("figures");
        assert_eq!(
            summary.contradictions,
            [],
            "the server counts what was drawn"
        );
        assert!(summary.goodput > Some(0.0), "its own objectives");
        assert_eq!(record.config["SLO"], json!({"ttft": 60000.0}));
        let asked = &json["requests"]["requested_tokens"];
        assert_eq!(asked, &json["requests"]["output_tokens"]);
        assert_eq!(json["requests"]["output_source"][0], "server");
        lengths(&json)
    });
    let [first, second] = &runs;
    let both = first
        .iter()
        .filter(|(position, _)| second.contains_key(position));
    let both = Vec::from_iter(both);
    assert!(both.len() >= 16, "{} requests in common", both.len());
    assert!(
        both.iter()
            .all(|(position, lengths)| second[position] == **lengths)
    );
    let distinct: std::collections::BTreeSet<_> = both.iter().map(|(_, lengths)| lengths).collect();
    assert!(distinct.len() > 10, "{distinct:?}");
}

/// A server that keeps the bodies of completions.
struct Recorder {
    url: String,
    bodies: Arc<Mutex<Vec<Value>>>,
    _runtime: tokio::runtime::Runtime,
}

type Bodies = Arc<Mutex<Vec<Value>>>;

impl Recorder {
    fn start() -> Recorder {
        let bodies = Bodies::default();
        let models = json!({"object": "list", "data": [{"id": "m", "object": "model", "max_model_len": 100}]});
        let router = Router::new()
            .route("/health", get(|| async { "" }))
            .route(
                "/version",
                get(|| async { Json(json!({"version": "0.32.0"})) }),
            )
            .route("/v1/models", get(move || async move { Json(models) }))
            .route(
                "/metrics",
                get(|| async { "vllm:num_requests_running 2.0\n" }),
            )
            .route("/v1/completions", post(complete))
            .with_state(Arc::clone(&bodies));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0");
        let listener = runtime.block_on(listener).expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Recorder {
            url,
            bodies,
            _runtime: runtime,
        }
    }
}

/// Answers with as many tokens as are allowed.
async fn complete(State(bodies): State<Bodies>, Json(body): Json<Value>) -> Response {
    let tokens = body["max_tokens"].as_u64().expect("a number");
    bodies.lock().expect("whole").push(body);
    let event = |n| {
        let reason = (n + 1 == tokens).then_some("length");
        format!(
            "data: {}\n\n",
            json!({"choices": [{"index": 0, "text": " the", "finish_reason": reason}]})
        )
    };
    let usage = json!({"choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": tokens}});
    let events: String = (0..tokens).map(event).collect();
    let stream = format!("{events}data: {usage}\n\ndata: [DONE]\n\n");
    ([("content-type", "text/event-stream")], stream).into_response()
}

#[test]
fn the_bytes_on_the_wire_ask_for_each_requests_own_length() {
    let server = Recorder::start();
    let here = here();
    let counter = TokenCounter::shipped().expect("a tokenizer");
    let variables = [("SERVEMARK_TOKENIZER_PATH", TOKENIZER)];
    let arguments = [
        "--endpoint",
        &server.url,
        "--workload",
        "mixed",
        "--concurrency",
        "16",
    ];
    let ran = run(here.path(), &arguments, &variables);
    let said = text(&ran);
    assert!(
        said.contains("1000 requests that follow the law are left out"),
        "{said}"
    );
    let bodies = server.bodies.lock().expect("whole");
    // The first asked whether the server is ready.
    let load = bodies.iter().filter(|body| body["ignore_eos"] == true);
    let lengths = load.map(|body| {
        let prompt = body["prompt"].as_str().expect("a text");
        let input = counter
            .count(prompt, SpecialTokens::Added)
            .expect("counted");
        assert_eq!(body["max_tokens"], body["min_tokens"], "exactly so many");
        (input, body["max_tokens"].as_u64().expect("a number"))
    });
    let lengths = Vec::from_iter(lengths);
    assert!(lengths.len() >= 48, "{} requests", lengths.len());
    assert!(
        lengths
            .iter()
            .all(|(input, output)| input + *output as usize <= 100)
    );
    let (_, json) = record(here.path(), "mixed");
    let kinds = json["summary"]["contradictions"]
        .as_array()
        .expect("a list");
    let told = kinds.iter().any(|one| one["kind"] == "prompt_count");
    assert!(
        told,
        "the server counts 20 tokens whatever the prompt: {kinds:?}"
    );
}

#[test]
fn runs_with_different_definitions_of_a_workload_are_not_compared() {
    let engine = engine(|_| {});
    let here = here();
    let measure = |workloads: &str| {
        let arguments = [
            "--endpoint",
            engine.urls()[0].as_str(),
            "--workload",
            "mixed",
            "--concurrency",
            "16",
        ];
        let ran = run(
            here.path(),
            &arguments,
            &[("SERVEMARK_WORKLOADS", workloads)],
        );
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran));
    };
    let servemark = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
        let command = command.args(arguments).current_dir(here.path());
        command
            .env("CRITERION_HOME", here.path())
            .output()
            .expect("it runs")
    };
    measure(WORKLOADS);
    assert!(servemark(&["baseline", "save", "old"]).status.success());
    // The other workloads of the list do not count, nor how the law is written.
    measure(
        r#"[{"name": "mixed", "lengths": {"input": "N(60,30)", "output": "N(8,4)"}, "slo": {"ttft": 60000}}]"#,
    );
    let compared = text(&servemark(&["compare", "old", "new"]));
    assert!(!compared.contains("cannot be compared"), "{compared}");
    measure(r#"[{"name": "mixed", "lengths": "N(60,30)/(9,4)"}]"#);
    let refused = servemark(&["compare", "old", "new"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(
        text(&refused).contains("the workload's definition"),
        "{}",
        text(&refused)
    );
}

#[test]
fn an_unknown_workload_is_an_error_with_the_nearest_name() {
    let here = here();
    let ran = run(here.path(), &["--workload", "cha"], &[]);
    assert_eq!(ran.status.code(), Some(2));
    assert!(
        text(&ran).contains("did you mean \"chat\"?"),
        "{}",
        text(&ran)
    );
}

#[test]
fn two_deployments_in_turns_get_the_same_sequence_of_lengths_and_no_prompt_twice() {
    let sides = [Recorder::start(), Recorder::start()];
    let mut bench = CargoBench::new("workloads");
    bench
        .env(
            "SERVEMARK_AB",
            &format!("old={},new={}", sides[0].url, sides[1].url),
        )
        .env("SERVEMARK_WORKLOADS", WORKLOADS)
        .env("SERVEMARK_TOKENIZER_PATH", TOKENIZER)
        .env("SERVEMARK_CONCURRENT_LEVELS", "16");
    let ran = bench.run(&[
        "--warm-up-time",
        "0.1",
        "--measurement-time",
        "0.5",
        "mixed",
    ]);
    assert!(ran.succeeded, "{}", ran.text);
    let sequences = ["old", "new"].map(|side| {
        let path = format!("servemark/workloads/mixed/c=16/{side}.json");
        let json = std::fs::read_to_string(ran.results().join(path)).expect("a record");
        let json: Value = serde_json::from_str(&json).expect("JSON");
        lengths(&json)
    });
    let [old, new] = &sequences;
    let both = Vec::from_iter(
        old.iter()
            .filter(|(position, _)| new.contains_key(position)),
    );
    assert!(
        both.len() >= 16,
        "{} of {} and {}",
        both.len(),
        old.len(),
        new.len()
    );
    assert!(
        both.iter()
            .all(|(position, tokens)| new[position] == **tokens)
    );
    let prompts = sides.iter().flat_map(|side| {
        let bodies = side.bodies.lock().expect("whole").clone();
        bodies.into_iter().filter(|body| body["ignore_eos"] == true)
    });
    let prompts = Vec::from_iter(prompts.map(|body| body["prompt"].to_string()));
    let distinct = prompts.iter().collect::<std::collections::BTreeSet<_>>();
    assert_eq!(distinct.len(), prompts.len(), "no prompt is repeated");
}
