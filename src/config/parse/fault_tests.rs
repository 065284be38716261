//! What users are told when a configuration is wrong.

use super::super::ConfigError;
use super::tests::{parse, parse_with};

/// The message for a wrong file.
fn fault(text: &str) -> String {
    parse(text).expect_err(text).to_string()
}

#[test]
fn wrong_values_name_file_key_value_and_hint() {
    let cases = [
        ("MAX_NEW_TOKENS", "0"),
        ("MAX_NEW_TOKENS", "-5"),
        ("MAX_NEW_TOKENS", "1.5"),
        ("MAX_NEW_TOKENS", "99999999999"),
        ("MAX_NEW_TOKENS", "\"256\""),
        ("MAX_NEW_TOKENS", "\"\""),
        ("CONCURRENT_LEVELS", "[]"),
        ("CONCURRENT_LEVELS", "8"),
        ("CONCURRENT_LEVELS", "[1, 0]"),
        ("CONCURRENT_LEVELS", "[4, 4]"),
        ("CONCURRENT_LEVELS", "[1, null]"),
        ("CONCURRENT_LEVELS", "[200000]"),
        ("MODEL_PATH", "7"),
        ("MODEL_HEADERS", "[]"),
        ("MODEL_HEADERS", "{\"bad name\": \"x\"}"),
        ("MODEL_HEADERS", "{\"X-A\": 5}"),
        ("MODEL_HEADERS", "{\"X-A\": \"line\\nbreak\"}"),
        ("MODEL_HEADERS", "{\"X-A\": \"1\", \"x-a\": \"2\"}"),
        ("SAFE_CHECK", "\"true\""),
        ("THRESHOLD_TPS", "-1"),
        ("RANDOM_PROMPT_LENGTH", "0"),
        ("TEMPERATURE", "-0.1"),
        ("TEMPERATURE", "1e300"),
        ("TOP_P", "0"),
        ("TOP_P", "1.01"),
        ("MODEL_ENDPOINTS", "[\"localhost:8000\"]"),
        ("MODEL_ENDPOINTS", "[8000]"),
        ("MODEL_ENDPOINTS", "{}"),
        ("MODEL_ENDPOINTS", "[\"\"]"),
        ("NUM_GPU", "0"),
        ("PROMPT_KEYS", "[]"),
        ("PROMPT_KEYS", "[\"5\", 5]"),
        ("STREAM", "1"),
        ("LOAD_SHAPE", "\"bursts\""),
        ("REQUEST_RATES", "[0]"),
        ("REQUEST_RATES", "[8, 8.0]"),
        ("REQUEST_RATES", "[\"8\"]"),
        ("REQUEST_RATES", "[]"),
        ("ARRIVALS", "\"gamma\""),
        ("ARRIVALS", "{\"gamma\": 0}"),
        ("ARRIVALS", "{\"gamma\": 1, \"beta\": 2}"),
        ("RAMP", "{\"linear\": 0}"),
        ("RAMP", "{\"linear\": 1, \"exponential\": 1}"),
        ("RAMP", "\"linear\""),
        ("START", "\"at once\""),
        ("MAX_IN_FLIGHT", "0"),
        ("PREFIX_CACHE", "1.5"),
        ("PREFIX_CACHE", "\"never\""),
        ("FIXED_OUTPUT_LENGTH", "\"yes\""),
        ("EXTRA_BODY", "{\"stream\": false}"),
        ("SEED", "-1"),
        ("REQUEST_TIMEOUT", "0"),
        ("READY_TIMEOUT", "1e12"),
        ("METRICS", "[\"itl\"]"),
        ("SAFETY_BACKEND", "\"aws\""),
        ("SAFETY_DELAY_MS", "[400, 300]"),
        ("SAFETY_DELAY_MS", "[300]"),
        ("SAFETY_SEVERITY", "0"),
    ];
    for (key, value) in cases {
        let message = fault(&format!("{{\"{key}\": {value}}}"));
        let head = format!("/bench/fixtures/parameters.json, key {key}: found ");
        assert!(message.starts_with(&head), "{message}");
        assert!(message.contains("; expected "), "{message}");
        assert!(
            message.contains(&format!("For example: \"{key}\": ")),
            "{message}"
        );
    }
}

#[test]
fn wrong_variables_are_named_with_an_example_for_the_shell() {
    let cases = [
        ("SERVEMARK_TOP_P", "2", "SERVEMARK_TOP_P=0.9"),
        ("SERVEMARK_TOP_P", "high", "SERVEMARK_TOP_P=0.9"),
        (
            "SERVEMARK_CONCURRENT_LEVELS",
            "1,,8",
            "SERVEMARK_CONCURRENT_LEVELS='[1, 8, 32]'",
        ),
        (
            "SERVEMARK_LOAD_SHAPE",
            "fast",
            "SERVEMARK_LOAD_SHAPE=steady",
        ),
        (
            "SERVEMARK_EXTRA_BODY",
            "top_k",
            "SERVEMARK_EXTRA_BODY='{\"top_k\": 20}'",
        ),
    ];
    for (name, value, example) in cases {
        let message = parse_with("{}", &[(name, value)]).unwrap_err().to_string();
        assert!(
            message.starts_with(&format!("environment variable {name}: found ")),
            "{message}"
        );
        assert!(
            message.ends_with(&format!("For example: {example}")),
            "{message}"
        );
    }
}

#[test]
fn all_faults_are_told_at_once() {
    let error = parse(r#"{"TOP_P": 2, "SEED": -1, "MAX_NEW_TOKEN": 5, "STREAM": 1}"#).unwrap_err();
    let ConfigError::Invalid { problems } = &error else {
        panic!("{error}")
    };
    let keys: Vec<_> = problems
        .iter()
        .map(|problem| problem.key.as_str())
        .collect();
    assert_eq!(keys, ["MAX_NEW_TOKEN", "TOP_P", "STREAM", "SEED"]);
    assert_eq!(error.to_string().lines().count(), 5, "{error}");
}

#[test]
fn unknown_and_double_keys_are_faults() {
    let message = fault(r#"{"MAX_NEW_TOKEN": 5}"#);
    assert!(
        message.contains("Did you mean \"MAX_NEW_TOKENS\"?"),
        "{message}"
    );
    let message = fault(r#"{"WEATHER": 5}"#);
    assert!(
        message.contains("one of MAX_NEW_TOKENS, CONCURRENT_LEVELS"),
        "{message}"
    );
    let message = fault(r#"{"SEED": 5, "SEED": 6}"#);
    assert!(
        message.contains("key SEED: found the key twice"),
        "{message}"
    );
}

#[test]
fn text_that_is_no_json_object_is_told_with_its_place() {
    for (text, part) in [
        ("", "it is empty"),
        ("[1]", "expected an object of settings"),
        ("{\"SEED\": 5,}", "line 1 column 12"),
        ("{\"SEED\": 5} x", "trailing characters"),
        ("// comment\n{}", "line 1"),
        ("{\"TOP_P\": 1e999}", "out of range"),
    ] {
        let message = fault(text);
        assert!(
            message.starts_with("/bench/fixtures/parameters.json is not"),
            "{message}"
        );
        assert!(message.contains(part), "{message}");
    }
    assert!(parse("\u{feff}{}").is_ok(), "a byte order mark is no fault");
}

#[test]
fn no_secret_is_ever_shown() {
    const SECRET: &str = "s3cret";
    let env = [("OPENAI_API_KEY", SECRET)];
    let text = r#"{
        "MODEL_HEADERS": {"Authorization": "Bearer s3cret", "X-Team": "s3cret", "Accept": "text/plain"},
        "MODEL_ENDPOINTS": "https://h/v1?key=s3cret"
    }"#;
    let config = parse_with(text, &env).unwrap();
    let record = config.public_json().to_string();
    assert!(
        !format!("{config:?} {record}").contains(SECRET),
        "{config:?} {record}"
    );
    assert!(record.contains("text/plain"), "{record}");
    assert!(
        record.contains("\"authorization\":\"<hidden>\""),
        "{record}"
    );

    for text in [
        r#"{"MODEL_ENDPOINTS": ["http://user:s3cret@h:8000/v1"]}"#,
        r#"{"MODEL_ENDPOINTS": ["user:s3cret@h:8000/v1"]}"#,
        r#"{"MODEL_ENDPOINTS": ["ftp://h/v1?key=s3cret"]}"#,
        r#"{"MODEL_ENDPOINTS": ["http://h:99999/v1?key=s3cret"]}"#,
        r#"{"MODEL_HEADERS": {"Authorization": "s3cret\n"}}"#,
        r#"{"MODEL_HEADERS": "Authorization: s3cret"}"#,
        r#"{"OPENAI_API_KEY": "s3cret"}"#,
        r#"{"API_KEY": "s3cret"}"#,
    ] {
        let message = fault(text);
        assert!(!message.contains(SECRET), "{message}");
    }
    let message = fault(r#"{"MODEL_ENDPOINTS": ["http://user:s3cret@h:8000/v1"]}"#);
    assert!(message.contains("OPENAI_API_KEY"), "{message}");
    let message = parse_with("{}", &[("OPENAI_API_KEY", "Bearer s3cret")]).unwrap_err();
    assert!(!message.to_string().contains(SECRET), "{message}");
}

#[test]
fn a_command_that_names_the_model_needs_a_model_path() {
    let deployments = r#""DEPLOYMENTS": [{"name": "a", "command": "x {model} {port}"}]"#;
    let message = fault(&format!("{{{deployments}}}"));
    let words = "key DEPLOYMENTS: found in entry 1, a: {model}, but MODEL_PATH is not set";
    assert!(message.contains(words), "{message}");
    assert!(parse(&format!("{{{deployments}, \"MODEL_PATH\": \"m\"}}")).is_ok());
    let message = fault(&format!("{{{deployments}, \"MODEL_PATH\": 7}}"));
    assert!(!message.contains("DEPLOYMENTS"), "{message}");
}
