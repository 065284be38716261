//! `servemark results`: a run's figures for people and for other programs. The run is in virtual time.

mod records;

use std::fs;

use records::{Results, Run};
use serde_json::Value;
use servemark::RunRecord;
use servemark::internals::client::{Failure, FailureCause, Outcome, RequestRecord};

/// Two points, the latest run.
fn results() -> Results {
    let results = Results::new();
    for concurrency in [4, 8] {
        let run = Run {
            concurrency,
            ..Run::new(1, "")
        };
        results.write("new", &run.record("0.32.0"));
    }
    results
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn numbers(value: &Value) -> Vec<f64> {
    let array = value.as_array().expect("an array");
    array
        .iter()
        .map(|n| n.as_f64().expect("a number"))
        .collect()
}

#[test]
fn the_table_fits_a_terminal_and_says_that_it_is_simulated() {
    let text = results().succeed(&["results"]);
    assert!(
        text.starts_with("## chat_throughput — **simulated**"),
        "{text}"
    );
    for line in text.lines().filter(|line| line.starts_with('|')) {
        assert!(line.chars().count() <= 120, "{line}");
    }
    assert_eq!(
        text.matches("| 100    | ").count(),
        6,
        "two points in three tables: {text}"
    );
    assert!(!text.contains('\u{1b}'), "no colours in a pipe: {text:?}");
    let one = results().succeed(&["results", "--point", "c=8$"]);
    assert_eq!(one.matches("| 100    | 8 |").count(), 3, "{one}");
    assert!(!one.contains("| 100    | 4 |"), "{one}");
    let said = results().fail(&["results", "--point", "nothing"]);
    assert!(said.contains("--point nothing"), "{said}");
}

#[test]
fn csv_and_markdown_have_all_columns_of_every_point() {
    let results = results();
    let csv = results.succeed(&["results", "--format", "csv"]);
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let heads = reader.headers().expect("a head").clone();
    assert_eq!(&heads[0], "Number of Concurrent Requests");
    let rows: Vec<_> = reader.records().map(|row| row.expect("a row")).collect();
    assert_eq!(rows.len(), 2);
    assert!(rows.iter().all(|row| row.len() == heads.len()));
    let markdown = results.succeed(&["results", "--format", "markdown"]);
    for head in [
        "P99 Latency (ms)",
        "ITL P90 (ms)",
        "ITL P95 (ms)",
        "ITL P99.9 (ms)",
        "Token Count Source",
        "Event-Loop Lag P99 (ms)",
    ] {
        assert!(heads.iter().any(|known| known == head), "{heads:?}");
        assert!(
            markdown.contains(&format!("{head} |")),
            "{head}: {markdown}"
        );
    }
    assert!(markdown.contains("**simulated**"), "{markdown}");
}

#[test]
fn json_gives_the_records_back() {
    let results = results();
    let lines = results.succeed(&["results", "--format", "json"]);
    assert_eq!(lines.lines().count(), 2, "one record a line");
    results.succeed(&["results", "--format", "json", "--output", "out"]);
    for concurrency in [4, 8] {
        let path = results
            .path()
            .join(format!("out/chat_throughput-100-c{concurrency}.json"));
        let record = RunRecord::read(&path).expect("a record");
        assert_eq!(record.level.to_string(), format!("c={concurrency}"));
    }
    results.succeed(&["results", "--format", "json", "--output", "all.jsonl"]);
    let file = fs::read_to_string(results.path().join("all.jsonl")).expect("a file");
    assert_eq!(file, lines);
}

/// Keys of vLLM's result that have an item for each request.
const PER_REQUEST: [&str; 9] = [
    "input_lens",
    "output_lens",
    "ttfts",
    "itls",
    "latencies",
    "start_times",
    "queue_times",
    "generated_texts",
    "errors",
];

/// The result that vLLM would have written of a record.
fn vllm(record: &RunRecord) -> Value {
    let results = Results::new();
    results.write("new", record);
    json(&results.succeed(&["results", "--format", "vllm"]))
}

#[test]
fn vllms_result_has_its_keys() {
    let result = vllm(&Run::new(1, "").record("0.32.0"));
    let mut keys: Vec<String> = [
        "date",
        "endpoint_type",
        "backend",
        "label",
        "model_id",
        "tokenizer_id",
        "num_prompts",
        "request_rate",
        "burstiness",
        "max_concurrency",
        "duration",
        "completed",
        "failed",
        "total_input_tokens",
        "total_output_tokens",
        "request_throughput",
        "request_goodput",
        "output_throughput",
        "total_token_throughput",
        "max_output_tokens_per_s",
        "max_concurrent_requests",
        "rtfx",
    ]
    .map(String::from)
    .into();
    for latency in ["ttft", "tpot", "itl", "e2el", "client_queue_time"] {
        for figure in ["mean", "median", "std", "p95", "p99", "p99.9"] {
            keys.push(format!("{figure}_{latency}_ms"));
        }
    }
    keys.extend(PER_REQUEST.map(String::from));
    for key in keys {
        assert!(result.get(&key).is_some(), "{key} is missing");
    }
    assert_eq!(result["request_rate"], "inf");
    assert_eq!(result["max_concurrency"], 8);
    assert_eq!(
        result["request_goodput"],
        Value::Null,
        "no objective was set"
    );
    assert_eq!(result["simulated"], "sim-small");
    assert!(
        result["label"]
            .as_str()
            .is_some_and(|label| label.contains("simulated"))
    );
    let date = result["date"].as_str().expect("a date");
    assert!(
        date.len() == 15 && date.as_bytes()[8] == b'-',
        "20250131-235959: {date}"
    );
}

#[test]
fn vllms_figures_agree_with_each_other_and_with_the_record() {
    let record = Run::new(1, "").record("0.32.0");
    let result = vllm(&record);
    let figure = |key: &str| {
        result[key]
            .as_f64()
            .unwrap_or_else(|| panic!("{key}: {}", result[key]))
    };
    let near = |a: f64, b: f64, what: &str| {
        assert!(
            (a - b).abs() <= 1e-6 * b.abs().max(1e-9),
            "{what}: {a} and {b}"
        );
    };
    let array = |key: &str| numbers(&result[key]);
    let requests = figure("completed") as usize;
    assert_eq!(requests, 10 * 4 * 8, "ten windows of four rounds of eight");
    for key in PER_REQUEST {
        assert_eq!(
            result[key].as_array().map(Vec::len),
            Some(requests),
            "{key}"
        );
    }
    near(
        figure("request_throughput"),
        figure("completed") / figure("duration"),
        "RPS",
    );
    near(
        array("input_lens").iter().sum(),
        figure("total_input_tokens"),
        "input",
    );
    near(
        array("output_lens").iter().sum(),
        figure("total_output_tokens"),
        "output",
    );
    let summary = record.summary.as_ref().expect("figures");
    near(
        figure("output_throughput"),
        summary.output_tok_s.expect("counted"),
        "tok/s",
    );
    near(
        figure("total_token_throughput"),
        figure("output_throughput") + summary.input_tok_s,
        "all tok/s",
    );
    // Within a round's edges of what vLLM divides.
    let theirs = figure("total_output_tokens") / figure("duration");
    assert!(
        (figure("output_throughput") / theirs - 1.0).abs() < 0.03,
        "{theirs}"
    );

    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (ttfts, latencies) = (array("ttfts"), array("latencies"));
    near(
        figure("mean_ttft_ms"),
        1e3 * mean(&ttfts),
        "TTFT: seconds in arrays, ms in figures",
    );
    near(figure("mean_e2el_ms"), 1e3 * mean(&latencies), "E2EL");
    let itls: Vec<Vec<f64>> = result["itls"]
        .as_array()
        .expect("an array")
        .iter()
        .map(numbers)
        .collect();
    near(figure("mean_itl_ms"), 1e3 * mean(&itls.concat()), "ITL");
    let output = array("output_lens");
    for (at, gaps) in itls.iter().enumerate() {
        assert_eq!(
            gaps.len() as f64,
            output[at] - 1.0,
            "a gap for each token but the first"
        );
        let latency = ttfts[at] + gaps.iter().sum::<f64>();
        assert!(
            (latency - latencies[at]).abs() < 2e-6,
            "{latency} and {}",
            latencies[at]
        );
    }
    let tpots: Vec<f64> = (0..requests)
        .map(|at| (latencies[at] - ttfts[at]) / (output[at] - 1.0))
        .collect();
    assert!((figure("mean_tpot_ms") - 1e3 * mean(&tpots)).abs() < 1e-3);
    let variance = mean(
        &ttfts
            .iter()
            .map(|ttft| (ttft - mean(&ttfts)).powi(2))
            .collect::<Vec<_>>(),
    );
    near(
        figure("std_ttft_ms"),
        1e3 * variance.sqrt(),
        "numpy's std divides by n",
    );
    assert!(figure("median_e2el_ms") <= figure("p99_e2el_ms"));
    assert!(figure("max_concurrent_requests") <= 8.0 && figure("max_concurrent_requests") >= 7.0);
    assert!(figure("max_output_tokens_per_s") <= 1.3 * theirs);
}

#[test]
fn failed_requests_keep_their_place_in_vllms_arrays() {
    let mut record = Run::new(1, "").record("0.32.0");
    let mut requests: Vec<_> = record.requests.iter().collect();
    requests[1].outcome = Outcome::Failed(Failure {
        cause: FailureCause::Http(503),
        message: String::new(),
    });
    record.requests = requests.into_iter().collect();
    let result = vllm(&record);
    assert_eq!(result["errors"][1], "HTTP 503");
    assert_eq!(result["errors"][0], "");
    assert_eq!(result["output_lens"][1], 0);
    assert_eq!(result["itls"][1], Value::Array(Vec::new()));
    assert_eq!(result["ttfts"][1], 0.0);
}

#[test]
fn documents_of_json_are_those_that_memory_would_hold() {
    let results = results();
    for format in ["json", "vllm"] {
        let lines = results.succeed(&["results", "--format", format]);
        let whole: String = lines
            .lines()
            .map(|line| json(line).to_string() + "\n")
            .collect();
        assert!(lines == whole, "{format}: {lines}");
    }
}

/// The most memory that `servemark results` has taken by the time it has printed most of this record in this format
/// (bytes). It waits for what it prints to be read.
#[cfg(target_os = "linux")]
fn peak_bytes(record: &RunRecord, format: &str) -> u64 {
    use std::io::Read;

    let results = Results::new();
    results.write("new", record);
    let mut child = results
        .command(&["results", "--format", format])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut stdout = child.stdout.take().expect("a pipe");
    let status = format!("/proc/{}/status", child.id());
    let (mut peak, mut piece) = (None, vec![0; 1 << 16]);
    while stdout.read(&mut piece).expect("readable") > 0 {
        let status = fs::read_to_string(&status).expect("a process");
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        // A process has none from its end on.
        peak = most.map(str::to_owned).or(peak);
    }
    assert!(child.wait().expect("it ends").success());
    let peak = peak.expect("more output than pipes hold");
    let kilobytes = peak.trim_end_matches("kB").trim();
    1024 * kilobytes.parse::<u64>().expect("a number")
}

#[cfg(target_os = "linux")]
#[test]
fn documents_of_more_tokens_take_a_few_bytes_for_each() {
    const TIMES: [usize; 2] = [10, 60];
    let record = Run::new(1, "").record("0.32.0");
    let requests: Vec<_> = record.requests.iter().collect();
    let completed = requests
        .iter()
        .cloned()
        .filter_map(RequestRecord::completed);
    let events: usize = completed.map(|r| r.outcome.content_ns.len()).sum();
    let records = TIMES.map(|times| {
        let mut longer = record.clone();
        let requests = std::iter::repeat_n(&requests, times).flatten();
        longer.requests = requests.cloned().collect();
        let windows = std::iter::repeat_n(&record.windows, times).flatten();
        longer.windows = windows.cloned().collect();
        longer
    });
    // Four bytes of a token, and some of a request.
    let allowed = (TIMES[1] - TIMES[0]) * (4 * events + 64 * requests.len());
    for format in ["json", "vllm"] {
        let [short, long] = [&records[0], &records[1]].map(|record| peak_bytes(record, format));
        assert!(
            long <= short + allowed as u64,
            "{format}: {short} bytes, {long} with more tokens, of which {allowed} are allowed"
        );
    }
}
