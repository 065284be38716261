//! `Settings::load` in a process of its own, whose environment and directory it reads.

use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;

use servemark::internals::config::{Config, Settings};

/// Not a test of its own: what the tests below run in a child process.
#[test]
#[ignore = "run by the other tests in a child process"]
fn child() {
    match Settings::load(&Config::new()) {
        Ok(config) => println!(
            "loaded {} with {:?}",
            config.source, config.concurrent_levels
        ),
        Err(error) => println!("failed: {error}"),
    }
}

/// Loads the configuration in `directory` with these variables and returns the message.
fn load(directory: &Path, env: &[(&str, &OsStr)]) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--ignored", "--nocapture"])
        .current_dir(directory)
        .env_clear()
        .envs(env.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn text(value: &str) -> &OsStr {
    OsStr::new(value)
}

#[test]
fn the_usual_file_the_named_file_and_the_built_in_one_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let said = load(place, &[]);
    assert!(
        said.contains("loaded the built-in parameters.json with [1, 8, 32]"),
        "{said}"
    );

    std::fs::create_dir(place.join("fixtures")).unwrap();
    let file = "fixtures/parameters.json";
    std::fs::write(place.join(file), "{\"CONCURRENT_LEVELS\": [2]}").unwrap();
    let said = load(place, &[("SERVEMARK_CONFIG", text(""))]);
    assert!(said.contains(&format!("loaded {file} with [2]")), "{said}");

    std::fs::write(place.join("mine.json"), "{}").unwrap();
    let named = ("SERVEMARK_CONFIG", text("mine.json"));
    let said = load(
        place,
        &[named, ("SERVEMARK_CONCURRENT_LEVELS", text("5,6"))],
    );
    assert!(said.contains("loaded mine.json with [5, 6]"), "{said}");

    let said = load(place, &[("SERVEMARK_CONFIG", text("gone.json"))]);
    assert!(
        said.contains("failed: cannot read the configuration file gone.json"),
        "{said}"
    );
}

#[test]
fn misspelt_variables_are_told_together_with_wrong_values() {
    let directory = tempfile::tempdir().unwrap();
    let said = load(
        directory.path(),
        &[
            ("SERVEMARK_MODEL_ENDPOINT", text("http://a:8000")),
            ("SERVEMARK_TOP_P", text("2")),
            ("SERVEMARK_AB", text("old=http://a,new=http://b")),
            ("SERVEMARK_UNRELATED", text("1")),
        ],
    );
    assert!(
        said.contains("failed: the configuration has 2 problems:"),
        "{said}"
    );
    assert!(said.contains("SERVEMARK_MODEL_ENDPOINTS"), "{said}");
    assert!(said.contains("SERVEMARK_TOP_P: found 2;"), "{said}");
}

#[cfg(unix)]
#[test]
fn a_variable_that_is_not_text_is_told() {
    use std::os::unix::ffi::OsStrExt;

    let directory = tempfile::tempdir().unwrap();
    let bytes = OsStr::from_bytes(&[0x66, 0xff]);
    let said = load(directory.path(), &[("SERVEMARK_MODEL_PATH", bytes)]);
    assert!(
        said.contains("failed: environment variable SERVEMARK_MODEL_PATH"),
        "{said}"
    );
    assert!(said.contains("not UTF-8"), "{said}");
}
