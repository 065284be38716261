//! Every corpus file of the fuzz targets (`fuzz/`), through the same entry points: a crash that was found once stays
//! fixed.

use std::fs;
use std::path::Path;

use servemark::internals::fuzzing::TARGETS;

#[test]
fn no_corpus_file_breaks_what_reads_it() {
    let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpora");
    let mut known: Vec<&str> = TARGETS.iter().map(|target| target.0).collect();
    known.sort_unstable();
    assert_eq!(names(&corpora), known, "each target has a corpus");
    for (name, target) in TARGETS {
        let corpus = corpora.join(name);
        let files = names(&corpus);
        assert!(files.len() >= 2, "{name}: {files:?}");
        for file in files {
            // Shown where the target panics.
            eprintln!("{name}/{file}");
            target(&fs::read(corpus.join(file)).expect("a readable file"));
        }
    }
}

fn names(directory: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let name = entry.expect("an entry").file_name();
        name.into_string().expect("UTF-8")
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort_unstable();
    names
}
