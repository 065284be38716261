//! Changes of baselines that are broken off at each of their steps.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;

use std::io;

use super::stop::{Injected, with};
use super::*;
use crate::engine::Preset;
use crate::results::PlannedPoint;
use crate::results::capacity_record_tests::found;
use crate::simulation::{VirtualLoad, VirtualSetup, record};

/// Every baseline as it is listed, with the content of its files.
type View = BTreeMap<BaselineName, (Vec<ResultKey>, BTreeMap<PathBuf, Vec<u8>>)>;

type Action = fn(&Baselines) -> Result<(), BaselineError>;

const ACTIONS: [(&str, Action); 7] = [
    ("save a run", save_run),
    ("save", |b| b.save(&name("v2"), false).map(drop)),
    ("save --force", |b| b.save(&name("v1"), true).map(drop)),
    ("rename", |b| b.rename(&name("v1"), &name("v3"))),
    ("import", |b| {
        b.import(&exported(b), Some(&name("v4")), false).map(drop)
    }),
    ("import --force", |b| {
        b.import(&exported(b), Some(&name("v1")), true).map(drop)
    }),
    ("delete", |b| b.delete(&name("v1")).map(drop)),
];

fn name(text: &str) -> BaselineName {
    text.parse().expect("a name")
}

fn exported(baselines: &Baselines) -> PathBuf {
    baselines.criterion.join("new.tar.gz")
}

const RUN_ID: &str = "00000000000000b1";

/// Saves the latest run of the bench as `v1`, as the bench does at its end.
fn save_run(baselines: &Baselines) -> Result<(), BaselineError> {
    let lock = baselines.lock_for_run("a bench")?;
    let run = RunToSave {
        bench: "b",
        run_id: RUN_ID,
        recorded_as: BaselineName::latest(),
        name: name("v1"),
        criterion_name: "v1",
        deployment: None,
    };
    baselines.save_runs(&lock, &[run]).map(drop)
}

/// The plan of the latest run.
fn planned() -> Vec<u8> {
    let point = |concurrency| PlannedPoint {
        prompt: "100".to_owned(),
        level: NonZeroUsize::new(concurrency).expect("some").into(),
    };
    let run = LastRun {
        run_id: RUN_ID.to_owned(),
        started_unix_s: 0.0,
        bench: "b".to_owned(),
        points: [2, 4].map(point).to_vec(),
    };
    serde_json::to_vec(&run).expect("JSON")
}

/// The text of a record of one request at a time more, or fewer.
fn recorded(bench: &str, concurrency: usize) -> Vec<u8> {
    let setup = VirtualSetup {
        concurrency: NonZeroUsize::new(concurrency).expect("some"),
        ..VirtualSetup::new(Preset::named("sim-small").expect("shipped"))
    };
    let mut load = VirtualLoad::start(setup.clone()).expect("sound");
    let run = vec![load.window(1)];
    let mut record = record(&setup, bench, &[run]);
    record.run_id = Some(RUN_ID.to_owned());
    serde_json::to_vec(&record).expect("JSON")
}

/// The text of the record of a capacity.
fn searched(level: usize) -> Vec<u8> {
    let record = CapacityRecord {
        run_id: RUN_ID.to_owned(),
        bench: "b".to_owned(),
        prompt: "100".to_owned(),
        ..found(level, level as f64, level as f64)
    };
    serde_json::to_vec(&record).expect("JSON")
}

/// The latest run of two points and a capacity, its export, and a `v1` of others and of another bench.
fn template() -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for (name, levels, metric) in [("new", [2, 4], "rps"), ("v1", [4, 6], "ttft")] {
        for level in levels {
            files.push((
                format!("servemark/b/100/c={level}/{name}.json"),
                recorded("b", level),
            ));
            let path = format!("b_100_{metric}/c={level}/{name}/sample.json");
            files.push((path, format!("\"{name} {level}\"").into_bytes()));
        }
        let path = format!("servemark/b/100/capacity/{name}.json");
        files.push((path, searched(levels[1])));
    }
    files.push(("servemark/b/runs/new.plan.json".to_owned(), planned()));
    let of_other = "servemark/other/100/c=4/v1.json".to_owned();
    files.push((of_other, recorded("other", 4)));
    let (_directory, baselines) = laid_out(&files);
    let latest = baselines.find(&BaselineName::latest()).expect("a run");
    latest
        .export(&name("v9"), &exported(&baselines))
        .expect("exported");
    let archive = fs::read(exported(&baselines)).expect("written");
    files.push(("new.tar.gz".to_owned(), archive));
    files
}

fn laid_out(files: &[(String, Vec<u8>)]) -> (tempfile::TempDir, Baselines) {
    // Hundreds of changes would wait for a disk.
    let memory = Path::new("/dev/shm");
    let directory = match memory.is_dir() {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    let directory = directory.expect("a directory");
    for (path, bytes) in files {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    }
    let baselines = Baselines::beneath(directory.path());
    (directory, baselines)
}

fn view(baselines: &Baselines) -> View {
    let all = baselines.all().expect("nothing is in the way").into_iter();
    let files = |baseline: &Baseline| {
        let paths = baseline.files_as(&baseline.name).into_iter();
        let content = |path: PathBuf| {
            let bytes = fs::read(&path).expect("readable");
            (
                path.strip_prefix(&baselines.criterion)
                    .expect("below")
                    .to_owned(),
                bytes,
            )
        };
        paths.map(|(path, _)| content(path)).collect()
    };
    all.map(|baseline| {
        (
            baseline.name.clone(),
            (baseline.results.clone(), files(&baseline)),
        )
    })
    .collect()
}

/// What is there beside files: names that begin with a dot, and empty directories.
fn left_overs(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for path in entries(directory) {
        let hidden = path
            .file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with('.'));
        if hidden && !path.ends_with(".lock") {
            found.push(path);
        } else if path.is_dir() {
            match entries(&path).next() {
                None => found.push(path),
                Some(_) => found.extend(left_overs(&path)),
            }
        }
    }
    found
}

#[test]
fn a_saved_run_replaces_the_part_of_its_bench_alone() {
    let (_directory, baselines) = laid_out(&template());
    save_run(&baselines).expect("done");
    let saved = baselines.find(&name("v1")).expect("saved");
    let results = saved.results.iter().map(ResultKey::to_string);
    assert_eq!(
        Vec::from_iter(results),
        ["b/100", "b/100 c=2", "b/100 c=4", "other/100 c=4"]
    );
    let found = criterion_directories(&baselines, "v1");
    let of_criterion = ["b_100_rps/c=2/v1", "b_100_rps/c=4/v1"];
    assert_eq!(found, of_criterion.map(PathBuf::from));
    let other = RunToSave {
        bench: "other",
        run_id: RUN_ID,
        recorded_as: BaselineName::latest(),
        name: name("v2"),
        criterion_name: "v2",
        deployment: None,
    };
    let lock = baselines.lock_for_run("a bench").expect("free");
    let refused = baselines.save_runs(&lock, &[other]).map(drop);
    let refused = refused.expect_err("no run of this bench").to_string();
    assert!(refused.contains("no record of this run"), "{refused}");
}

/// Criterion's directories of a name, relative to its own.
fn criterion_directories(baselines: &Baselines, name: &str) -> Vec<PathBuf> {
    let results = baselines.results().into_iter();
    let directories =
        results.flat_map(|(key, _)| Vec::from_iter(key.criterion_directories(None, name)));
    directories
        .filter(|path| baselines.criterion.join(path).is_dir())
        .collect()
}

#[test]
fn a_killed_change_leaves_the_old_state_or_the_new_one() {
    let template = template();
    for (what, action) in ACTIONS {
        let (_directory, baselines) = laid_out(&template);
        let old = view(&baselines);
        action(&baselines).expect("done");
        let new = view(&baselines);
        assert_ne!(old, new, "{what}");
        let (mut olds, mut news) = (0, 0);
        for last in 0.. {
            let (directory, baselines) = laid_out(&template);
            let (done, _) = with(Injected::Killed(last), || action(&baselines));
            // The process that finds it is killed, too, soon after.
            let _ = with(Injected::Killed(1), || baselines.all().map(drop));
            let found = view(&baselines);
            assert!(
                found == old || found == new,
                "{what}, killed before step {last}: {found:#?}"
            );
            olds += usize::from(found == old);
            news += usize::from(found == new);
            baselines.clear_left_overs();
            assert_eq!(view(&baselines), found, "{what}, step {last}");
            let left = left_overs(directory.path());
            assert!(
                left.is_empty(),
                "{what}, killed before step {last}: {left:?}"
            );
            if done.is_some() {
                assert_eq!(found, new, "{what}");
                break;
            }
        }
        // Before the change stands, after that, and undisturbed.
        assert!(olds >= 1 && news >= 3, "{what}: {olds}, {news}");
    }
}

#[test]
fn a_full_disk_leaves_the_old_state_and_deleting_needs_no_space() {
    let template = template();
    for (what, action) in ACTIONS {
        let (_directory, baselines) = laid_out(&template);
        let old = view(&baselines);
        action(&baselines).expect("done");
        let new = view(&baselines);
        for first in 0.. {
            let (directory, baselines) = laid_out(&template);
            let (result, steps) = with(Injected::DiskFull(first), || action(&baselines));
            let result = result.expect("it was not killed");
            let expected = match &result {
                Ok(()) => &new,
                Err(BaselineError::File { error, .. }) => {
                    assert_eq!(error.kind(), io::ErrorKind::StorageFull);
                    assert_ne!(what, "delete");
                    &old
                }
                Err(other) => panic!("{what}, full from step {first} on: {other}"),
            };
            assert_eq!(
                &view(&baselines),
                expected,
                "{what}, full from step {first} on"
            );
            let left = left_overs(directory.path());
            assert!(
                left.is_empty(),
                "{what}, full from step {first} on: {left:?}"
            );
            if result.is_ok() || first > steps {
                assert!(result.is_ok(), "{what}");
                break;
            }
        }
    }
}

#[test]
fn half_a_change_that_cannot_be_finished_is_not_read() {
    let (_directory, baselines) = laid_out(&template());
    // Far enough that files have been moved.
    let (done, steps) = with(Injected::DiskFull(usize::MAX), || {
        baselines.save(&name("v1"), true).map(drop)
    });
    done.expect("not killed").expect("done");
    let (_directory, baselines) = laid_out(&template());
    let (done, _) = with(Injected::Killed(steps - 1), || {
        baselines.save(&name("v1"), true).map(drop)
    });
    assert!(done.is_none());
    let (decided, _) = pending(&baselines);
    fs::write(decided.join("obsolete.json"), "[").expect("written");
    for error in [
        baselines.all().map(drop).expect_err("not readable"),
        baselines
            .find(&name("v1"))
            .map(drop)
            .expect_err("not readable"),
    ] {
        let text = error.to_string();
        assert!(matches!(error, BaselineError::Unfinished { .. }), "{text}");
        assert!(text.contains("obsolete.json"), "{text}");
    }
}

fn pending(baselines: &Baselines) -> (PathBuf, String) {
    let hidden = entries(&baselines.criterion.join(RECORDS)).filter_map(|path| {
        let name = path.file_name()?.to_str()?.to_owned();
        name.starts_with(".decided-").then_some((path, name))
    });
    hidden.last().expect("a change was decided")
}
