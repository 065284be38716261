//! The same load in virtual time and over real sockets, by the shipped bench, gives the same figures.

mod cargo_bench;

use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;

use cargo_bench::CargoBench;
use serde_json::{Value, json};
use servemark::internals::engine::{Engine, EngineOptions, Frontend, Preset};
use servemark::internals::load::Window;
use servemark::internals::load::{LoadShape, STEADY, WAVE};
use servemark::internals::metrics::Summary;
use servemark::internals::prompt::shipped_tokenizer;
use servemark::internals::simulation::{VirtualLoad, VirtualSetup};

/// Largest relative difference between virtual and real time.
const TOLERANCE: f64 = 0.03;

const OUTPUT_TOKENS: u32 = 8;

/// No noise, and steps so long that the client's and the socket's own time is small beside them. The
/// budget holds the prefill of few requests, so that they queue and fall out of step with each other.
fn quiet(shape: &'static LoadShape) -> Preset {
    let mut preset = Preset::named("sim-small").expect("a shipped preset");
    preset.noise = Default::default();
    preset.step_time.base_us = 80_000.0;
    preset.step_time.per_prefill_token_us = 200.0;
    preset.frontend = Frontend {
        per_request_us: 300.0,
        per_prompt_token_us: 5.0,
        latency_us: 1_500.0,
    };
    preset.scheduler.max_num_batched_tokens = 64;
    if *shape == WAVE {
        // A frontend that takes longer for a request than a machine does to wake a thread: so the first of a wave is
        // alone in its step, and the others are there before the next, whenever threads wake.
        preset.frontend.per_request_us = 20_000.0;
        preset.step_time.base_us = 160_000.0;
    }
    preset
}

/// The record of a real run: `cargo bench` against the engine on a socket.
fn real(shape: &'static LoadShape, concurrency: usize) -> Value {
    let tokenizer = Arc::new(shipped_tokenizer().expect("a shipped tokenizer"));
    let engine = Engine::start(EngineOptions::new(quiet(shape), tokenizer)).expect("an engine");
    let ran = CargoBench::new("chat_throughput")
        .env("SERVEMARK_MODEL_ENDPOINTS", engine.urls()[0].as_str())
        .env("SERVEMARK_PROMPT_KEYS", "25")
        .env("SERVEMARK_LOAD_SHAPE", shape.id)
        .env("SERVEMARK_MAX_NEW_TOKENS", &OUTPUT_TOKENS.to_string())
        .env("SERVEMARK_CONCURRENT_LEVELS", &concurrency.to_string())
        .run(&[
            "output_tok_s",
            "--warm-up-time",
            "4",
            "--measurement-time",
            "6",
        ]);
    assert!(ran.succeeded, "{}", ran.text);
    ran.record()
}

/// The figures of as many rounds in virtual time, after a warm-up.
fn simulated(
    shape: &'static LoadShape,
    concurrency: usize,
    prompt_tokens: usize,
    windows: &[u64],
) -> Value {
    let mut load = VirtualLoad::start(VirtualSetup {
        shape,
        concurrency: NonZeroUsize::new(concurrency).expect("some"),
        prompt_tokens,
        output_tokens: NonZeroU32::new(OUTPUT_TOKENS).expect("some"),
        ..VirtualSetup::new(quiet(shape))
    })
    .expect("a sound preset");
    load.window(6);
    let windows: Vec<Window> = windows.iter().map(|n| load.window(*n)).collect();
    json!(Summary::of(&windows, 0.0, 1).expect("requests completed"))
}

/// The first figure that differs, if one does.
fn agree(shape: &'static LoadShape, concurrency: usize) -> Result<(), String> {
    let (name, record) = (shape.id, real(shape, concurrency));
    let requests = record["requests"]["index"]
        .as_array()
        .expect("requests")
        .len();
    let prompt_tokens = record["requests"]["input_tokens"][0]
        .as_u64()
        .expect("a count") as usize;
    let windows: Vec<u64> = record["windows"]
        .as_array()
        .expect("windows")
        .iter()
        .map(|window| window["iterations"].as_u64().expect("a count"))
        .collect();
    let simulated = simulated(shape, concurrency, prompt_tokens, &windows);
    assert_eq!(simulated["completed"], requests, "as many requests");
    // Not the p99 of TTFT: of some sixty requests it is the one that the machine held up longest.
    for figure in [
        "/rps",
        "/output_tok_s",
        "/ttft_ms/mean",
        "/ttft_ms/p50",
        "/ttft_ms/p90",
        "/tpot_ms/p50",
        "/tpot_ms/p99",
        "/itl_ms/mean",
        "/e2el_ms/p50",
        "/e2el_ms/p90",
        "/e2el_ms/p99",
    ] {
        let value = |summary: &Value| summary.pointer(figure).and_then(Value::as_f64);
        let real = value(&record["summary"]).expect("a figure");
        let simulated = value(&simulated).expect("a figure");
        let difference = simulated / real - 1.0;
        println!(
            "{name} c={concurrency} {figure}: real {real:.3}, virtual {simulated:.3}, {:+.2} %",
            100.0 * difference
        );
        if difference.abs() >= TOLERANCE {
            return Err(format!("{figure}: real {real}, virtual {simulated}"));
        }
    }
    Ok(())
}

#[test]
fn a_steady_load_agrees() {
    agree(&STEADY, 6).expect("figures that agree");
}

#[test]
fn a_wave_load_agrees() {
    // Where the machine holds the engine up as a wave begins, all of its requests reach the first step, and not
    // one alone: the wave is a step shorter. That is chance, and passes; another model of time would not.
    let tries = (0..3).map(|_| agree(&WAVE, 6));
    let differing: Vec<String> = tries.map_while(Result::err).collect();
    assert!(differing.len() < 3, "{differing:?}");
}
