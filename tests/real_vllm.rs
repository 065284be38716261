//! Agreement with a real vLLM's own counters. Opt-in, as it needs a running server:
//!
//! `SERVEMARK_REAL_VLLM=http://127.0.0.1:8000 cargo test --test real_vllm -- --nocapture`
//!
//! Several servers are given comma-separated, as in `SERVEMARK_MODEL_ENDPOINTS`.

mod cargo_bench;

use cargo_bench::CargoBench;

/// Largest relative difference between the harness and the server.
const TOLERANCE: f64 = 0.02;

fn endpoints() -> Option<String> {
    let endpoints = std::env::var("SERVEMARK_REAL_VLLM").ok()?;
    assert!(
        !endpoints.is_empty(),
        "SERVEMARK_REAL_VLLM is empty: give the server's URL"
    );
    Some(endpoints)
}

fn sum(record: &serde_json::Value, counter: &str) -> f64 {
    let intervals = record["server_metrics"].as_array().expect("an array");
    assert!(
        !intervals.is_empty(),
        "no /metrics of the server in the record"
    );
    let value = |interval: &serde_json::Value| {
        interval["delta"][counter]
            .as_f64()
            .unwrap_or_else(|| panic!("the server's /metrics gave no {counter}: {interval}"))
    };
    intervals.iter().map(value).sum()
}

/// Runs one point and holds its RPS, tok/s and TTFT against the server's counters of the same interval.
fn agrees(bench: &str, filter: &str, shape: &str, endpoints: &str) {
    let mut run = CargoBench::new(bench);
    run.env("SERVEMARK_MODEL_ENDPOINTS", endpoints)
        .env("SERVEMARK_LOAD_SHAPE", shape)
        .env("SERVEMARK_CONCURRENT_LEVELS", "8")
        .env("SERVEMARK_RANDOM_PROMPT_LENGTH", "100")
        .env("SERVEMARK_MAX_NEW_TOKENS", "64");
    let output = run.run(&[filter, "--warm-up-time", "3", "--measurement-time", "30"]);
    assert!(output.succeeded, "{}", output.text);
    let record = output.record();
    assert_eq!(
        record["simulated"],
        serde_json::Value::Null,
        "a real server is wanted"
    );
    let seconds = record["server_metrics"][0]["seconds"]
        .as_f64()
        .expect("seconds");
    let summary = &record["summary"];
    let comparisons = [
        (
            "RPS",
            &summary["rps"],
            sum(&record, "request_success_total") / seconds,
        ),
        (
            "output tok/s",
            &summary["output_tok_s"],
            sum(&record, "generation_tokens_total") / seconds,
        ),
        (
            "mean TTFT (ms)",
            &summary["ttft_ms"]["mean"],
            1e3 * sum(&record, "ttft_seconds_sum") / sum(&record, "ttft_count"),
        ),
    ];
    for (name, harness, server) in comparisons {
        let harness = harness.as_f64().expect("a figure");
        let difference = harness / server - 1.0;
        println!(
            "{bench} {shape}: {name}: harness {harness:.3}, server {server:.3}, {:+.2} %",
            100.0 * difference
        );
        // The server's TTFT begins when it has parsed the request and ends before it writes: it cannot hold
        // the way there and back, so only the rates can be held to the tolerance.
        if name != "mean TTFT (ms)" {
            assert!(
                difference.abs() <= TOLERANCE,
                "{name} differs by {:.1} %",
                100.0 * difference
            );
        } else {
            assert!(harness >= server, "{name}: less than the server itself saw");
        }
    }
}

#[test]
fn rates_agree_with_the_servers_own_counters() {
    let Some(endpoints) = endpoints() else {
        eprintln!("not run: SERVEMARK_REAL_VLLM names no server");
        return;
    };
    for shape in ["wave", "steady"] {
        agrees(
            "chat_throughput",
            "chat_throughput/25/output_tok_s",
            shape,
            &endpoints,
        );
        agrees("pretrained_throughput", "output_tok_s", shape, &endpoints);
    }
}

/// Another server's KV cache than the plan's is a wrong formula. `SERVEMARK_REAL_VLLM_PLAN` has the options of
/// `servemark plan` that describe the server, such as
/// `--config DIR --dtype fp32 --gpus 1 --gpu-memory 4GiB --kv-cache-memory 1GiB` for one on CPU with
/// `VLLM_CPU_KVCACHE_SPACE=1`.
#[test]
fn the_plans_kv_cache_is_the_servers_own() {
    let (Some(endpoints), Ok(options)) = (endpoints(), std::env::var("SERVEMARK_REAL_VLLM_PLAN"))
    else {
        eprintln!("not run: SERVEMARK_REAL_VLLM and SERVEMARK_REAL_VLLM_PLAN are not both set");
        return;
    };
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_servemark"))
        .arg("plan")
        .args(options.split_whitespace())
        .output()
        .expect("the command runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let row = text.lines().find(|line| line.starts_with("| 1 × 1 "));
    let cell = row
        .and_then(|row| row.split('|').nth(5))
        .expect("a layout of one GPU");
    let planned: f64 = cell.trim().replace(',', "").parse().expect("tokens");
    let url = format!(
        "{}/metrics",
        endpoints
            .split(',')
            .next()
            .expect("a server")
            .trim_end_matches('/')
    );
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let metrics = runtime.block_on(async { reqwest::get(url).await?.text().await });
    let metrics = metrics.expect("/metrics");
    let info = metrics
        .lines()
        .find(|line| line.starts_with("vllm:cache_config_info{"));
    let info = info.expect("vllm:cache_config_info");
    let label = |name: &str| -> f64 {
        let (_, rest) = info.split_once(&format!("{name}=\"")).expect("a label");
        rest.split('"')
            .next()
            .and_then(|number| number.parse().ok())
            .expect("a number")
    };
    let served = label("num_gpu_blocks") * label("block_size");
    println!(
        "KV cache: planned {planned} tokens, the server's {served} ({:+.2} %)",
        100.0 * (planned / served - 1.0)
    );
    assert!(
        (planned / served - 1.0).abs() <= 0.01,
        "{planned} planned, {served} served"
    );
}
