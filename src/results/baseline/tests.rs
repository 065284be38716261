use std::collections::BTreeMap;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;
use crate::engine::Preset;
use crate::simulation::{VirtualLoad, VirtualSetup, record};

fn name(text: &str) -> BaselineName {
    text.parse().expect("a name")
}

/// The text of a record of `chat_throughput/100 c=8`.
fn recorded() -> Vec<u8> {
    let setup = VirtualSetup::new(Preset::named("sim-small").expect("shipped"));
    let mut load = VirtualLoad::start(setup.clone()).expect("sound");
    let run = vec![load.window(1)];
    serde_json::to_vec(&record(&setup, "chat_throughput", &[run])).expect("JSON")
}

const RECORD: &str = "servemark/chat_throughput/100/c=8/v1.json";

/// A file of these entries after a manifest that fits them.
fn exported(directory: &Path, change: fn(&mut Manifest), entries: &[(&str, &[u8])]) -> PathBuf {
    let mut manifest = Manifest {
        format_version: 1,
        name: "v1".to_owned(),
        servemark_version: "0.1.0".to_owned(),
        server: "vLLM 0.32.0".to_owned(),
        date: "2026-01-01T00:00:00Z".to_owned(),
        files: entries.len(),
    };
    change(&mut manifest);
    let manifest = serde_json::to_vec(&manifest).expect("JSON");
    let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::fast()));
    let all = [("servemark-baseline.json", manifest.as_slice())];
    for (path, bytes) in all.iter().chain(entries) {
        let mut header = tar::Header::new_old();
        // As a hostile writer would: `tar` itself refuses to write such paths.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        tar.append(&header, *bytes).expect("appended");
    }
    let mut gzip = tar.into_inner().expect("a tar file");
    gzip.flush().expect("flushed");
    let file = directory.join("file.tar.gz");
    fs::write(&file, gzip.finish().expect("compressed")).expect("written");
    file
}

/// Words of the error, what is wrong with the manifest, and the entries after it.
type Case<'a> = (&'a str, fn(&mut Manifest), &'a [(&'a str, &'a [u8])]);

#[test]
fn entries_that_are_no_files_of_the_baseline_are_refused() {
    let record = recorded();
    let good = (RECORD, record.as_slice());
    let as_is: fn(&mut Manifest) = |_| {};
    let cases: [Case<'_>; 10] = [
        (
            "../up.json is not a file",
            as_is,
            &[good, ("../up.json", b"{}")],
        ),
        (
            "/up.json is not a file",
            as_is,
            &[good, ("/up.json", b"{}")],
        ),
        (
            "x.json is not a file of baseline v1",
            as_is,
            &[good, ("x.json", b"{}")],
        ),
        (
            "other.json is not a file of baseline v1",
            as_is,
            &[good, ("chat_throughput_100_rps/c=8/v1/other.json", b"{}")],
        ),
        (
            "sample.json: ",
            as_is,
            &[good, ("chat_throughput_100_rps/c=8/v1/sample.json", b"{")],
        ),
        (
            "the record of chat_throughput/100 c=8 has another path",
            as_is,
            &[("servemark/chat_throughput/25/c=8/v1.json", &record)],
        ),
        ("it contains a file twice", as_is, &[good, good]),
        ("it contains no record of v1", as_is, &[]),
        ("it contains 1 of its 2 files", |m| m.files = 2, &[good]),
        ("format_version is 9", |m| m.format_version = 9, &[good]),
    ];
    for (words, change, entries) in cases {
        let directory = tempfile::tempdir().expect("a directory");
        let file = exported(directory.path(), change, entries);
        let baselines = Baselines::beneath(directory.path());
        let error = baselines
            .import(&file, None, false)
            .expect_err(words)
            .to_string();
        assert!(error.contains(words), "{words}: {error}");
        assert!(baselines.all().expect("readable").is_empty());
        assert!(!directory.path().join("../up.json").exists());
    }
}

#[test]
fn a_record_of_another_form_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = exported(
        directory.path(),
        |_| {},
        &[(RECORD, b"{\"schema_version\":1}")],
    );
    let error = Baselines::beneath(directory.path()).import(&file, None, false);
    let error = error.expect_err("refused").to_string();
    assert!(error.contains("schema_version is 1"), "{error}");
}

#[test]
fn a_reserved_name_in_a_file_is_refused_and_another_can_be_given() {
    let directory = tempfile::tempdir().expect("a directory");
    let record = recorded();
    let baselines = Baselines::beneath(directory.path());
    let file = exported(
        directory.path(),
        |m| m.name = "base".to_owned(),
        &[(RECORD, &record)],
    );
    let error = baselines.import(&file, None, false).expect_err("refused");
    assert!(error.to_string().contains("Criterion uses"), "{error}");
    let file = exported(directory.path(), |_| {}, &[(RECORD, &record)]);
    let imported = baselines.import(&file, Some(&name("v2")), false);
    assert_eq!(imported.expect("sound").name, name("v2"));
    let names: Vec<BaselineName> = baselines
        .all()
        .expect("readable")
        .into_iter()
        .map(|b| b.name)
        .collect();
    assert_eq!(names, [name("v2")]);
}

#[test]
fn an_incomplete_import_is_rolled_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let record = recorded();
    let sample = "chat_throughput_100_rps/c=8/v1/sample.json";
    let file = exported(
        directory.path(),
        |_| {},
        &[(RECORD, &record), (sample, b"{}")],
    );
    let baselines = Baselines::beneath(directory.path());
    // A directory where the record belongs.
    fs::create_dir_all(directory.path().join(RECORD)).expect("made");
    assert!(baselines.import(&file, None, false).is_err());
    assert!(!directory.path().join(sample).exists());
}

/// Baselines with a `v1` that has a record and, of Criterion, the four files of two metrics.
fn with_old_v1() -> (tempfile::TempDir, Baselines) {
    let directory = tempfile::tempdir().expect("a directory");
    let put = |path: &str, bytes: &[u8]| {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, bytes).expect("written");
    };
    put(RECORD, &recorded());
    for metric in ["rps", "ttft"] {
        for file in CRITERION_FILES {
            put(
                &format!("chat_throughput_100_{metric}/c=8/v1/{file}"),
                b"\"old\"",
            );
        }
    }
    let baselines = Baselines::beneath(directory.path());
    (directory, baselines)
}

/// Every file below, with its content.
fn snapshot(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for path in entries(directory).filter(|path| !path.ends_with(".lock")) {
        match path.is_dir() {
            true => found.extend(snapshot(&path)),
            false => drop(found.insert(path.clone(), fs::read(&path).expect("readable"))),
        }
    }
    found
}

#[test]
fn a_baseline_is_replaced_whole_and_nothing_of_the_old_one_stays() {
    let (directory, baselines) = with_old_v1();
    let record = recorded();
    let sample = "chat_throughput_100_rps/c=8/v1/sample.json";
    let outside = tempfile::tempdir().expect("a directory");
    let new: [(&str, &[u8]); 2] = [(RECORD, &record), (sample, b"\"new\"")];
    let file = exported(outside.path(), |_| {}, &new);
    let error = baselines.import(&file, None, false).expect_err("it exists");
    assert!(matches!(error, BaselineError::Exists(_)), "{error}");
    baselines.import(&file, None, true).expect("replaced");
    let expected = new.map(|(path, bytes)| (directory.path().join(path), bytes.to_vec()));
    assert_eq!(snapshot(directory.path()), BTreeMap::from(expected));
    assert!(
        !directory
            .path()
            .join("chat_throughput_100_ttft/c=8/v1")
            .exists()
    );
}

#[test]
fn the_old_baseline_stays_whole_where_the_new_one_cannot_be_brought() {
    let (directory, baselines) = with_old_v1();
    let before = snapshot(directory.path());
    let record = recorded();
    let outside = tempfile::tempdir().expect("a directory");
    let sample = "chat_throughput_100_e2el/c=8/v1/sample.json";
    let file = exported(
        outside.path(),
        |_| {},
        &[(RECORD, &record), (sample, b"\"new\"")],
    );
    // A file where a directory is needed, as a disk without space would have it: late, after others.
    fs::write(directory.path().join("chat_throughput_100_e2el"), "").expect("written");
    assert!(baselines.import(&file, None, true).is_err());
    fs::remove_file(directory.path().join("chat_throughput_100_e2el")).expect("removed");
    assert_eq!(snapshot(directory.path()), before);
}

#[test]
fn files_truncated_by_a_killed_criterion_are_not_kept() {
    let (directory, baselines) = with_old_v1();
    let half = directory
        .path()
        .join("chat_throughput_100_ttft/c=8/v1/sample.json");
    fs::write(half, "{\"iters\":[1.0,").expect("written");
    baselines.rename(&name("v1"), &name("v2")).expect("renamed");
    let kept = |metric: &str| {
        let path = format!("chat_throughput_100_{metric}/c=8/v2");
        files(&directory.path().join(path)).count()
    };
    assert_eq!((kept("rps"), kept("ttft")), (CRITERION_FILES.len(), 0));
    let old = snapshot(directory.path()).into_keys();
    assert_eq!(
        old.filter(|path| path
            .iter()
            .any(|part| part.to_string_lossy().starts_with("v1")))
            .count(),
        0
    );
}

#[test]
fn a_replacement_that_was_broken_off_is_finished_by_the_next_that_looks() {
    let (directory, baselines) = with_old_v1();
    let record = recorded();
    let decided = directory.path().join("servemark/.decided-1");
    let waiting = decided.join("new").join(RECORD);
    fs::create_dir_all(waiting.parent().expect("a parent")).expect("made");
    fs::write(&waiting, [&record[..], b" "].concat()).expect("written");
    let obsolete = CRITERION_FILES.map(|f| format!("chat_throughput_100_ttft/c=8/v1/{f}"));
    let list = serde_json::to_vec(&obsolete).expect("JSON");
    fs::write(decided.join("obsolete.json"), list).expect("written");

    let found = baselines.find(&name("v1")).expect("the baseline");
    assert_eq!(
        found.criterion_paths().count(),
        1,
        "the obsolete one is gone"
    );
    let now = fs::read(directory.path().join(RECORD)).expect("readable");
    assert_eq!(now.len(), record.len() + 1, "the new record");
    assert!(!decided.exists());
}

#[cfg(unix)]
#[test]
fn an_exported_file_may_be_read_by_whom_the_umask_lets() {
    use std::os::unix::fs::PermissionsExt;
    let (_directory, baselines) = with_old_v1();
    let outside = tempfile::tempdir().expect("a directory");
    let [file, ordinary] = ["v1.tar.gz", "ordinary"].map(|name| outside.path().join(name));
    let baseline = baselines.find(&name("v1")).expect("the baseline");
    baseline.export(&name("v1"), &file).expect("exported");
    fs::write(&ordinary, "").expect("written");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode();
    assert_eq!(mode(&file), mode(&ordinary));

    let imported = baselines
        .import(&file, Some(&name("v2")), false)
        .expect("sound");
    for (path, _) in imported.files_as(&name("v2")) {
        assert_eq!(mode(&path), mode(&ordinary), "{}", path.display());
    }
}
