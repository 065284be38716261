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
            "../up.json is no file",
            as_is,
            &[good, ("../up.json", b"{}")],
        ),
        ("/up.json is no file", as_is, &[good, ("/up.json", b"{}")]),
        (
            "x.json is no file of baseline v1",
            as_is,
            &[good, ("x.json", b"{}")],
        ),
        (
            "other.json is no file of baseline v1",
            as_is,
            &[good, ("chat_throughput_100_rps/c=8/v1/other.json", b"{}")],
        ),
        (
            "sample.json: ",
            as_is,
            &[good, ("chat_throughput_100_rps/c=8/v1/sample.json", b"{")],
        ),
        (
            "the record of chat_throughput/100 c=8 lies elsewhere",
            as_is,
            &[("servemark/chat_throughput/25/c=8/v1.json", &record)],
        ),
        ("it has a file twice", as_is, &[good, good]),
        ("it has no record of v1", as_is, &[]),
        ("it has 1 of its 2 files", |m| m.files = 2, &[good]),
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
        assert!(baselines.all().is_empty());
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
    let names: Vec<BaselineName> = baselines.all().into_iter().map(|b| b.name).collect();
    assert_eq!(names, [name("v2")]);
}

#[test]
fn what_cannot_be_brought_whole_is_taken_back() {
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
