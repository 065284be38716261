//! The official `openai` client for Python against the engine.
//!
//! Needs Python 3 with `venv`, and the client: from the environment that `SERVEMARK_OPENAI_PYTHON` names (a
//! `python` that can import `openai`), else installed once into the target directory. Where neither can be had
//! the test says so and passes, except under CI.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use servemark::internals::engine::{Engine, EngineOptions, Preset};
use servemark::internals::prompt::shipped_tokenizer;

const CLIENT: &str = "openai>=2,<4";

/// A Python that can import the client, or why there is none.
fn python() -> Result<PathBuf, String> {
    if let Some(python) = std::env::var_os("SERVEMARK_OPENAI_PYTHON") {
        return Ok(python.into());
    }
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("openai-client");
    let python = environment.join("bin/python");
    if !can_import(&python) {
        run(Command::new("python3")
            .arg("-m")
            .arg("venv")
            .arg(&environment))?;
        run(Command::new(&python).args(["-m", "pip", "install", "--quiet", CLIENT]))?;
    }
    Ok(python)
}

fn can_import(python: &Path) -> bool {
    let mut import = Command::new(python);
    run(import.args(["-c", "import openai"])).is_ok()
}

/// Returns the command's output, or its error.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    let text =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    match output.status.success() {
        true => Ok(text.concat()),
        false => Err(format!("{command:?}: {}", text.concat())),
    }
}

#[test]
fn the_official_client_works_against_the_engine() {
    let python = match python() {
        Ok(python) => python,
        Err(reason) if std::env::var_os("CI").is_some() => panic!("{reason}"),
        Err(reason) => {
            eprintln!("not run: the openai client cannot be had here: {reason}");
            return;
        }
    };
    let preset = Preset::named("instant").expect("shipped");
    let tokenizer = Arc::new(shipped_tokenizer().expect("shipped"));
    let engine = Engine::start(EngineOptions::new(preset, tokenizer)).expect("starts");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openai_client/client.py");
    let printed = run(Command::new(python)
        .arg(script)
        .arg(engine.urls()[0].as_str()));
    let printed = printed.expect("the client is content");
    assert!(printed.starts_with("ok "), "{printed}");
}
