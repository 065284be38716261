//! The command's help, completions and manual pages.

use std::process::Command;

fn servemark(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_servemark"))
        .args(arguments)
        .output()
        .expect("the command runs");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The commands that a help text lists.
fn listed(help: &str) -> Vec<String> {
    let Some((_, commands)) = help.split_once("\nCommands:\n") else {
        return Vec::new();
    };
    let lines = commands.lines().take_while(|line| !line.is_empty());
    // A summary's second line is indented further.
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

/// Every command, as what stands after `servemark`.
fn commands() -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut at = 0;
    while let Some(command) = commands.get(at).cloned() {
        let mut arguments: Vec<&str> = command.iter().map(String::as_str).collect();
        arguments.push("--help");
        let inner = listed(&servemark(&arguments));
        commands.extend(
            inner
                .into_iter()
                .map(|name| [&command[..], &[name]].concat()),
        );
        at += 1;
    }
    commands
}

#[test]
fn every_command_teaches_with_examples_within_120_columns() {
    let commands = commands();
    assert!(commands.len() >= 18, "{commands:?}");
    for command in commands {
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let long = servemark(&[&command[..], &["--help"]].concat());
        assert!(long.contains("Example"), "{command:?}: {long}");
        for help in [long, servemark(&[&command[..], &["-h"]].concat())] {
            for line in help.lines() {
                assert!(line.chars().count() <= 120, "{command:?}: {line}");
            }
        }
    }
}

/// Returns the help text of an option, from its name on.
fn about(help: &str, option: &str) -> Option<String> {
    let (_, said) = help.split_once(&format!("\n      {option} "))?;
    let said = said.split("\n      -").next().unwrap_or(said);
    let said = said.split("\n  -").next().unwrap_or(said);
    Some(said.split_whitespace().collect::<Vec<_>>().join(" "))
}

#[test]
fn an_option_of_several_commands_means_the_same_in_all() {
    for (option, commands) in [
        ("--endpoint", ["run", "check"]),
        ("--model", ["run", "check"]),
        ("--format", ["run", "results"]),
        ("--output", ["run", "results"]),
    ] {
        let [one, other] = commands.map(|command| about(&servemark(&[command, "--help"]), option));
        assert!(
            one.as_ref().is_some_and(|said| said.len() > 20),
            "{option}: {one:?}"
        );
        assert_eq!(one, other, "{option}");
    }
}

#[test]
fn completions_know_every_command_and_option() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = servemark(&["completions", shell]);
        for word in [
            "baseline",
            "compare",
            "results",
            "concurrency",
            "max-regression",
        ] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

#[test]
fn manual_pages_are_written_for_every_command() {
    let page = servemark(&["man"]);
    assert!(page.contains(".TH servemark 1"), "{page}");
    assert!(page.contains("quick look"), "{page}");
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().to_str().expect("a path in UTF-8");
    servemark(&["man", "--output", path]);
    let run = std::fs::read_to_string(directory.path().join("servemark-run.1")).expect("a page");
    assert!(
        run.contains("concurrency") && run.contains("Examples"),
        "{run}"
    );
    assert!(directory.path().join("servemark-baseline-save.1").exists());
}
