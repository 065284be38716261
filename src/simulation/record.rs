use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use super::VirtualSetup;
use crate::endpoint::Identity;
use crate::engine::VERSION;
use crate::load::Window;
use crate::metrics::{Summary, count_failures};
use crate::results::{RunRecord, SCHEMA_VERSION};

/// The record of a point that was simulated in virtual time, with one or several `runs`. It is marked as
/// simulated.
pub fn record(setup: &VirtualSetup, bench: &str, runs: &[Vec<Window>]) -> RunRecord {
    let windows: Vec<Window> = runs.iter().flatten().cloned().collect();
    let slices = runs.iter().map(Vec::as_slice);
    let (columns, requests) = RunRecord::columns(runs);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let endpoint = |_| Identity {
        url: "virtual time".to_owned(),
        server: Some(format!("vLLM {VERSION}")),
        is_vllm: true,
        model: Some(format!("simulated/{}", setup.preset.name)),
        max_model_len: Some(setup.preset.scheduler.max_model_len as u64),
        process_start: None,
        simulated: Some(setup.preset.name.clone()),
        missing: Vec::new(),
    };
    RunRecord {
        schema_version: SCHEMA_VERSION,
        servemark_version: env!("CARGO_PKG_VERSION").to_owned(),
        run_id: None,
        ended_unix_s: now.unwrap_or_default().as_secs_f64(),
        clock_unix_ns: 0,
        bench: bench.to_owned(),
        prompt: setup.prompt_tokens.to_string(),
        prompt_tokens: setup.prompt_tokens,
        lengths: None,
        workload: None,
        tokenizer: "none: prompts are token numbers".to_owned(),
        api: None,
        level: setup.level(),
        seed: setup.seeds.steps,
        request_id_prefix: None,
        simulated: Some(setup.preset.name.clone()),
        config: json!({
            "MAX_NEW_TOKENS": setup.output_tokens,
            "LOAD_SHAPE": setup.shape.id,
        }),
        endpoints: (0..setup.replicas.get()).map(endpoint).collect(),
        summary: Summary::of(&windows, 0.0, setup.replicas.get())
            .map(|summary| summary.with_steadiness(&Vec::from_iter(slices), None)),
        failures: count_failures(windows.iter().flat_map(|window| window.requests.iter())),
        blocked: Vec::new(),
        outages: Vec::new(),
        server_metrics: Vec::new(),
        server_timeline: Vec::new(),
        self_check: None,
        partial: None,
        interleaved: None,
        deployment: None,
        part: None,
        ranks: Vec::new(),
        windows: columns,
        requests,
    }
}
