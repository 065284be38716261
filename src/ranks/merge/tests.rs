use serde_json::Value;

use super::*;
use crate::client::{Failure, FailureCause};
use crate::engine::Preset;
use crate::load::OPEN;
use crate::load::window_tests::completed;
use crate::metrics::Summary;
use crate::results::SCHEMA_VERSION;
use crate::simulation::{VirtualLoad, VirtualSetup};

const CONCURRENCY: usize = 8;
const ENDPOINTS: usize = 2;
/// Rank 0's clock at zero (ns since 1970), and how much later each next rank's began.
const EPOCH_NS: u64 = 1_800_000_000_000_000_000;
const APART_NS: u64 = 1_234_567_891;

/// A load as one process measured it.
struct One {
    warm_up: Window,
    windows: Vec<Window>,
    /// What ends after them.
    rest: Window,
}

impl One {
    fn all(&self) -> Vec<&Window> {
        let measured = self.windows.iter().chain([&self.rest]);
        std::iter::once(&self.warm_up).chain(measured).collect()
    }

    fn span(&self) -> MeasuredInterval {
        MeasuredInterval {
            // The completion that ends the warm-up is the first one after it.
            warm_up: Duration::from_nanos(self.warm_up.end_ns),
            stop_unix_ns: EPOCH_NS + BEGAN_NS + self.windows.last().expect("windows").end_ns,
            round: NonZeroUsize::new(CONCURRENCY),
            samples: self.windows.len(),
        }
    }
}

/// A load in virtual time.
fn measured() -> One {
    let mut preset = Preset::named("sim-small").expect("shipped");
    preset.step_time.base_us = 20_000.0;
    let mut load = VirtualLoad::start(VirtualSetup {
        replicas: ENDPOINTS.try_into().expect("some"),
        concurrency: CONCURRENCY.try_into().expect("some"),
        ..VirtualSetup::new(preset)
    })
    .expect("a sound preset");
    let mut windows: Vec<Window> = [&[3][..], &[2; 11]]
        .concat()
        .into_iter()
        .map(|n| load.window(n))
        .collect();
    // Requests that end with the same step do so one after another, as real ones do.
    let (mut count, mut end_ns) = (0, 0);
    for window in &mut windows {
        let moved = window.requests.iter().map(|mut request| {
            count += 1;
            request.end_ns += count;
            request
        });
        let moved: Vec<RequestRecord> = moved.collect();
        window.start_ns = end_ns;
        end_ns = moved.last().expect("a round").end_ns;
        window.requests = moved.into();
        window.end_ns = end_ns;
    }
    let rest = windows.pop().expect("the last");
    let warm_up = windows.remove(0);
    One {
        warm_up,
        windows,
        rest,
    }
}

/// Gives the requests of all windows to `of` ranks, each with a clock of its own.
fn split(windows: &[&Window], of: usize) -> Vec<RankRequests> {
    let mut parts: Vec<RankRequests> = (0..of)
        .map(|rank| RankRequests {
            rank: RankPart {
                rank,
                of,
                concurrency: CONCURRENCY / of,
                began_ns: 0,
                start_lag_ms: 0.0,
                clock_behind_ms: 0.0,
                aborted_at_ns: None,
            },
            // All began to send at rank 0's second 100.
            clock_unix_ns: EPOCH_NS + rank as u64 * APART_NS,
            requests: Default::default(),
            self_check: None,
        })
        .collect();
    for (rank, part) in parts.iter_mut().enumerate() {
        let own = Shift::between(EPOCH_NS + BEGAN_NS, part.clock_unix_ns);
        part.rank.began_ns = own.apply(0);
        let all = windows.iter().flat_map(|window| window.requests.iter());
        let mine = all.filter(|request| request.index as usize % of == rank);
        part.requests = mine.map(|request| own.moved(request)).collect();
    }
    parts
}

const BEGAN_NS: u64 = 100_000_000_000;

/// A part as it is after it was written and read.
fn through_a_file(part: &RankRequests) -> RankRequests {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("part.json");
    let requests: crate::requests::RequestColumns = part.requests.iter().collect();
    let failures = crate::metrics::count_failures(part.requests.iter());
    let record = serde_json::json!({
        "schema_version": SCHEMA_VERSION, "servemark_version": "", "ended_unix_s": 0.0,
        "clock_unix_ns": part.clock_unix_ns, "bench": "", "prompt": "", "prompt_tokens": 0,
        "tokenizer": "", "concurrency": part.rank.concurrency, "seed": 0,
        "request_id_prefix": null, "simulated": null, "config": {}, "endpoints": [],
        "summary": null, "failures": failures, "blocked": [], "server_metrics": [],
        "self_check": part.self_check, "part": part.rank, "windows": [], "requests": requests,
    });
    std::fs::write(&path, record.to_string()).expect("writable");
    let record = RunRecord::read(&path).expect("a record");
    RankRequests::of(record).expect("a part's record")
}

fn figures(windows: &[Window]) -> Value {
    let summary = Summary::of(windows, 7.0, ENDPOINTS).expect("some completed");
    serde_json::to_value(summary).expect("JSON")
}

/// Compares every number of two summaries.
fn compare(path: &str, merged: &Value, one: &Value, tolerance: &dyn Fn(&str) -> f64) {
    match (merged, one) {
        (Value::Object(merged), Value::Object(one)) => {
            for (key, value) in one {
                compare(&format!("{path}/{key}"), &merged[key], value, tolerance);
            }
        }
        (Value::Array(merged), Value::Array(one)) => {
            assert_eq!(merged.len(), one.len(), "{path}");
            for (merged, one) in merged.iter().zip(one) {
                compare(path, merged, one, tolerance);
            }
        }
        (Value::Number(merged), Value::Number(one)) => {
            let [merged, one] = [merged, one].map(|n| n.as_f64().expect("a number"));
            let most = tolerance(path);
            assert!(
                (merged - one).abs() <= most,
                "{path}: {merged}, one process {one}"
            );
        }
        _ => assert_eq!(merged, one, "{path}"),
    }
}

#[test]
fn the_parts_of_four_ranks_give_the_figures_of_one_process() {
    let one = measured();
    let parts: Vec<RankRequests> = split(&one.all(), 4).iter().map(through_a_file).collect();
    let merged = MergedRun::of(parts, one.span());
    assert_eq!(merged.notes, [""; 0]);
    assert_eq!(merged.ranks.len(), 4);
    assert_eq!(merged.windows.len(), one.windows.len());
    for (merged, one) in merged.windows.iter().zip(&one.windows) {
        assert_eq!(merged.rounds, one.rounds);
        assert_eq!(merged.wall_ns(), one.wall_ns());
        assert_eq!(merged.end_ns, one.end_ns + BEGAN_NS);
        let sorted = |window: &Window| {
            let mut indices: Vec<u64> = window.requests.iter().map(|r| r.index).collect();
            indices.sort_unstable();
            indices
        };
        assert_eq!(sorted(merged), sorted(one));
        // Tokens of the very step that ends the window: one process counts those it has read by then.
        assert!(merged.carried_out.abs_diff(one.carried_out) <= CONCURRENCY as u64);
    }
    let (merged, one) = (figures(&merged.windows), figures(&one.windows));
    compare("", &merged, &one, &|path| match path {
        // Those tokens again, of the first and the last window, in 160 × 32.
        "/output_tok_s" => one["output_tok_s"].as_f64().expect("counted") * 8.0 / 5_120.0,
        // Content events are kept to the microsecond; the rest differs in its order of addition.
        path if path.contains("_ms") => 1.1e-3,
        _ => 1e-9,
    });
}

#[test]
fn an_open_loop_is_cut_into_windows_of_equal_times() {
    let mut load = VirtualLoad::start(VirtualSetup {
        shape: &OPEN,
        request_rate: 40.0,
        concurrency: NonZeroUsize::new(1_000).expect("above 0"),
        ..VirtualSetup::new(Preset::named("sim-small").expect("shipped"))
    })
    .expect("a sound preset");
    let [warm_up, measured, rest] = [10, 200, 40].map(|rounds| load.window(rounds));
    let span = MeasuredInterval {
        warm_up: Duration::from_nanos(warm_up.end_ns),
        stop_unix_ns: EPOCH_NS + BEGAN_NS + measured.end_ns,
        round: None,
        samples: 10,
    };
    let all = [&warm_up, &measured, &rest];
    let parts: Vec<RankRequests> = split(&all, 4).iter().map(through_a_file).collect();
    let windows = MergedRun::of(parts, span).windows;
    assert_eq!(windows.len(), 10);
    let each_ns = measured.wall_ns() as f64 / 10.0;
    for window in &windows {
        let off = (window.wall_ns() as f64 / each_ns - 1.0).abs();
        assert!(
            off < 0.25,
            "a window ends with a completion, 25 ms apart: {off}"
        );
        let at_ns = window.end_ns - BEGAN_NS;
        let requests = all.iter().flat_map(|window| window.requests.iter());
        let in_flight = requests.filter(|r| r.sent_ns <= at_ns && r.end_ns > at_ns);
        let in_flight = in_flight.count() as u64;
        // Those that ended with the same step are in order, not in time, before or after the end.
        let counted = window.in_flight.expect("an open loop");
        assert!(
            counted.abs_diff(in_flight) <= 2,
            "{counted}, not {in_flight}"
        );
    }
    let counted: usize = windows.iter().map(|window| window.requests.len()).sum();
    assert!(measured.requests.len().abs_diff(counted) <= 1);
}

#[test]
fn it_does_not_matter_who_sent_what() {
    let one = measured();
    let merged = |of| figures(&MergedRun::of(split(&one.all(), of), one.span()).windows);
    for of in [2, 3, 8] {
        assert_eq!(merged(of), merged(1), "{of} ranks");
    }
}

#[test]
fn the_interval_begins_with_the_last_rank_and_ends_before_any_gives_out() {
    let one = measured();
    let mut parts = split(&one.all(), 2);
    let late_ns = one.windows[4].end_ns - one.warm_up.end_ns;
    parts[1].rank.began_ns += late_ns;
    parts[1].rank.start_lag_ms = late_ns as f64 * 1e-6;
    parts[0].rank.aborted_at_ns = Some(BEGAN_NS + one.windows[8].end_ns);
    parts[0].rank.clock_behind_ms = -70.0;
    let merged = MergedRun::of(parts, one.span());
    let first = merged.windows.first().expect("windows");
    let last = merged.windows.last().expect("windows");
    assert_eq!(first.start_ns, BEGAN_NS + one.windows[5].start_ns);
    assert!(last.end_ns <= BEGAN_NS + one.windows[8].end_ns);
    // Eight rounds where ten were asked for.
    assert!(
        merged
            .windows
            .iter()
            .all(|window| window.requests.len() == CONCURRENCY)
    );
    assert_eq!(merged.windows.len(), 8);
    let notes = merged.notes.join("\n");
    for part in [
        "rank 1 started",
        "rank 0 stopped early",
        "the clock of rank 0 is at least 70 ms ahead",
        "only 8 rounds",
    ] {
        assert!(notes.contains(part), "{part} is missing: {notes}");
    }
}

#[test]
fn a_point_without_a_round_shows_what_failed_with_its_message() {
    let mut request = completed(1_000, 2_000, 3_000, 1);
    request.outcome = Outcome::Failed(Failure {
        cause: FailureCause::Connect,
        message: "refused".into(),
    });
    let window = Window {
        start_ns: 0,
        end_ns: 3_000,
        rounds: 1,
        requests: vec![completed(1_000, 2_000, 2_500, 1), request].into(),
        carried_in: 0,
        carried_out: 0,
        in_flight: None,
    };
    let part = through_a_file(&split(&[&window], 1)[0]);
    let merged = MergedRun::of(
        vec![part],
        MeasuredInterval {
            warm_up: Duration::from_secs(1),
            stop_unix_ns: EPOCH_NS + BEGAN_NS + 3_000,
            round: NonZeroUsize::new(2),
            samples: 10,
        },
    );
    let requests = merged
        .windows
        .iter()
        .flat_map(|window| window.requests.iter());
    let failures = crate::metrics::count_failures(requests);
    assert_eq!(failures.len(), 1);
    assert_eq!(failures[0].first_message, "refused");
}
