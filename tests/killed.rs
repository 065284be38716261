//! Processes that are killed at random moments: what was kept before stays whole.
#![cfg(unix)]

mod engines;
mod records;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use engines::{engine, wait_for_successes};
use records::{Results, Run};
use servemark::internals::results::{Baselines, LastRun, RunRecord};

/// Every baseline as it is listed: the content of its records by their paths.
type View = BTreeMap<String, BTreeMap<PathBuf, Vec<u8>>>;

/// The results of each command, and how often it was killed before its end.
#[derive(Debug, Default)]
struct Tally {
    old: usize,
    new: usize,
    killed: usize,
}

fn command(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
    command.args(arguments).current_dir(directory);
    command.env("CRITERION_HOME", directory);
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("SERVEMARK_")) {
        command.env_remove(key);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Lets a command run for so long, then kills it; whether it was still running.
fn kill_after(time: Duration, mut command: Command) -> bool {
    let mut child = command.spawn().expect("the command runs");
    std::thread::sleep(time);
    let running = child.try_wait().expect("a child").is_none();
    child.kill().expect("a child");
    child.wait().expect("a child");
    running
}

/// Returns how long a command takes if it is not killed.
fn duration(mut command: Command) -> Duration {
    let began = Instant::now();
    let output = command.output().expect("the command runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    began.elapsed()
}

/// A moment within the command's time, or a little later.
fn moment(whole: Duration) -> Duration {
    whole.mul_f64(1.1 * rand::random::<f64>())
}

fn view(directory: &Path) -> View {
    let all = Baselines::beneath(directory)
        .all()
        .expect("readable")
        .into_iter();
    let read = |path: PathBuf| {
        RunRecord::read(&path).expect("a whole record");
        let bytes = fs::read(&path).expect("readable");
        (path, bytes)
    };
    all.map(|baseline| {
        (
            baseline.name.to_string(),
            baseline.point_paths().map(read).collect(),
        )
    })
    .collect()
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("readable").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found
}

/// That nothing of a dead process is there any more.
fn assert_cleared(directory: &Path) {
    let hidden = |path: &PathBuf| {
        let below = path.strip_prefix(directory).expect("below");
        let mut names = below.iter().map(|name| name.to_string_lossy());
        names.any(|name| name.starts_with('.') && !name.starts_with(".lock"))
    };
    let left: Vec<PathBuf> = files(directory).into_iter().filter(hidden).collect();
    assert!(left.is_empty(), "{left:?}");
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let place = to.join(file.strip_prefix(from).expect("below"));
        fs::create_dir_all(place.parent().expect("a parent")).expect("made");
        fs::copy(&file, place).expect("copied");
    }
}

#[test]
fn a_killed_command_leaves_each_baseline_whole() {
    let results = Results::new();
    for concurrency in [2, 4, 8] {
        let run = |seed| Run {
            concurrency,
            windows: 5,
            ..Run::new(seed, "0%")
        };
        results.write("new", &run(1).record("0.32.0"));
        results.write("v1", &run(2).record("0.31.0"));
    }
    results.succeed(&["baseline", "export", "new.tar.gz", "--name", "new"]);
    let commands: [&[&str]; 5] = [
        &["save", "v2"],
        &["save", "v1", "--force"],
        &["rename", "v1", "v3"],
        &["import", "new.tar.gz", "--as", "v1", "--force"],
        &["delete", "v1"],
    ];
    let old = view(results.path());
    for arguments in commands {
        let arguments = [&["baseline"], arguments].concat();
        let whole = Results::new();
        copy(results.path(), whole.path());
        let time = duration(command(whole.path(), &arguments));
        let relative = |root: &Path, view: View| -> View {
            let names = view.into_iter().map(|(name, files)| {
                let files = files.into_iter().map(|(path, bytes)| {
                    (path.strip_prefix(root).expect("below").to_owned(), bytes)
                });
                (name, files.collect())
            });
            names.collect()
        };
        let old = relative(results.path(), old.clone());
        let new = relative(whole.path(), view(whole.path()));
        let mut tally = Tally::default();
        for _ in 0..8 {
            let here = Results::new();
            copy(results.path(), here.path());
            let killed = kill_after(moment(time), command(here.path(), &arguments));
            tally.killed += usize::from(killed);
            here.succeed(&["baseline", "list"]);
            assert_cleared(here.path());
            let found = relative(here.path(), view(here.path()));
            assert!(
                found == old || found == new,
                "{arguments:?}: {:?}",
                found.keys()
            );
            tally.old += usize::from(found == old);
            tally.new += usize::from(found == new);
            assert!(killed || found == new, "{arguments:?} had ended");
        }
        println!("{arguments:?} takes {time:?}: {tally:?}");
    }
}

const KILLS: usize = 50;

#[test]
fn a_killed_run_loses_nothing_of_earlier_ones() {
    let (results, server) = (Results::new(), engine(|_| {}));
    let url = server.urls()[0].to_string();
    let run = || {
        let options = [
            "--concurrency",
            "1,2",
            "--max-tokens",
            "2",
            "--windows",
            "2",
        ];
        let short = [
            "--warm-up",
            "0.02",
            "--duration",
            "0.05",
            "--endpoint",
            &url,
        ];
        command(results.path(), &[&["run"], &options[..], &short].concat())
    };
    let mut time = duration(run());
    results.succeed(&["baseline", "save", "kept"]);
    let kept = view(results.path()).remove("kept").expect("saved");
    assert_eq!(kept.len(), 2);
    let mut killed = 0;
    let mut unfinished = 0;
    for at in 0..KILLS {
        killed += usize::from(kill_after(moment(time), run()));
        let directory = results.path().join("servemark/run");
        for path in files(&directory) {
            let name = path.file_name().expect("a name").to_string_lossy();
            if name.starts_with('.') {
                unfinished += 1;
            } else if name.ends_with(".plan.json") {
                LastRun::read(&path).expect("a whole plan").expect("there");
            } else if name.ends_with(".json") {
                RunRecord::read(&path).expect("a whole record");
            }
        }
        for level in [1, 2] {
            let record = directory.join(format!("100/c={level}/new.json"));
            assert!(record.exists(), "an earlier run's record is there");
        }
        assert_eq!(view(results.path()).get("kept"), Some(&kept));
        if at % 10 == 0 {
            results.succeed(&["results", "kept"]);
            results.succeed(&["compare", "kept", "kept"]);
            // The machine may have become faster, or slower.
            time = duration(run());
        }
    }
    println!("{killed} of {KILLS} killed within {time:?}; {unfinished} unfinished files");
    assert!(killed >= KILLS / 4);
    // The next run clears the leftovers of the last one and measures as usual.
    duration(run());
    assert_cleared(results.path());
    results.succeed(&["results", "new"]);
}

/// Killed in the end, whatever the test says.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_second_run_in_a_directory_says_who_holds_it() {
    let (results, server) = (Results::new(), engine(|_| {}));
    results.write("new", &Run::new(1, "0%").record("0.32.0"));
    results.succeed(&["baseline", "save", "v1"]);
    let url = server.urls()[0].to_string();
    let long = [
        "run",
        "--endpoint",
        &url,
        "--concurrency",
        "2",
        "--duration",
        "600",
    ];
    let mut first = command(results.path(), &long);
    first.stdout(Stdio::null()).stderr(Stdio::null());
    let mut first = Running(first.spawn().expect("it runs"));
    wait_for_successes(&server, 4.0);

    // Nothing listens there: a run that reached its servers would say so.
    let second = ["run", "--endpoint", "http://127.0.0.1:1"];
    let refused = results.fail(&second);
    let pid = first.0.id();
    for words in [
        &format!("servemark run (process {pid}, since 20"),
        &format!("kill {pid}"),
        "CRITERION_HOME",
        &*results.path().to_string_lossy(),
    ] {
        assert!(refused.contains(words), "{words}: {refused}");
    }
    assert!(
        !refused.contains("127.0.0.1:1"),
        "before any load: {refused}"
    );

    for change in [
        &["save", "v2"][..],
        &["rename", "v1", "v2"],
        &["delete", "v1"],
    ] {
        let refused = results.fail(&[&["baseline"], change].concat());
        assert!(
            refused.contains("baselines cannot be changed while a run")
                && refused.contains(&format!("kill {pid}")),
            "{refused}"
        );
    }
    // Who only reads need not wait.
    results.succeed(&["baseline", "list"]);
    results.succeed(&["results", "v1"]);
    results.succeed(&["report", "--output", "pages"]);

    first.0.kill().expect("killed");
    first.0.wait().expect("it ends");
    results.succeed(&["baseline", "rename", "v1", "v2"]);
}
