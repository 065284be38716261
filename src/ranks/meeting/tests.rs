use std::path::Path;
use std::thread::JoinHandle;

use serde_json::json;

use super::*;

const SOON: Duration = Duration::from_millis(1_500);
const LATE: Duration = Duration::from_secs(60);

fn decided(seed: u64) -> Decided {
    Decided {
        seed,
        request_id_prefix: format!("prefix-{seed}-"),
        run_id: format!("{seed:016x}"),
    }
}

/// A rank in a thread of its own, which decides on its rank as the seed.
fn rank<T: Send + 'static>(
    (rank, size): (usize, usize),
    directory: &Path,
    patience: Duration,
    meet: impl FnOnce(Result<Meeting, MeetingError>) -> T + Send + 'static,
) -> JoinHandle<T> {
    let directory = directory.to_path_buf();
    std::thread::spawn(move || {
        let plan = json!({"benchmark": "chat"});
        let decided = decided(rank as u64);
        let ranks = Ranks::of(rank, size);
        let interrupt = Interrupt::default();
        meet(Meeting::join(
            ranks, &directory, patience, plan, decided, &interrupt,
        ))
    })
}

fn ended<T>(thread: JoinHandle<T>) -> T {
    thread.join().expect("no panic")
}

/// What a rank of a run without trouble does.
fn whole_run(meeting: Result<Meeting, MeetingError>) -> (Decided, Vec<u64>, u8) {
    let meeting = meeting.expect("all come");
    let mut instants = Vec::new();
    for point in 0..2 {
        let Start::At(start) = meeting.start(point, None).expect("all are ready") else {
            panic!("nobody had a problem");
        };
        let ranks = meeting.ranks();
        let enough = meeting.enough(point, ranks.size(), &ranks.rank(), || {});
        let enough = enough.expect("all measure");
        instants.extend([start, enough.at_unix_ns]);
        let all = Vec::from_iter(0..ranks.size());
        assert_eq!(enough.remarks, if ranks.leads() { all } else { Vec::new() });
    }
    let code = meeting.ranks().rank() as u8;
    let decided = meeting.decided().clone();
    (decided, instants, meeting.close(code).expect("all leave"))
}

#[test]
fn ranks_agree_on_what_rank_0_decides_and_leave_nothing_behind() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let start = |place| rank((place, 3), directory.path(), LATE, whole_run);
    // Rank 0 comes last.
    let ranks = [2, 1, 0].map(start).map(ended);
    let (_, instants, _) = &ranks[2];
    for (decided_by_0, same_instants, code) in &ranks {
        assert_eq!(*decided_by_0, decided(0));
        assert_eq!(same_instants, instants);
        assert_eq!(*code, 0, "every rank ends with the code of rank 0");
    }
    let left = fs::read_dir(directory.path()).expect("readable").count();
    assert_eq!(left, 0);
}

#[test]
fn messages_of_an_earlier_run_are_ignored() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    // A run of more ranks that died at its first point.
    let died = [0, 1, 2].map(|place| {
        rank((place, 3), directory.path(), LATE, |meeting| {
            let meeting = meeting.expect("all come");
            meeting.start(0, None).expect("all are ready");
            meeting.closed.set(true);
        })
    });
    let _ = died.map(ended);
    let messages = fs::read_dir(directory.path()).expect("readable").count();
    assert_eq!(
        messages, 4,
        "two hellos, the invitation and the run's directory"
    );
    // Rank 0 finds their hellos before the new ranks have come.
    let first = rank((0, 3), directory.path(), LATE, whole_run);
    let old = fs::read(directory.path().join("invitation.json")).expect("readable");
    while fs::read(directory.path().join("invitation.json")).is_ok_and(|now| now == old) {
        std::thread::yield_now();
    }
    let others = [1, 2].map(|place| rank((place, 3), directory.path(), LATE, whole_run));
    let (_, instants, _) = ended(first);
    for (decided_by_0, same_instants, _) in others.map(ended) {
        assert_eq!(decided_by_0, decided(0));
        assert_eq!(same_instants, instants);
    }
}

#[test]
fn a_rank_that_never_comes_is_named() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let came = [0, 1, 3].map(|place| {
        rank((place, 4), directory.path(), SOON, |meeting| {
            meeting.err().expect("rank 2 is missing").to_string()
        })
    });
    let [first, second, fourth] = came.map(ended);
    assert!(first.contains("rank 2 of 4 did not join"), "{first}");
    // Nobody is invited before all are there.
    for error in [second, fourth] {
        assert!(error.contains("rank 0 of 4 did not join"), "{error}");
    }
}

#[test]
fn a_rank_that_fails_ends_the_others_with_its_reason() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let failing = rank((1, 3), directory.path(), LATE, |meeting| {
        meeting.expect("all come").give_up("no endpoint is ready");
    });
    let others = [0, 2].map(|place| {
        rank((place, 3), directory.path(), LATE, |meeting| {
            // Rank 1 may have failed before rank 0 saw that all had come.
            let started = meeting.and_then(|meeting| meeting.start(0, None));
            started.expect_err("rank 1 fails").to_string()
        })
    });
    ended(failing);
    for error in others.map(ended) {
        assert_eq!(error, "rank 1 gave up: no endpoint is ready");
    }
}

#[test]
fn a_rank_that_cannot_prepare_a_point_lets_nobody_start_it() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let ranks = [0, 1].map(|place| {
        rank((place, 2), directory.path(), LATE, move |meeting| {
            let meeting = meeting.expect("both come");
            let start = meeting.start(0, (place == 1).then_some("no prompt"));
            let next = meeting.start(1, None).expect("both are ready");
            assert!(matches!(next, Start::At(_)));
            meeting.close(1).expect("both leave");
            start.expect("both answered")
        })
    });
    for start in ranks.map(ended) {
        assert_eq!(start, Start::Not("rank 1: no prompt".into()));
    }
}

#[test]
fn a_rank_that_dies_is_missed_and_one_that_is_slow_is_not() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let dies = rank((1, 3), directory.path(), SOON, |meeting| {
        let mut meeting = meeting.expect("all come");
        meeting.start(0, None).expect("all are ready");
        // As if it had been killed.
        meeting.closed.set(true);
        meeting.heartbeat = None;
    });
    let slow = rank((2, 3), directory.path(), SOON, |meeting| {
        let meeting = meeting.expect("all come");
        meeting.start(0, None).expect("all are ready");
        std::thread::sleep(2 * SOON);
        meeting
            .start(1, None)
            .expect_err("rank 1 is gone")
            .to_string()
    });
    let first = rank((0, 3), directory.path(), SOON, |meeting| {
        let meeting = meeting.expect("all come");
        meeting.start(0, None).expect("all are ready");
        let () = meeting
            .wait_for(2, "ready-1-2", "readiness", &mut || {})
            .expect("rank 2 is slow but there");
        let error = meeting
            .start(1, None)
            .expect_err("rank 1 is gone")
            .to_string();
        meeting.give_up(&error);
        error
    });
    ended(dies);
    let error = ended(first);
    assert!(error.contains("rank 1 sent no heartbeat"), "{error}");
    let told = ended(slow);
    assert_eq!(told, format!("rank 0 gave up: {error}"));
}

#[test]
fn a_rank_with_another_configuration_is_told_what_differs() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let first = rank((0, 2), directory.path(), LATE, |meeting| meeting.err());
    let ranks = Ranks::of(1, 2);
    let plan = json!({"benchmark": "chat", "TOP_P": 0.5});
    let interrupt = Interrupt::default();
    let error = Meeting::join(ranks, directory.path(), LATE, plan, decided(1), &interrupt);
    let error = error.err().expect("another plan").to_string();
    assert!(
        error.contains("rank 1 has TOP_P = 0.5, rank 0 has null"),
        "{error}"
    );
    let told = ended(first).expect("rank 1 gives up").to_string();
    assert_eq!(told, format!("rank 1 gave up: {error}"));
}
