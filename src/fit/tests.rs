use super::*;
use crate::engine::{Frontend, StepTime};
use crate::fit::parameters::with_parameters;
use crate::load::STEADY;

fn observation(prompt_tokens: usize, concurrency: usize) -> Observation {
    Observation {
        prompt: prompt_tokens.to_string(),
        shape: &STEADY,
        concurrency,
        endpoints: 1,
        prompt_tokens,
        output_tokens: 6,
        max_model_len: None,
        figures: Figures {
            output_tok_s: f64::NAN,
            ttft_p50_ms: f64::NAN,
        },
        itl_ms: None,
    }
}

/// Loads as `truth` would have answered them.
fn observed(truth: &Preset, concurrencies: &[usize]) -> Vec<Observation> {
    let loads = [40, 400].into_iter().flat_map(|prompt| {
        concurrencies
            .iter()
            .map(move |concurrency| observation(prompt, *concurrency))
    });
    loads
        .map(|mut load| {
            load.figures = load.simulate(truth).expect("it fits");
            load
        })
        .collect()
}

#[test]
fn a_known_engine_is_found_again_and_predicts_loads_it_was_not_fitted_on() {
    let like = Preset::named("sim-small").expect("shipped");
    let truth = Preset {
        step_time: StepTime {
            base_us: 9_000.0,
            per_prefill_token_us: 30.0,
            per_sequence_us: 200.0,
            per_context_token_us: 0.1,
        },
        frontend: Frontend {
            per_request_us: 1_000.0,
            per_prompt_token_us: 2.0,
            latency_us: 2_000.0,
        },
        noise: Noise::default(),
        ..like.clone()
    };
    let fitted = fit(&like, &observed(&truth, &[1, 4, 16])).expect("fits");
    for held_out in observed(&truth, &[2, 8, 12]) {
        let prediction = predict(&fitted, &held_out).expect("it fits");
        let name = held_out.name();
        assert!(
            prediction.output_tok_s_error().abs() < 0.05,
            "{name} {prediction:?}"
        );
        assert!(prediction.ttft_error().abs() < 0.1, "{name} {prediction:?}");
    }
    assert!(
        (fitted.step_time.base_us / 9_000.0 - 1.0).abs() < 0.1,
        "{fitted:?}"
    );
}

#[test]
fn too_few_records_and_loads_that_do_not_fit_are_refused() {
    let like = Preset::named("sim-small").expect("shipped");
    let few = observed(&like, &[1]);
    assert!(matches!(
        fit(&like, &few),
        Err(FitError::TooFew { given: 2 })
    ));
    let mut observations = observed(&like, &[1, 2]);
    observations[3].prompt_tokens = 100_000;
    let error = fit(&like, &observations).expect_err("too long").to_string();
    assert!(error.contains("max_model_len"), "{error}");
}

#[test]
fn parameters_are_rounded_to_five_digits() {
    let like = Preset::named("sim-small").expect("shipped");
    let preset = with_parameters(
        &like,
        &[1234.56789_f64, 0.0123456789, 1.0, 99999.9, 5e-7, 1.0, 1.0].map(f64::ln),
    );
    assert_eq!(preset.step_time.base_us, 1234.6);
    assert_eq!(preset.step_time.per_prefill_token_us, 0.012346);
    assert_eq!(preset.step_time.per_context_token_us, 1e5);
    let text = serde_json::to_string(&preset).expect("JSON");
    assert!(text.contains("\"base_us\":1234.6,"), "{text}");
}

#[test]
fn a_file_that_is_not_a_record_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("new.json");
    let read = || Observation::read(&path).expect_err("unusable").to_string();
    assert!(read().contains("new.json"));
    std::fs::write(&path, "{}").expect("writes");
    assert!(read().contains("not a run record"), "{}", read());
    std::fs::write(&path, r#"{"schema_version": 99}"#).expect("writes");
    assert!(read().contains("schema_version is 99"), "{}", read());
    let record = r#"{"schema_version": 2, "servemark_version": "0", "ended_unix_s": 0.0, "clock_unix_ns": 0,
        "bench": "b", "prompt": "5", "prompt_tokens": 5, "tokenizer": "t", "concurrency": 1, "seed": 0,
        "request_id_prefix": null, "simulated": null, "config": {"LOAD_SHAPE": "steady", "SAFE_CHECK": false}, "endpoints": [],
        "summary": null, "failures": [], "blocked": [], "server_metrics": [], "self_check": null, "windows": [],
        "requests": {"index": [], "endpoint": [], "intended_ns": [], "start_ns": [], "sent_ns": [], "end_ns": [],
        "safety_ns": [], "status": [], "last_byte_ns": [], "input_tokens": [], "output_tokens": [],
        "output_source": [], "finish_reason": [], "content_us": []}}"#;
    std::fs::write(&path, record).expect("writes");
    assert!(
        read().contains("none of its requests succeeded"),
        "{}",
        read()
    );
}
