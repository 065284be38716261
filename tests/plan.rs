//! `servemark plan` as a user runs it.

use std::process::Command;

fn plan(arguments: &str) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_servemark"))
        .arg("plan")
        .args(arguments.split_whitespace())
        .output()
        .expect("the command runs");
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    (output.status.code(), text.concat())
}

#[test]
fn a_plan_has_a_table_commands_and_a_configuration() {
    let (code, text) = plan(
        "--model-params 70B --dtype fp16 --gpus 8 --gpu-memory 80GB --context 8192 --concurrency 64",
    );
    assert_eq!(code, Some(0), "{text}");
    for part in [
        "70,553,706,496 parameters",
        "- 4 × 2 cannot be: the weights take 70.6 GB",
        "- try 2 × 4 first",
        "\"name\": \"2x4\"",
        "--tensor-parallel-size 8 --port 8000",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_model_is_read_from_its_directory() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let config = r#"{"num_hidden_layers": 2, "hidden_size": 256, "intermediate_size": 512, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 64, "vocab_size": 8192, "max_position_embeddings": 8192}"#;
    std::fs::write(directory.path().join("config.json"), config).expect("written");
    let path = directory.path().display();
    let (code, text) = plan(&format!(
        "--config {path} --dtype fp32 --gpus 1 --gpu-memory 4GiB --kv-cache-memory 1GiB"
    ));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("524,288"), "{text}");
    let (code, text) = plan(&format!(
        "--config {path} --gpus 1 --gpu-memory 4GiB --context 9000"
    ));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("exceeds the model's 8192 tokens"), "{text}");
}

#[test]
fn an_impossible_plan_is_reported() {
    for (arguments, code, words) in [
        (
            "--model-params 70B --dtype fp16 --gpus 1 --gpu-memory 80GB",
            1,
            "no layout fits",
        ),
        (
            "--model-params 13B --gpus 1 --gpu-memory 80GB",
            2,
            "--config",
        ),
        (
            "--model-params 70B --gpus 1 --gpu-memory 80",
            2,
            "is not a valid size, such as 80GB",
        ),
        (
            "--config nowhere --gpus 1 --gpu-memory 80GB",
            2,
            "cannot read nowhere",
        ),
        ("--gpus 1 --gpu-memory 80GB", 2, "--model-params"),
    ] {
        let (found, text) = plan(arguments);
        assert_eq!(found, Some(code), "{arguments}: {text}");
        assert!(text.contains(words), "{arguments}: {text}");
    }
}
