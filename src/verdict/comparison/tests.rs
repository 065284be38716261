use super::*;
use crate::client::{Failure, FailureCause, Outcome, RequestRecord};
use crate::engine::{Noise, Preset};
use crate::simulation::{self, VirtualLoad, VirtualSetup};

fn setup(seed: u64, slowdown: &str) -> VirtualSetup {
    VirtualSetup {
        seeds: seed.into(),
        noise: "step=0.05".parse().expect("valid"),
        slowdown: slowdown.parse().expect("valid"),
        ..VirtualSetup::new(Preset::named("sim-small").expect("shipped"))
    }
}

fn run(setup: &VirtualSetup) -> Vec<Window> {
    let mut load = VirtualLoad::start(setup.clone()).expect("sound");
    load.window(4);
    (0..10).map(|_| load.window(4)).collect()
}

fn recorded(setup: &VirtualSetup) -> RunRecord {
    simulation::record(setup, "chat_throughput", &[run(setup)])
}

fn compared(before: RunRecord, after: RunRecord) -> Result<Comparison, IncomparableSides> {
    let sides = (RunSet::new("old", [before]), RunSet::new("new", [after]));
    compare(&sides.0, &sides.1, &Thresholds::default())
}

fn verdict(comparison: &Comparison, figure: Figure) -> Verdict {
    let found = comparison
        .figure_changes()
        .find(|(_, f)| f.figure == figure);
    found.expect("compared").1.verdict
}

#[test]
fn a_slower_server_is_seen_and_an_equal_one_is_not() {
    let slower = compared(recorded(&setup(1, "0%")), recorded(&setup(2, "10%"))).expect("alike");
    for figure in [Figure::TokS, Figure::Rps, Figure::TpotMean, Figure::E2elP50] {
        assert_eq!(verdict(&slower, figure), Verdict::Regressed, "{figure:?}");
    }
    let faster = compared(recorded(&setup(2, "10%")), recorded(&setup(1, "0%"))).expect("alike");
    assert_eq!(verdict(&faster, Figure::TokS), Verdict::Improved);
    let equal = compared(recorded(&setup(1, "0%")), recorded(&setup(3, "0%"))).expect("alike");
    assert_eq!(verdict(&equal, Figure::TokS), Verdict::Unchanged);
    assert_eq!(equal.count(Verdict::Regressed), 0);
    assert_eq!(equal.simulated.as_deref(), Some("sim-small"));
}

#[test]
fn a_percentile_of_few_requests_is_inconclusive_and_goodput_needs_objectives() {
    let equal = compared(recorded(&setup(1, "0%")), recorded(&setup(3, "0%"))).expect("alike");
    assert_eq!(verdict(&equal, Figure::E2elP99), Verdict::Inconclusive);
    assert!(
        equal
            .figure_changes()
            .all(|(_, f)| f.figure != Figure::Goodput)
    );
    let mut with_slo = recorded(&setup(1, "0%"));
    with_slo.config["SLO"] = serde_json::json!({"ttft": 1000.0});
    let mut other = recorded(&setup(3, "0%"));
    other.config["SLO"] = with_slo.config["SLO"].clone();
    let good = compared(with_slo.clone(), other.clone()).expect("alike");
    assert_eq!(verdict(&good, Figure::Goodput), Verdict::Unchanged);
    other.config["SLO"] = serde_json::json!({"ttft": 500.0});
    let unlike = compared(with_slo, other).expect("alike");
    assert_eq!(verdict(&unlike, Figure::Goodput), Verdict::Inconclusive);
    assert_eq!(unlike.differences[0].what, "SLO");
}

#[test]
fn different_things_are_refused_with_the_reason() {
    let record = || recorded(&setup(1, "0%"));
    let change = |change: fn(&mut RunRecord)| {
        let mut after = record();
        change(&mut after);
        compared(record(), after).expect_err("refused").to_string()
    };
    let simulated = change(|r| r.simulated = None);
    assert!(simulated.contains("the server is simulated before and real after"));
    let model = change(|r| r.endpoints[0].model = Some("other".to_owned()));
    assert!(model.contains("the model is simulated/sim-small before and other after"));
    let tokens = change(|r| r.config["MAX_NEW_TOKENS"] = 64.into());
    assert!(tokens.contains("chat_throughput/100 c=8: MAX_NEW_TOKENS is 32 before and 64 after"));
    let point = change(|r| r.level = "c=9".parse().unwrap());
    assert!(
        point.contains("old and new have no point in common"),
        "{point}"
    );
    let none = compare(
        &RunSet::new("none", []),
        &RunSet::new("new", [record()]),
        &Thresholds::default(),
    );
    assert!(
        none.expect_err("refused")
            .to_string()
            .contains("none: no run record")
    );
}

#[test]
fn differences_are_listed_and_a_client_bound_point_is_doubtful() {
    let before = recorded(&setup(1, "0%"));
    let mut after = recorded(&setup(1, "0%"));
    after.endpoints[0].server = Some("vLLM 0.33.0".to_owned());
    after.self_check = Some(crate::load::SelfCheck {
        busy_share: Some(0.9),
        starved_share: None,
        loop_lag_ms: None,
        send_lag_ms: None,
        client_bound: vec!["its threads were busy".to_owned()],
    });
    let comparison = compared(before, after).expect("alike");
    let differences: Vec<_> = comparison
        .differences
        .iter()
        .map(|d| d.what.as_str())
        .collect();
    assert_eq!(differences, ["server"]);
    assert_eq!(
        comparison.points[0].doubts,
        ["new: client-bound: its threads were busy"]
    );
}

#[test]
fn a_partial_side_makes_it_doubtful_and_the_gate_cannot_tell() {
    let before = recorded(&setup(1, "0%"));
    let mut after = recorded(&setup(2, "0%"));
    after.partial = Some("SIGTERM ended the run".to_owned());
    let [before, after] =
        [("old", before), ("new", after)].map(|(name, record)| RunSet::new(name, [record]));
    let gate = super::super::Gate::new(&before, &after, None, false).expect("alike");
    let doubt = "new: partial: SIGTERM ended the run";
    assert_eq!(gate.comparison.points[0].doubts, [doubt]);
    assert_eq!(gate.outcome().exit_code(), 2);
}

#[test]
fn sides_measured_in_turns_are_compared_pair_by_pair() {
    let noise: Noise = "step=0.02,drift=0.05:1".parse().expect("valid");
    let side = |slowdown: &str, steps: u64| {
        let block = |k: u64| {
            let begin = std::time::Duration::from_secs(2 * k);
            let setup = VirtualSetup {
                seeds: crate::engine::Seeds {
                    machine: 5,
                    steps: 100 * steps + k,
                },
                noise,
                begin,
                ..setup(0, slowdown)
            };
            let mut load = VirtualLoad::start(setup).expect("sound");
            load.window(2);
            load.window(8)
        };
        let mut record = simulation::record(
            &setup(0, slowdown),
            "chat_throughput",
            &[(0..10).map(block).collect::<Vec<_>>()],
        );
        record.interleaved = Some("one session".to_owned());
        record
    };
    let in_turns = compared(side("0%", 1), side("6%", 2)).expect("alike");
    assert!(in_turns.points[0].interleaved);
    assert_eq!(verdict(&in_turns, Figure::TokS), Verdict::Regressed);
    let mut alone = side("6%", 2);
    alone.interleaved = None;
    let apart = compared(side("0%", 1), alone).expect("alike");
    assert!(!apart.points[0].interleaved);
    let width = |comparison: &Comparison| {
        let (_, entry) = comparison.figure_changes().next().expect("tok/s");
        let (low, high) = entry.change.as_ref().expect("measured").interval;
        high - low
    };
    assert!(width(&in_turns) < width(&apart));
}

#[test]
fn several_runs_of_a_point_are_runs_of_one_side() {
    let runs: Vec<Vec<Window>> = (1..4).map(|seed| run(&setup(seed, "0%"))).collect();
    let record = simulation::record(&setup(1, "0%"), "chat_throughput", &runs);
    assert_eq!(record.runs().len(), 3);
    let pooled = RunSet::new("old", [record.clone(), recorded(&setup(9, "0%"))]);
    let comparison = compare(
        &pooled,
        &RunSet::new("new", [record]),
        &Thresholds::default(),
    );
    assert_eq!(comparison.expect("alike").points[0].runs, (4, 3));
}

/// The run of a server of which every request changed by `change` becomes that.
fn changed(setup: &VirtualSetup, change: impl Fn(usize, &mut RequestRecord)) -> RunRecord {
    let mut windows = run(setup);
    for window in &mut windows {
        let requests = window.requests.iter().enumerate();
        let changed = requests.map(|(at, mut request)| {
            change(at, &mut request);
            request
        });
        window.requests = changed.collect();
    }
    simulation::record(setup, "chat_throughput", &[windows])
}

/// Every fourth request fails.
fn fail(at: usize, request: &mut RequestRecord) {
    if at.is_multiple_of(4) {
        let (cause, message) = (FailureCause::EmptyAnswer, "no token".to_owned());
        request.outcome = Outcome::Failed(Failure { cause, message });
    }
}

#[test]
fn more_failures_are_a_regression_of_their_own_and_nothing_else_is_called_improved() {
    let before = recorded(&setup(1, "10%"));
    let comparison = compared(before.clone(), changed(&setup(2, "0%"), fail)).expect("alike");
    assert_eq!(verdict(&comparison, Figure::Failed), Verdict::Regressed);
    assert_eq!(comparison.count(Verdict::Improved), 0);
    let point = &comparison.points[0];
    let tpot = point
        .figure_changes
        .iter()
        .find(|f| f.figure == Figure::TpotMean);
    assert_eq!(tpot.expect("compared").withheld, Some(Withheld::MoreFailed));
    assert_eq!(point.failed, [0.0, 0.25]);
    let warnings = point.warnings.join("\n");
    assert!(
        warnings.contains("empty answer, first: no token"),
        "{warnings}"
    );
    assert!(
        warnings.contains("0.00 % of the requests of old failed, 25.00 % of new"),
        "{warnings}"
    );
    let fewer = compared(changed(&setup(2, "0%"), fail), before).expect("alike");
    assert_eq!(verdict(&fewer, Figure::Failed), Verdict::Improved);
    let equal = compared(recorded(&setup(1, "0%")), recorded(&setup(3, "0%"))).expect("alike");
    assert_eq!(verdict(&equal, Figure::Failed), Verdict::Unchanged);
    let (_, untested) = equal.figure_changes().last().expect("failed");
    assert_eq!(
        (untested.figure, untested.adjusted_p),
        (Figure::Failed, None)
    );
}

#[test]
fn sides_whose_answers_have_other_lengths_did_other_work() {
    let shorten = |_: usize, request: &mut RequestRecord| {
        request.end_ns -= (request.end_ns - request.start_ns) / 4;
        if let Outcome::Completed(completion) = &mut request.outcome {
            completion.last_byte_ns = request.end_ns;
            completion.usage_output = Some(24);
        }
    };
    let shorter = changed(&setup(2, "0%"), shorten);
    let comparison = compared(recorded(&setup(1, "0%")), shorter).expect("alike");
    assert_eq!(comparison.count(Verdict::Improved), 0);
    let differences = &comparison.differences;
    let found = differences
        .iter()
        .find(|d| d.what.starts_with("output tokens per request"));
    let found = found.expect("said among what differs");
    assert_eq!((&*found.before, &*found.after), ("32.0", "24.0"));
    let point = &comparison.points[0];
    assert!(
        point.has_other_lengths && point.doubts[0].contains("different work"),
        "{:?}",
        point.doubts
    );
    let e2el = point
        .figure_changes
        .iter()
        .find(|f| f.figure == Figure::E2elP50);
    assert_eq!(
        e2el.expect("compared").withheld,
        Some(Withheld::OtherLengths)
    );
}

#[test]
fn contradictions_of_a_side_are_warnings() {
    let mut after = recorded(&setup(3, "0%"));
    let summary = after.summary.as_mut().expect("figures");
    summary.contradictions = vec![crate::metrics::Contradiction {
        kind: crate::metrics::ContradictionKind::OneRead,
        answers: 5,
        of: 9,
        detail: "all at once".to_owned(),
    }];
    let comparison = compared(recorded(&setup(1, "0%")), after).expect("alike");
    assert_eq!(
        comparison.points[0].warnings,
        ["new: 5 of 9 answers: all at once"]
    );
}
