use std::collections::HashMap;

use tempfile::TempDir;

use super::*;

const TOKENIZER: &[u8] = include_bytes!("../../../../fixtures/tokenizer/tokenizer.json");

fn load(
    tokenizer_path: Option<&Path>,
    model: Option<&str>,
    env: &[(&str, &Path)],
) -> Result<Loaded, TokenizeError> {
    let env: HashMap<String, String> = env
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.to_str().unwrap().to_owned()))
        .collect();
    TokenizerLookup {
        tokenizer_path,
        model,
        env: &|name| env.get(name).cloned(),
        server: None,
    }
    .load()
}

fn write(path: &Path, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
}

fn source_file(loaded: &Loaded) -> PathBuf {
    match loaded.counter.source() {
        TokenizerSource::File(path) => path.clone(),
        other => panic!("counted by {other}: {:?}", loaded.warnings),
    }
}

/// A cache with one model in it; gives its `tokenizer.json`.
fn cache(hub: &Path, revision: &str, refs: bool) -> PathBuf {
    let model = hub.join("models--meta-llama--Meta-Llama-3-70B-Instruct");
    if refs {
        write(&model.join("refs/main"), format!("{revision}\n").as_bytes());
    }
    let file = model.join("snapshots").join(revision).join(TOKENIZER_FILE);
    write(&file, TOKENIZER);
    file
}

const MODEL: &str = "meta-llama/Meta-Llama-3-70B-Instruct";

#[test]
fn the_configured_path_may_be_a_file_or_its_directory() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join(TOKENIZER_FILE);
    write(&file, TOKENIZER);
    for path in [directory.path(), &file] {
        let loaded = load(Some(path), None, &[]).unwrap();
        assert_eq!(source_file(&loaded), file);
        assert!(loaded.warnings.is_empty());
    }
}

#[test]
fn an_unusable_configured_path_is_an_error_that_names_key_and_path() {
    let directory = TempDir::new().unwrap();
    let broken = directory.path().join("broken.json");
    write(&broken, b"{\"model\": 1}");
    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    let missing = directory.path().join("missing.json");
    for (path, reason) in [
        (&broken, "not a tokenizer"),
        (&empty, "a directory without a tokenizer.json"),
        (&missing, "does not exist"),
    ] {
        // A usable model elsewhere must not hide the mistake.
        let text = load(
            Some(path),
            Some(MODEL),
            &[("HF_HUB_CACHE", directory.path())],
        )
        .unwrap_err()
        .to_string();
        assert!(text.contains("TOKENIZER_PATH"), "{text}");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn the_hub_cache_is_found_where_its_client_keeps_it() {
    for (variable, below) in [
        ("HF_HUB_CACHE", ""),
        ("HUGGINGFACE_HUB_CACHE", ""),
        ("HF_HOME", "hub"),
        ("XDG_CACHE_HOME", "huggingface/hub"),
        ("HOME", ".cache/huggingface/hub"),
    ] {
        let directory = TempDir::new().unwrap();
        let file = cache(&directory.path().join(below), "abc123", true);
        let loaded = load(None, Some(MODEL), &[(variable, directory.path())]).unwrap();
        assert_eq!(source_file(&loaded), file, "{variable}");
    }
}

#[test]
fn the_main_revision_is_taken_of_several() {
    let directory = TempDir::new().unwrap();
    cache(directory.path(), "older", false);
    let main = cache(directory.path(), "newer", true);
    let loaded = load(None, Some(MODEL), &[("HF_HUB_CACHE", directory.path())]).unwrap();
    assert_eq!(source_file(&loaded), main);
}

#[test]
fn without_a_main_revision_only_a_single_snapshot_is_taken() {
    let directory = TempDir::new().unwrap();
    let env = [("HF_HUB_CACHE", directory.path())];
    let first = cache(directory.path(), "first", false);
    assert_eq!(source_file(&load(None, Some(MODEL), &env).unwrap()), first);
    cache(directory.path(), "second", false);
    let loaded = load(None, Some(MODEL), &env).unwrap();
    assert_eq!(loaded.counter.source(), &TokenizerSource::Shipped);
}

#[test]
fn a_model_that_is_a_local_directory_brings_its_tokenizer() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join(TOKENIZER_FILE);
    write(&file, TOKENIZER);
    let loaded = load(None, directory.path().to_str(), &[]).unwrap();
    assert_eq!(source_file(&loaded), file);
}

#[test]
fn a_broken_cached_tokenizer_is_reported_and_passed_over() {
    let directory = TempDir::new().unwrap();
    let file = cache(directory.path(), "abc", true);
    fs::write(&file, b"cut off").unwrap();
    let loaded = load(None, Some(MODEL), &[("HF_HUB_CACHE", directory.path())]).unwrap();
    assert_eq!(loaded.counter.source(), &TokenizerSource::Shipped);
    assert!(
        loaded.warnings[0].contains(file.to_str().unwrap()),
        "{:?}",
        loaded.warnings
    );
}

#[test]
fn the_shipped_tokenizer_comes_with_a_warning() {
    for model in [None, Some("unknown/model"), Some("../../etc"), Some("")] {
        let directory = TempDir::new().unwrap();
        let loaded = load(None, model, &[("HF_HOME", directory.path())]).unwrap();
        assert_eq!(loaded.counter.source(), &TokenizerSource::Shipped);
        assert_eq!(loaded.warnings.len(), 1);
        assert!(loaded.warnings[0].contains("TOKENIZER_PATH"));
    }
    assert!(TokenizerSource::Shipped.to_string().contains("approximate"));
}
