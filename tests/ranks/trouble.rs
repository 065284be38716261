//! A failure in one process is reported by all.

use servemark::RunRecord;

use super::{
    TWO_PODS, Variables, arguments, assert_all_end_with, chat, ended, engine, processes, start,
    text,
};

#[test]
fn a_server_that_fails_every_request_fails_all_ranks_with_its_words() {
    let engine = engine("http_500=1");
    let mut bench = chat(&engine, 4);
    bench.env("SERVEMARK_RANKS", "2");
    for arguments in [arguments("0.2", "1"), vec!["--test".to_owned()]] {
        let outputs = processes(&bench, &TWO_PODS, &arguments);
        assert_all_end_with(1, &outputs);
        let said = text(&outputs[0]);
        assert!(said.contains("chat_throughput/25 c=4 FAILED"), "{said}");
        assert!(said.contains("HTTP 500: "), "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[test]
fn ranks_that_cannot_run_together_say_why() {
    let engine = engine("");
    let rank = |rank| ("OMPI_COMM_WORLD_RANK", rank);
    let size = ("OMPI_COMM_WORLD_SIZE", "2");
    let wave = ("SERVEMARK_LOAD_SHAPE", "wave");
    let nowhere = ("SERVEMARK_TOKENIZER_PATH", "/nowhere/tokenizer.json");
    let hotter = ("SERVEMARK_TEMPERATURE", "0.7");
    let cases: [(&[Variables], &str); 6] = [
        (&[&[rank("0"), size, wave]], "LOAD_SHAPE"),
        (
            &[&[rank("0"), size, ("SERVEMARK_MODEL_ENDPOINTS", "")]],
            "servemark engine",
        ),
        (&[&[rank("2"), size]], "OMPI_COMM_WORLD_RANK"),
        (&[&[("JOB_COMPLETION_INDEX", "0")]], "SERVEMARK_RANKS"),
        // One rank alone fails, and ends the other.
        (
            &[&[rank("0"), size], &[rank("1"), size, nowhere]],
            "rank 1 gave up",
        ),
        (
            &[&[rank("0"), size], &[rank("1"), size, hotter]],
            "TEMPERATURE = 0.7",
        ),
    ];
    for (variables, named) in cases {
        let bench = chat(&engine, 4);
        let outputs = processes(&bench, variables, &arguments("0.2", "1"));
        assert_all_end_with(2, &outputs);
        let said = text(&outputs[0]);
        assert!(said.contains(named), "{named} is missing:\n{said}");
    }
}

#[test]
fn a_rank_that_is_killed_fails_the_point_and_what_the_others_sent_is_kept() {
    let engine = engine("");
    let volume = tempfile::tempdir().expect("a temporary directory");
    let mut bench = chat(&engine, 4);
    bench
        .env("SERVEMARK_RANKS", "2")
        .env("SERVEMARK_READY_TIMEOUT", "3")
        .env(
            "SERVEMARK_RANKS_DIR",
            volume.path().to_str().expect("a path in UTF-8"),
        );
    let mut running = start(&bench, &TWO_PODS, &arguments("0.2", "3"));
    let note = |name: &str| {
        let runs = std::fs::read_dir(volume.path())
            .expect("a directory")
            .flatten();
        let note = |run: std::fs::DirEntry| run.path().join(name);
        runs.map(note).find(|path| path.exists())
    };
    while note("start-0.json").is_none() {
        std::thread::yield_now();
    }
    let mut killed = running.remove(1);
    killed.kill().expect("it runs");
    killed.wait().expect("it has ended");
    let first = ended(running.remove(0));
    assert_all_end_with(1, std::slice::from_ref(&first));
    let said = text(&first);
    assert!(said.contains("rank 1 sent no heartbeat for 3 s"), "{said}");
    assert!(said.contains("chat_throughput/25 c=4 FAILED"), "{said}");
    let kept = RunRecord::read(&note("part-0-0.json").expect("rank 0's part"));
    assert!(kept.expect("a record").requests.iter().count() > 0);
}
