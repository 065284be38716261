//! Output drawn on a terminal, and nothing drawn elsewhere.
#![cfg(unix)]

use std::fs::File;
use std::io::Read;
use std::process::{Command, Stdio};

use nix::pty::openpty;

/// Runs the command on a terminal of 120 columns; everything that it wrote there.
fn on_a_terminal(arguments: &[&str], env: &[(&str, &str)]) -> String {
    let size = nix::pty::Winsize {
        ws_row: 40,
        ws_col: 120,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    let pty = openpty(&size, None).expect("a pseudo-terminal");
    let here = tempfile::tempdir().expect("a temporary directory");
    let side = || Stdio::from(pty.slave.try_clone().expect("a descriptor"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
    command
        .args(arguments)
        .current_dir(here.path())
        .env("CRITERION_HOME", here.path())
        .env("TERM", "xterm-256color")
        .stdin(side())
        .stdout(side())
        .stderr(side());
    for variable in ["CI", "NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE"] {
        command.env_remove(variable);
    }
    command.envs(env.iter().copied());
    let mut child = command.spawn().expect("the command runs");
    // Held only by the child from now on: its end ends what can be read.
    drop(command);
    let mut master = File::from(pty.master);
    drop(pty.slave);
    let mut written = Vec::new();
    let mut some = [0; 4096];
    // Linux reports an error on a terminal without an open handle.
    while let Ok(read @ 1..) = master.read(&mut some) {
        written.extend_from_slice(&some[..read]);
    }
    let status = child.wait().expect("it ends");
    let written = String::from_utf8_lossy(&written).into_owned();
    assert!(status.success(), "{written}");
    written
}

/// A run long enough for a bar to be drawn.
const RUN: [&str; 10] = [
    "run",
    "--concurrency",
    "2",
    "--max-tokens",
    "8",
    "--duration",
    "1",
    "--warm-up",
    "0.3",
    "--windows=2",
];

/// Whether a text sets a colour: `ESC [ … m` with a parameter other than a plain style's.
fn has_colour(text: &str) -> bool {
    text.split("\u{1b}[").skip(1).any(|code| {
        let (parameters, _) = code.split_once('m').unwrap_or_default();
        let numbers = parameters.split(';').map(str::parse::<u8>);
        numbers.flatten().any(|number| number >= 30)
    })
}

#[test]
fn a_terminal_shows_the_load_live_and_the_table_in_colour() {
    let seen = on_a_terminal(&RUN, &[]);
    for words in [
        "warm-up",
        "measuring",
        " tok/s · ",
        " req/s · 2 in flight · 0 failed · ",
    ] {
        assert!(seen.contains(words), "{words}: {seen:?}");
    }
    assert!(has_colour(&seen), "{seen:?}");
    // The bar is cleared before anything else is written.
    let (_, after) = seen.rsplit_once("in flight").expect("a bar");
    assert!(after.contains("\u{1b}[2K"), "{after:?}");
    let lines = after.lines().filter(|line| line.contains("tok/s"));
    assert!(lines.count() >= 1, "the table follows: {after:?}");
}

#[test]
fn no_color_takes_the_colours_and_leaves_the_bar() {
    let seen = on_a_terminal(&RUN, &[("NO_COLOR", "1")]);
    assert!(seen.contains("in flight"), "{seen:?}");
    assert!(!has_colour(&seen), "{seen:?}");
}

#[test]
fn ci_takes_the_bar() {
    let seen = on_a_terminal(&RUN, &[("CI", "true")]);
    assert!(!seen.contains("in flight"), "{seen:?}");
    assert!(
        seen.contains("[1/1] run/100 c=2 · "),
        "the plain line stays: {seen:?}"
    );
}
