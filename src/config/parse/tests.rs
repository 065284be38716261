//! What users write and what becomes of it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use super::super::{
    BUILT_IN, ConfigError, ConfigSource, FixedOutput, Metric, PrefixCache, SafetyBackend, Settings,
    keys,
};
use super::find_file;
use crate::dialect::Completions;
use crate::load::{STEADY, WAVE};

/// A file of the Python benchmark whose format this is.
const ORIGINAL: &str = r#"{
    "MAX_NEW_TOKENS": 256,
    "CONCURRENT_LEVELS": [1, 2, 4, 8, 16, 32, 64, 128, 256],
    "MODEL_PATH": "meta-llama/your-model-path",
    "MODEL_HEADERS": {"Content-Type": "application/json"},
    "SAFE_CHECK": true,
    "THRESHOLD_TPS": 7,
    "TOKENIZER_PATH": "../../tokenizer",
    "RANDOM_PROMPT_LENGTH": 1000,
    "TEMPERATURE": 0.6,
    "TOP_P": 0.9,
    "MODEL_ENDPOINTS": ["http://localhost:8000/v1/chat/completions"]
}"#;

pub(super) fn parse_with(text: &str, env: &[(&str, &str)]) -> Result<Settings, ConfigError> {
    let env: HashMap<&str, &str> = env.iter().copied().collect();
    let source = ConfigSource::File(PathBuf::from("/bench/fixtures/parameters.json"));
    Settings::from_parts(source, text, &|name| env.get(name).map(|v| v.to_string()))
}

pub(super) fn parse(text: &str) -> Result<Settings, ConfigError> {
    parse_with(text, &[])
}

fn levels(config: &Settings) -> Vec<usize> {
    config.concurrent_levels.iter().map(|n| n.get()).collect()
}

#[test]
fn the_original_file_works_unchanged() {
    let config = parse(ORIGINAL).unwrap();
    assert_eq!(config.max_new_tokens.get(), 256);
    assert_eq!(levels(&config), [1, 2, 4, 8, 16, 32, 64, 128, 256]);
    assert_eq!(
        config.model_path.as_deref(),
        Some("meta-llama/your-model-path")
    );
    assert_eq!(config.model_headers[CONTENT_TYPE], "application/json");
    assert!(matches!(
        config.safety.unwrap().backend,
        SafetyBackend::Simulated {
            delay_ms: (300.0, 400.0)
        }
    ));
    assert_eq!(config.threshold_tps, 7.0);
    assert_eq!(
        config.tokenizer_path.unwrap(),
        PathBuf::from("/bench/fixtures/../../tokenizer")
    );
    assert_eq!(
        config.model_endpoints[0].api(&Completions).as_str(),
        "http://localhost:8000/v1/completions"
    );
    assert!(config.stream);
    assert_eq!(*config.load_shape, STEADY);
    assert_eq!(config.prefix_cache, PrefixCache::Bust);
    assert_eq!(config.fixed_output, FixedOutput::Auto);
    assert_eq!(config.metrics, Metric::ALL);
    assert_eq!(config.request_timeout, Duration::from_secs(600));
    assert_eq!(config.ready_timeout, Duration::from_secs(300));
}

#[test]
fn the_shipped_file_states_the_defaults_and_boots_the_engine() {
    let record = |text| {
        let config = Settings::from_parts(ConfigSource::BuiltIn, text, &|_| None).unwrap();
        assert!(config.model_endpoints.is_empty());
        let mut record = config.public_json();
        // A harmless header is shipped, so that users see where headers go.
        record["MODEL_HEADERS"] = Value::Null;
        record
    };
    assert_eq!(record(BUILT_IN), record("{}"));
}

#[test]
fn every_key_is_documented_with_its_default() {
    let table = include_str!("../../../docs/parameters.md");
    for key in keys::ALL {
        let row = format!("| `{}` | `{}` |", key.name, key.default);
        assert!(table.contains(&row), "docs/parameters.md lacks: {row}");
        let example = format!("{{\"{}\": {}}}", key.name, key.example);
        parse(&example).unwrap_or_else(|error| panic!("the example of {}: {error}", key.name));
    }
}

#[test]
fn null_and_empty_mean_not_given() {
    let config = parse(
        r#"{"MODEL_PATH": "", "TOKENIZER_PATH": "", "INPUT_FILE": null, "NUM_GPU": null, "SEED": "",
            "MODEL_ENDPOINTS": "", "MODEL_HEADERS": null, "PROMPT_KEYS": null, "TOP_P": null}"#,
    )
    .unwrap();
    assert_eq!(config.model_path, None);
    assert_eq!(config.tokenizer_path, None);
    assert_eq!(config.input_file, None);
    assert_eq!(config.num_gpu, None);
    assert_eq!(config.seed, None);
    assert!(config.model_endpoints.is_empty());
    assert!(config.model_headers.is_empty());
    assert_eq!(config.prompt_keys, None);
    assert_eq!(config.top_p, 0.9);
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = parse_with(
        ORIGINAL,
        &[
            ("SERVEMARK_CONCURRENT_LEVELS", "4, 16"),
            (
                "SERVEMARK_MODEL_ENDPOINTS",
                "http://a:8000/v1/chat/completions,http://b:8001",
            ),
            ("SERVEMARK_MODEL_PATH", "123"),
            ("SERVEMARK_SAFE_CHECK", "false"),
            ("SERVEMARK_PREFIX_CACHE", "0.5"),
            ("SERVEMARK_FIXED_OUTPUT_LENGTH", "true"),
            ("SERVEMARK_LOAD_SHAPE", "wave"),
            ("SERVEMARK_PROMPT_KEYS", "25,1k"),
            ("SERVEMARK_METRICS", "ttft"),
            ("SERVEMARK_EXTRA_BODY", r#"{"top_k": 20}"#),
            ("SERVEMARK_TOKENIZER_PATH", "tok"),
            ("SERVEMARK_REQUEST_TIMEOUT", "1.5"),
            ("SERVEMARK_THRESHOLD_TPS", ""),
        ],
    )
    .unwrap();
    assert_eq!(levels(&config), [4, 16]);
    let hosts: Vec<_> = config
        .model_endpoints
        .iter()
        .map(|e| e.base.to_string())
        .collect();
    assert_eq!(hosts, ["http://a:8000/", "http://b:8001/"]);
    assert_eq!(config.model_path.as_deref(), Some("123"));
    assert!(config.safety.is_none());
    assert_eq!(config.prefix_cache, PrefixCache::Shared(0.5));
    assert_eq!(config.fixed_output, FixedOutput::On);
    assert_eq!(*config.load_shape, WAVE);
    assert_eq!(config.prompt_keys.unwrap(), ["25", "1k"]);
    assert_eq!(config.metrics, [Metric::Ttft]);
    assert_eq!(Value::Object(config.extra_body), json!({"top_k": 20}));
    assert_eq!(config.tokenizer_path.unwrap(), PathBuf::from("tok"));
    assert_eq!(config.request_timeout, Duration::from_millis(1500));
    assert_eq!(config.threshold_tps, 7.0);
}

#[test]
fn an_empty_variable_takes_the_endpoints_away() {
    let config = parse_with(ORIGINAL, &[("SERVEMARK_MODEL_ENDPOINTS", "")]).unwrap();
    assert!(config.model_endpoints.is_empty());
}

#[test]
fn the_bearer_token_is_added_unless_the_file_sets_authorization() {
    let env = [("OPENAI_API_KEY", "from-env")];
    let headers = parse_with("{}", &env).unwrap().request_headers();
    assert_eq!(headers[AUTHORIZATION], "Bearer from-env");
    assert!(headers[AUTHORIZATION].is_sensitive());
    let file = r#"{"MODEL_HEADERS": {"authorization": "Basic abc"}}"#;
    let headers = parse_with(file, &env).unwrap().request_headers();
    assert_eq!(headers[AUTHORIZATION], "Basic abc");
    assert!(headers[AUTHORIZATION].is_sensitive());
}

#[test]
fn azure_is_taken_where_its_variables_are_set() {
    let on = r#"{"SAFE_CHECK": true}"#;
    let endpoint = (
        "AZURE_CONTENT_SAFETY_ENDPOINT",
        "https://r.cognitiveservices.azure.com/",
    );
    let key = ("AZURE_CONTENT_SAFETY_KEY", "azkey");
    let config = parse_with(on, &[endpoint, key]).unwrap();
    assert!(matches!(
        config.safety.unwrap().backend,
        SafetyBackend::Azure { threshold: 4, .. }
    ));

    let message = parse_with(on, &[endpoint]).unwrap_err().to_string();
    assert!(message.starts_with("environment variable AZURE_CONTENT_SAFETY_KEY: found nothing"));

    let simulated = r#"{"SAFE_CHECK": true, "SAFETY_BACKEND": "simulated"}"#;
    let config = parse_with(simulated, &[endpoint]).unwrap();
    assert!(matches!(
        config.safety.unwrap().backend,
        SafetyBackend::Simulated { .. }
    ));

    let azure = r#"{"SAFE_CHECK": true, "SAFETY_BACKEND": "azure"}"#;
    let remote_http = ("AZURE_CONTENT_SAFETY_ENDPOINT", "http://r.example/?x=azkey");
    let message = parse_with(azure, &[remote_http, key])
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("https://") && !message.contains("azkey"),
        "{message}"
    );
    assert!(
        parse_with("{}", &[endpoint]).unwrap().safety.is_none(),
        "off stays off"
    );
}

#[test]
fn the_file_is_named_found_or_built_in() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("parameters.json");
    assert_eq!(find_file(None, &file).unwrap().0, ConfigSource::BuiltIn);

    std::fs::write(&file, "{}").unwrap();
    let (source, text) = find_file(None, &file).unwrap();
    assert_eq!(
        (source, text.as_str()),
        (ConfigSource::File(file.clone()), "{}")
    );

    let missing = directory.path().join("other.json");
    let message = find_file(Some(missing.clone().into()), &file)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("other.json") && message.contains("SERVEMARK_CONFIG"),
        "{message}"
    );
    assert!(
        find_file(Some(directory.path().into()), &file).is_err(),
        "a directory"
    );

    std::fs::write(&file, [0xff, 0xfe, 0x00]).unwrap();
    let message = find_file(None, &file).unwrap_err().to_string();
    assert!(message.contains("UTF-8"), "{message}");
}

#[test]
fn questions_beside_the_file_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let source = ConfigSource::File(directory.path().join("parameters.json"));
    let read = |text| {
        Settings::from_parts(source.clone(), text, &|_| None)
            .unwrap()
            .input_file
    };
    assert_eq!(read("{}"), None);
    let questions = directory.path().join("input.jsonl");
    std::fs::write(&questions, "{}").unwrap();
    assert_eq!(read("{}"), Some(questions));
    let named = directory.path().join("mine.jsonl");
    assert_eq!(read(r#"{"INPUT_FILE": "mine.jsonl"}"#), Some(named));
}
