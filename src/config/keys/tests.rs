use std::fmt::Debug;

use super::*;
use crate::config::{BUILT_IN, ConfigSource};

type Variables = &'static [(&'static str, &'static str)];

/// What makes the keys of an open loop part of a record.
const OPEN: [(&str, &str); 1] = [("SERVEMARK_LOAD_SHAPE", "open")];

/// Each key with a value other than its default, and the variables that make it count.
const CHANGED: &[(&str, &str, Variables)] = &[
    ("MAX_NEW_TOKENS", "5", &[]),
    ("CONCURRENT_LEVELS", "5", &[]),
    ("MODEL_PATH", "org/m", &[]),
    ("MODEL_HEADERS", r#"{"Accept": "text/plain"}"#, &[]),
    ("SAFE_CHECK", "true", &[]),
    ("THRESHOLD_TPS", "5", &[]),
    ("RANDOM_PROMPT_LENGTH", "5", &[]),
    ("TEMPERATURE", "0", &[]),
    ("TOP_P", "1", &[]),
    ("MODEL_ENDPOINTS", "http://h", &[]),
    ("BALANCING", "least_outstanding", &[]),
    (
        "DEPLOYMENTS",
        r#"[{"name": "d", "endpoints": "http://h", "safe_check": true}]"#,
        &[],
    ),
    ("TOKENIZER_PATH", "t", &[]),
    ("NUM_GPU", "5", &[]),
    ("INPUT_FILE", "i", &[]),
    ("PROMPT_KEYS", "25", &[]),
    ("WORKLOADS", "agent", &[]),
    ("STREAM", "false", &[]),
    ("LOAD_SHAPE", "wave", &[]),
    ("REQUEST_RATES", "0.5,max", &OPEN),
    ("ARRIVALS", r#"{"gamma": 0.5}"#, &OPEN),
    ("START", "staggered", &[]),
    ("RAMP", r#"{"exponential": 2.5}"#, &OPEN),
    ("MAX_IN_FLIGHT", "5", &OPEN),
    ("PREFIX_CACHE", "allow", &[]),
    ("FIXED_OUTPUT_LENGTH", "true", &[]),
    ("EXTRA_BODY", r#"{"top_k": 20}"#, &[]),
    ("CA_FILE", "c", &[]),
    ("INSECURE", "true", &[]),
    ("SEED", "5", &[]),
    ("REQUEST_TIMEOUT", "5", &[]),
    ("READY_TIMEOUT", "5", &[]),
    ("METRICS", "ttft", &[]),
    ("SLO", r#"{"ttft": 5}"#, &[]),
    ("RUNS", "5", &[]),
    ("PRECISION", "5%", &[]),
    ("PRECISION_BUDGET", "5", &[("SERVEMARK_PRECISION", "1%")]),
    (
        "SAFETY_BACKEND",
        "azure",
        &[("SERVEMARK_SAFE_CHECK", "true")],
    ),
    (
        "SAFETY_DELAY_MS",
        "1,5",
        &[("SERVEMARK_SAFE_CHECK", "true")],
    ),
    (
        "SAFETY_SEVERITY",
        "5",
        &[
            ("SERVEMARK_SAFE_CHECK", "true"),
            ("SERVEMARK_SAFETY_BACKEND", "azure"),
        ],
    ),
];

fn config(source: ConfigSource, text: &str, variables: &[(&str, &str)]) -> Settings {
    let value = |name: &str| {
        let given = variables.iter().find(|variable| variable.0 == name);
        given.map(|variable| variable.1.to_owned())
    };
    Settings::from_parts(source, text, &value).expect("a valid configuration")
}

/// A variable of `CHANGED`, and those that go with it.
fn variables<'a>(
    name: &'a str,
    value: &'a str,
    beside: &'a [(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let mut variables = vec![(name, value)];
    variables.extend(beside);
    if variables.contains(&("SERVEMARK_SAFETY_BACKEND", "azure")) {
        variables.push(("AZURE_CONTENT_SAFETY_ENDPOINT", "https://r.example/"));
        variables.push(("AZURE_CONTENT_SAFETY_KEY", "azkey"));
    }
    variables
}

#[test]
fn every_key_changes_its_value_in_run_records() {
    for key in ALL {
        let (_, value, beside) = CHANGED
            .iter()
            .find(|changed| changed.0 == key.name)
            .unwrap_or_else(|| panic!("{} has no value in CHANGED", key.name));
        let variable = key.variable();
        let shown = |value: &str| {
            let variables = variables(&variable, value, beside);
            config(ConfigSource::BuiltIn, BUILT_IN, &variables).public_json()[key.name].clone()
        };
        assert_ne!(shown(value), shown(""), "{}", key.name);
    }
}

/// Every field of a configuration, after the setting that holds it. A new field must be added here to compile, and
/// needs a row in the table to pass.
fn fields(config: Settings) -> Vec<(&'static str, String)> {
    fn text(field: impl Debug) -> String {
        format!("{field:?}")
    }
    let Settings {
        source,
        max_new_tokens,
        concurrent_levels,
        model_path,
        model_headers,
        safety,
        threshold_tps,
        slo,
        runs,
        precision,
        random_prompt_length,
        temperature,
        top_p,
        model_endpoints,
        balancing,
        deployments,
        deployment_safety,
        tokenizer_path,
        num_gpu,
        input_file,
        prompt_keys,
        workloads,
        stream,
        load_shape,
        start,
        request_rates,
        arrivals,
        ramp,
        max_in_flight,
        prefix_cache,
        fixed_output,
        extra_body,
        ca_file,
        insecure,
        seed,
        request_timeout,
        ready_timeout,
        metrics,
        ab,
        api_key,
    } = config;
    vec![
        ("CONFIG", text(source)),
        ("MAX_NEW_TOKENS", text(max_new_tokens)),
        ("CONCURRENT_LEVELS", text(concurrent_levels)),
        ("MODEL_PATH", text(model_path)),
        ("MODEL_HEADERS", text(model_headers)),
        ("SAFE_CHECK", text(safety)),
        ("THRESHOLD_TPS", text(threshold_tps)),
        ("SLO", text(slo)),
        ("RUNS", text(runs)),
        ("PRECISION", text(precision)),
        ("RANDOM_PROMPT_LENGTH", text(random_prompt_length)),
        ("TEMPERATURE", text(temperature)),
        ("TOP_P", text(top_p)),
        ("MODEL_ENDPOINTS", text(model_endpoints)),
        ("BALANCING", text(balancing)),
        ("DEPLOYMENTS", text(deployments)),
        ("DEPLOYMENTS", text(deployment_safety)),
        ("TOKENIZER_PATH", text(tokenizer_path)),
        ("NUM_GPU", text(num_gpu)),
        ("INPUT_FILE", text(input_file)),
        ("PROMPT_KEYS", text(prompt_keys)),
        ("WORKLOADS", text(workloads)),
        ("STREAM", text(stream)),
        ("LOAD_SHAPE", text(load_shape)),
        ("START", text(start)),
        ("RAMP", text(ramp)),
        ("REQUEST_RATES", text(request_rates)),
        ("ARRIVALS", text(arrivals)),
        ("MAX_IN_FLIGHT", text(max_in_flight)),
        ("PREFIX_CACHE", text(prefix_cache)),
        ("FIXED_OUTPUT_LENGTH", text(fixed_output)),
        ("EXTRA_BODY", text(extra_body)),
        ("CA_FILE", text(ca_file)),
        ("INSECURE", text(insecure)),
        ("SEED", text(seed)),
        ("REQUEST_TIMEOUT", text(request_timeout)),
        ("READY_TIMEOUT", text(ready_timeout)),
        ("METRICS", text(metrics)),
        ("AB", text(ab)),
        ("OPENAI_API_KEY", text(api_key)),
    ]
}

#[test]
fn every_field_of_a_configuration_is_in_the_table() {
    let names = ALL.iter().map(|key| (key.name, key.variable()));
    let names = Vec::from_iter(names);
    let mut all = vec![
        ("SERVEMARK_AB", "a=http://a,b=http://b"),
        ("OPENAI_API_KEY", "sk-1"),
    ];
    for (name, variable) in &names {
        let changed = CHANGED.iter().find(|changed| changed.0 == *name);
        let (_, value, beside) = changed.expect("a value in CHANGED");
        all.extend(variables(variable, value, beside));
    }
    let changed = config(ConfigSource::File("p.json".into()), "{}", &all);
    let default = config(ConfigSource::BuiltIn, "{}", &[]);
    for ((name, before), (_, after)) in fields(default).into_iter().zip(fields(changed)) {
        assert!(settings().any(|row| row.0 == name), "{name} has no row");
        assert_ne!(before, after, "the row of {name} does not set its field");
    }
}

#[test]
fn runs_are_compared_and_ranks_agree_by_kind() {
    assert_eq!(kind("MAX_NEW_TOKENS"), KeyKind::Workload);
    assert_eq!(kind("SEED"), KeyKind::Incidental);
    assert_eq!(kind("BALANCING"), KeyKind::Reported);
    assert_eq!(kind("A_KEY_OF_ANOTHER_VERSION"), KeyKind::Reported);
    let shared = config(ConfigSource::BuiltIn, "{}", &[]).shared_settings();
    for local in ["CONFIG", "TOKENIZER_PATH", "INPUT_FILE"] {
        assert!(!shared.contains_key(local), "{local}");
    }
    assert!(shared.contains_key("MODEL_ENDPOINTS"));
}
