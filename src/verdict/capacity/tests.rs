use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution as _, StandardNormal};

use super::*;
use crate::capacity::{Judgement, UnknownCapacity, objectives};
use crate::config::{Limit, Slo};
use crate::metrics::Lengths;
use crate::results::ResultKey;
use crate::results::capacity_record_tests::{found, users};
use crate::verdict::{
    Comparison, Gate, GateOutcome, IncomparableSides, RunSet, Thresholds, Withheld, compare,
};

fn compared(
    before: impl Into<Vec<CapacityRecord>>,
    after: impl Into<Vec<CapacityRecord>>,
) -> Result<Comparison, IncomparableSides> {
    let side = |name, records: Vec<CapacityRecord>| RunSet::new(name, []).with_capacities(records);
    let (before, after) = (side("old", before.into()), side("new", after.into()));
    compare(&before, &after, &Thresholds::default())
}

/// The only figure of a comparison.
fn figure(comparison: &Comparison) -> &FigureChange {
    let point = &comparison.points[0];
    assert!(matches!(point.point, ResultKey::Capacity(_)), "{point:?}");
    &point.figure_changes[0]
}

#[test]
fn a_quarter_less_regressed_and_as_much_as_before_did_not() {
    let comparison = compared([found(128, 120.0, 134.0)], [found(96, 90.0, 100.0)]);
    let comparison = comparison.expect("comparable");
    let entry = figure(&comparison);
    assert_eq!(entry.verdict, Verdict::Regressed, "{entry:?}");
    let values = ["128 users (120 … 134)", "96 users (90 … 100)"].map(str::to_owned);
    assert_eq!(entry.values, Some(values));
    let change = entry.change.as_ref().expect("known");
    assert!((change.relative + 0.25).abs() < 1e-9, "{change:?}");
    let comparison = compared([found(128, 120.0, 134.0)], [found(124, 118.0, 134.0)]);
    let verdict = figure(&comparison.expect("comparable")).verdict;
    assert_eq!(verdict, Verdict::Inconclusive);
    let more = compared([found(96, 90.0, 100.0)], [found(128, 120.0, 134.0)]);
    let verdict = figure(&more.expect("comparable")).verdict;
    assert_eq!(verdict, Verdict::Improved);
}

/// One user more or less may be a capacity just beside a whole number.
#[test]
fn one_user_of_eight_is_no_change() {
    let comparison = compared([found(8, 8.0, 8.0)], [found(9, 9.0, 9.0)]);
    let comparison = comparison.expect("comparable");
    assert_eq!(figure(&comparison).verdict, Verdict::Inconclusive);
}

#[test]
fn several_searches_narrow_the_interval_unless_they_differ() {
    let width = |before: &[usize], after: &[usize]| {
        let side = |levels: &[usize]| {
            let levels = levels.iter().map(|level| *level as f64);
            let searches = levels.map(|level| found(level as usize, 0.96 * level, 1.04 * level));
            Vec::from_iter(searches)
        };
        let comparison = compared(side(before), side(after)).expect("comparable");
        let change = figure(&comparison).change.clone().expect("known");
        change.interval.1 - change.interval.0
    };
    let one = width(&[1_000], &[1_000]);
    let alike = width(&[1_000, 1_002, 999], &[1_000, 998, 1_001]);
    let apart = width(&[1_000, 1_150, 870], &[1_000, 1_140, 880]);
    assert!(alike < 0.75 * one, "{alike} against {one}");
    assert!(apart > 1.2 * one, "{apart} against {one}");
}

#[test]
fn an_end_that_is_open_gives_a_reason_and_no_number() {
    let changed = |change: fn(&mut CapacityRecord)| {
        let mut record = found(64, 60.0, 68.0);
        change(&mut record);
        record
    };
    let cases = [
        (
            changed(|r| r.capacity.upper = None),
            "at least 64 users",
            UnknownCapacity::OpenAbove,
        ),
        (
            changed(|r| r.capacity.lower = 0.0),
            "64 users (0 … 68)",
            UnknownCapacity::OpenBelow,
        ),
        (
            changed(|r| r.capacity.level = None),
            "none",
            UnknownCapacity::NoLevel,
        ),
        (
            changed(|r| r.capacity.confirmed = Some(Judgement::Fails)),
            "64 users (60 … 68)",
            UnknownCapacity::NotConfirmed(users(64)),
        ),
        (
            changed(|r| r.capacity.not_monotone = Some((users(16), users(32)))),
            "64 users (60 … 68)",
            UnknownCapacity::NotMonotone(users(16), users(32)),
        ),
        (
            changed(|r| r.partial = Some("SIGINT ended the run".to_owned())),
            "64 users (60 … 68)",
            UnknownCapacity::Partial,
        ),
    ];
    for (record, shown, why) in cases {
        let comparison = compared([found(64, 60.0, 69.0)], [record.clone()]).expect("comparable");
        let entry = figure(&comparison);
        assert_eq!(entry.verdict, Verdict::Inconclusive);
        assert_eq!(entry.change, Err(NotComparable::UnknownCapacity(why)));
        assert_eq!(entry.values.as_ref().expect("shown")[1], shown);
        let doubts = &comparison.points[0].doubts;
        assert_eq!(doubts, &[format!("new: {why}")]);
        let side = |name, record| RunSet::new(name, []).with_capacities([record]);
        let (before, after) = (side("old", found(64, 60.0, 69.0)), side("new", record));
        let gate = Gate::new(&before, &after, None, false).expect("comparable");
        assert_eq!(gate.outcome(), GateOutcome::CouldNotTell, "{why}");
    }
}

#[test]
fn other_objectives_are_inconclusive_and_other_work_is_refused() {
    let mut other = found(64, 60.0, 68.0);
    other.objectives = objectives(&Slo {
        ttft: Some(Limit::of_p99(700.0)),
        ..Slo::default()
    });
    let comparison = compared([found(64, 60.0, 69.0)], [other]).expect("comparable");
    assert_eq!(figure(&comparison).change, Err(NotComparable::OtherSlo));
    let mut other = found(64, 60.0, 68.0);
    other.config["MAX_NEW_TOKENS"] = 17.into();
    let refused = compared([found(64, 60.0, 69.0)], [other]).expect_err("other work");
    assert!(refused.to_string().contains("MAX_NEW_TOKENS"), "{refused}");
    let mut simulated = found(64, 60.0, 68.0);
    simulated.simulated = Some("sim-small".to_owned());
    let refused = compared([found(64, 60.0, 69.0)], [simulated]).expect_err("not real");
    assert!(refused.to_string().contains("simulated"), "{refused}");
    let same = compared([found(64, 60.0, 68.0)], [found(64, 60.0, 68.0)]).expect("comparable");
    assert_eq!(same.points[0].doubts, ["both sides are the same run"]);
    assert_eq!(figure(&same).withheld, None::<Withheld>);
}

#[test]
fn answers_of_other_lengths_are_other_work() {
    let answers = |tokens: f64, record: CapacityRecord| CapacityRecord {
        output_tokens: Lengths {
            requests: 1_000,
            sum: 1_000.0 * tokens,
            squares: 1_000.0 * tokens * tokens,
        },
        ..record
    };
    let before = answers(32.0, found(96, 90.0, 100.0));
    let comparison = compared([before], [answers(24.0, found(128, 120.0, 134.0))]);
    let comparison = comparison.expect("comparable");
    let entry = figure(&comparison);
    assert_eq!(entry.verdict, Verdict::Inconclusive);
    assert_eq!(entry.withheld, Some(Withheld::OtherLengths));
    let doubt = &comparison.points[0].doubts[0];
    assert!(
        doubt.starts_with("32.0 output tokens per request before and 24.0"),
        "{doubt}"
    );
    let difference = comparison.differences.last().expect("one");
    assert_eq!(difference.what, "output tokens per request (capacity/25)");
}

#[test]
fn a_client_that_decided_makes_a_doubt_and_one_far_above_does_not() {
    let bound = |level: usize| {
        let mut record = found(96, 90.0, 100.0);
        record.capacity.first_failing = Some(users(110));
        record.client_bound = vec![users(level)];
        compared([found(128, 120.0, 134.0)], [record]).expect("comparable")
    };
    assert_eq!(bound(400).points[0].doubts, [""; 0]);
    let comparison = bound(110);
    assert_eq!(comparison.points[0].doubts, ["new: client-bound at c=110"]);
    assert_eq!(figure(&comparison).verdict, Verdict::Regressed);
}

#[test]
fn a_gate_fails_for_less_and_cannot_tell_without_a_search() {
    let side = |name, records: Vec<CapacityRecord>| RunSet::new(name, []).with_capacities(records);
    let outcome = |before: Vec<CapacityRecord>, after: Vec<CapacityRecord>| {
        let (before, after) = (side("old", before), side("new", after));
        Gate::new(&before, &after, None, false).map(|gate| gate.outcome())
    };
    let of_prompt = |prompt: &str, record: CapacityRecord| CapacityRecord {
        prompt: prompt.to_owned(),
        ..record
    };
    let before = || vec![found(128, 120.0, 134.0)];
    let less = outcome(before(), vec![found(96, 90.0, 100.0)]);
    assert_eq!(less, Ok(GateOutcome::Regressed));
    let same = outcome(before(), vec![found(126, 120.0, 133.0)]);
    assert_eq!(same, Ok(GateOutcome::Passed));
    let both = vec![
        found(128, 120.0, 134.0),
        of_prompt("100", found(64, 60.0, 68.0)),
    ];
    let missing = outcome(both, vec![found(126, 120.0, 133.0)]);
    assert_eq!(missing, Ok(GateOutcome::CouldNotTell));
    // Gated in another figure, it is no concern of the gate.
    let only: Thresholds = "tok_s=3%".parse().expect("valid");
    let (before, after) = (side("old", before()), side("new", before()));
    let refused = Gate::new(&before, &after, Some(&only), false).map(drop);
    let refused = refused.expect_err("nothing to gate").to_string();
    assert!(refused.contains("no result of these figures"), "{refused}");
}

/// Two searches whose intervals hold the truth in 95 % of the cases give a ratio whose interval does so, too.
#[test]
fn the_interval_of_the_ratio_holds_the_truth_as_often_as_those_of_the_sides() {
    let mut rng = StdRng::seed_from_u64(7);
    let (mut held, mut alarms) = (0, 0);
    const CASES: usize = 4_000;
    for _ in 0..CASES {
        let mut side = |truth: f64| {
            // Skewed, as a search's interval is: the errors above are larger than those below.
            let (below, above) = (0.02, rng.random_range(0.02..0.04));
            let error: f64 = StandardNormal.sample(&mut rng);
            let spread = if error > 0.0 { below } else { above };
            let offset: f64 = StandardNormal.sample(&mut rng);
            let assumed = Figure::Capacity.assumed_between_runs();
            LogRange {
                log_value: truth.ln() + error * spread + offset * assumed,
                below: 1.96 * below,
                above: 1.96 * above,
            }
        };
        let change = between_ranges(
            &[side(100.0)],
            &[side(90.0)],
            Figure::Capacity.assumed_between_runs(),
        );
        let (low, high) = change.interval;
        held += usize::from((low..=high).contains(&-0.1));
        let same = between_ranges(
            &[side(100.0)],
            &[side(100.0)],
            Figure::Capacity.assumed_between_runs(),
        );
        alarms += usize::from(same.p_value < 0.05);
        let excludes_none = same.interval.0 > 0.0 || same.interval.1 < 0.0;
        assert_eq!(same.p_value < 0.05, excludes_none, "{same:?}");
    }
    let (held, alarms) = (held as f64 / CASES as f64, alarms as f64 / CASES as f64);
    assert!((0.94..=0.98).contains(&held), "{held}");
    assert!(alarms <= 0.06, "{alarms}");
}
