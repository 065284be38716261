use serde_json::json;

use super::super::settings::Settings;
use super::super::template::Blanks;
use super::*;

const VLLM: &str =
    "vllm serve {model} --tensor-parallel-size {tp} --port {port} --served-model-name 'a b'";

fn read(value: Value) -> Result<Vec<Deployment>, String> {
    list(&value).map_err(|fault| fault.found)
}

#[test]
fn a_launch_and_a_list_of_endpoints_are_read() {
    let read = read(json!([
        {"name": "2x4", "replicas": 2, "gpus_per_replica": 4, "command": VLLM, "version": "0.32.0",
         "env": {"CUDA_VISIBLE_DEVICES": "{gpus}"}, "balancing": "least_outstanding", "safe_check": true},
        {"name": "there", "endpoints": ["http://a:1", "http://b:2"], "gpus_per_replica": 1}
    ]))
    .expect("valid");
    let [layout, there] = &read[..] else {
        panic!("{read:?}")
    };
    assert_eq!((layout.replicas(), layout.gpus()), (2, NonZeroU32::new(8)));
    assert_eq!(layout.balancing, Some(Balancing::LeastOutstanding));
    assert_eq!(layout.safe_check, Some(true));
    let ServerSource::Launched(launch) = &layout.servers else {
        panic!("{layout:?}")
    };
    let blanks = Blanks {
        model: "org/m",
        port: 8001,
        tp: 4,
        gpus: "4,5,6,7",
        replica: 1,
        name: "2x4",
    };
    let words: Vec<String> = launch
        .command
        .iter()
        .map(|word| word.fill(&blanks))
        .collect();
    assert_eq!(
        words,
        [
            "vllm",
            "serve",
            "org/m",
            "--tensor-parallel-size",
            "4",
            "--port",
            "8001",
            "--served-model-name",
            "a b"
        ]
    );
    assert_eq!(launch.env[0].1.fill(&blanks), "4,5,6,7");
    assert_eq!(
        (there.endpoints().len(), there.gpus()),
        (2, NonZeroU32::new(2))
    );
}

#[test]
fn what_is_wrong_with_a_deployment_is_said() {
    let port = "x --port {port}";
    for (entry, words) in [
        (
            json!({"name": "a", "replica": 2, "command": port}),
            "\"replica\"; did you mean \"replicas\"?",
        ),
        (json!({"command": port}), "in entry 1, no name"),
        (
            json!({"name": "a/b", "command": port}),
            "cannot name a file",
        ),
        (
            json!({"name": "report", "command": port}),
            "Criterion uses itself",
        ),
        (json!({"name": "a"}), "a: neither endpoints nor a command"),
        (
            json!({"name": "a", "command": port, "endpoints": "http://a"}),
            "both",
        ),
        (
            json!({"name": "a", "endpoints": "http://a", "replicas": 2}),
            "replicas beside endpoints",
        ),
        (
            json!({"name": "a", "endpoints": []}),
            "an empty list of endpoints",
        ),
        (
            json!({"name": "a", "command": "vllm serve m"}),
            "a command without {port}",
        ),
        (
            json!({"name": "a", "command": "x --port {prot}"}),
            "did you mean {port}?",
        ),
        (
            json!({"name": "a", "command": "x --tp {tp} {port}"}),
            "{tp}, but gpus_per_replica is not set",
        ),
        (
            json!({"name": "a", "command": "x 'y {port}"}),
            "a command line that does not end",
        ),
        (
            json!({"name": "a", "command": port, "env": {"KEY": 7}}),
            "\"KEY\": a number",
        ),
        (
            json!({"name": "a", "command": port, "balancing": "random"}),
            "balancing: \"random\"",
        ),
        (json!("vllm"), "in entry 1, a string"),
    ] {
        let found = read(json!([entry])).expect_err(words);
        assert!(found.contains(words), "{entry}: {found}");
    }
    let twice = json!({"name": "a", "endpoints": "http://a"});
    assert!(
        read(json!([twice, twice]))
            .expect_err("twice")
            .contains("the name \"a\" twice")
    );
}

#[test]
fn values_of_variables_are_never_part_of_a_fault() {
    let secret = json!([{"name": "a", "command": "x {port}", "env": {"KEY": "hf_secret{x}"}}]);
    let found = read(secret).expect_err("an unknown blank");
    assert!(!found.contains("hf_secret"), "{found}");
}

#[test]
fn a_deployment_stands_in_for_the_configurations_own() {
    let text = json!({
        "NUM_GPU": 3, "SAFETY_BACKEND": "simulated",
        "DEPLOYMENTS": [
            {"name": "a", "endpoints": "http://a", "gpus_per_replica": 4, "safe_check": true},
            {"name": "b", "endpoints": "http://b", "balancing": "least_outstanding"}
        ]
    });
    let source = super::super::ConfigSource::BuiltIn;
    let config = Settings::from_parts(source, &text.to_string(), &|_| None).expect("valid");
    assert!(config.safety.is_none());
    let [a, b] = [0, 1].map(|at| config.of_deployment(&config.deployments[at]));
    assert_eq!(a.num_gpu.map(NonZeroU32::get), Some(4));
    assert!(a.safety.is_some() && b.safety.is_none());
    assert_eq!(b.num_gpu.map(NonZeroU32::get), Some(3));
    assert_eq!(b.balancing, Balancing::LeastOutstanding);
    assert_eq!(b.model_endpoints.len(), 1);
}
