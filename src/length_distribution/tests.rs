use std::collections::BTreeMap;

use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;
use serde_json::json;
use statrs::distribution::{ChiSquared, LogNormal as LogNormalLaw};

use super::*;

/// Lengths of each law.
const DRAWN: usize = 20_000;

/// Probability that a test of a correct law fails. The seed is fixed, so a test that passes once always does.
const LEVEL: f64 = 0.001;

fn drawn(law: &str) -> (LengthDistribution, Vec<u32>) {
    let law = LengthDistribution::parse(&serde_json::from_str(law).unwrap()).unwrap();
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(20);
    let lengths = (0..DRAWN).map(|_| law.draw(&mut rng)).collect();
    (law, lengths)
}

/// The greatest distance between the shares of the lengths up to a number and the probabilities that `law` states
/// (Kolmogorov and Smirnov); for a discrete law the test is conservative.
fn distance(lengths: &[u32], law: impl Fn(u32) -> f64) -> f64 {
    let mut counts = BTreeMap::new();
    for length in lengths {
        *counts.entry(*length).or_insert(0_usize) += 1;
    }
    let mut below = 0;
    let distances = counts.iter().map(|(length, count)| {
        let before = (below as f64 / lengths.len() as f64 - law(length - 1)).abs();
        below += count;
        before.max((below as f64 / lengths.len() as f64 - law(*length)).abs())
    });
    distances.fold(0.0, f64::max)
}

/// The distance that a correct law exceeds with the probability [`LEVEL`], for many lengths.
fn critical_distance() -> f64 {
    (-(LEVEL / 2.0).ln() / 2.0).sqrt() / (DRAWN as f64).sqrt()
}

/// The law of a continuous value that is rounded, given that it is within the limits.
fn truncated(law: impl ContinuousCDF<f64, f64>, least: u32, most: u32) -> impl Fn(u32) -> f64 {
    let [from, to] = [f64::from(least) - 0.5, f64::from(most) + 0.5].map(|x| law.cdf(x));
    move |length| (law.cdf(f64::from(length) + 0.5) - from) / (to - from)
}

fn mean(lengths: &[u32]) -> f64 {
    lengths.iter().map(|length| f64::from(*length)).sum::<f64>() / lengths.len() as f64
}

#[test]
fn normal_lengths_follow_the_truncated_law() {
    // 2.3 % of the values are below 1, and would be a peak there if they were not drawn again.
    let (law, lengths) = drawn(r#""N(480,240)""#);
    let wanted = truncated(NormalLaw::new(480.0, 240.0).unwrap(), 1, LONGEST);
    assert!(distance(&lengths, wanted) < critical_distance());
    let (limited, lengths) =
        drawn(r#"{"normal": {"mean": 480, "std": 240, "min": 300, "max": 500}}"#);
    let wanted = truncated(NormalLaw::new(480.0, 240.0).unwrap(), 300, 500);
    assert!(distance(&lengths, wanted) < critical_distance());
    assert_eq!((limited.least(), limited.most()), (300, 500));
    // Without the truncation, the distance shows it.
    let (_, lengths) = drawn(r#""N(480,240)""#);
    let other = truncated(NormalLaw::new(490.0, 240.0).unwrap(), 1, LONGEST);
    assert!(distance(&lengths, other) > critical_distance());
    assert!((law.mean() - 493.0).abs() < 1.0, "{}", law.mean());
}

#[test]
fn log_normal_lengths_follow_the_truncated_law() {
    let (_, lengths) = drawn(r#"{"lognormal": {"median": 1020, "sigma": 1.1, "max": 8000}}"#);
    let wanted = truncated(LogNormalLaw::new(1020_f64.ln(), 1.1).unwrap(), 1, 8000);
    assert!(distance(&lengths, wanted) < critical_distance());
}

#[test]
fn uniform_lengths_are_equally_likely_ends_included() {
    let (law, lengths) = drawn(r#"{"uniform": [10, 109]}"#);
    let counts = (10..=109).map(|length| lengths.iter().filter(|one| **one == length).count());
    let expected = DRAWN as f64 / 100.0;
    let statistic: f64 = counts
        .map(|n| (n as f64 - expected).powi(2) / expected)
        .sum();
    let critical = ChiSquared::new(99.0).unwrap().inverse_cdf(1.0 - LEVEL);
    assert!(statistic < critical, "{statistic}");
    assert_eq!(law.mean(), 59.5);
}

#[test]
fn buckets_have_their_weights() {
    let (law, lengths) = drawn(
        r#"{"buckets": [{"tokens": 5, "weight": 1}, {"tokens": [100, 199], "weight": 6}, {"tokens": 9, "weight": 3}]}"#,
    );
    let shares = [(5..=5_u32, 0.1), (100..=199, 0.6), (9..=9, 0.3)];
    let statistic: f64 = shares
        .into_iter()
        .map(|(bucket, share)| {
            let count = lengths
                .iter()
                .filter(|length| bucket.contains(*length))
                .count() as f64;
            let expected = share * DRAWN as f64;
            (count - expected).powi(2) / expected
        })
        .sum();
    let critical = ChiSquared::new(2.0).unwrap().inverse_cdf(1.0 - LEVEL);
    assert!(statistic < critical, "{statistic}");
    assert_eq!((law.least(), law.most()), (5, 199));
}

#[test]
fn the_mean_is_that_of_the_lengths_drawn() {
    for law in [
        "128",
        r#"{"uniform": [1, 1000]}"#,
        r#""N(480,240)""#,
        r#"{"normal": {"mean": 100, "std": 300, "min": 20, "max": 400}}"#,
        r#"{"lognormal": {"median": 1020, "sigma": 1.1, "max": 8000}}"#,
        r#"{"lognormal": {"median": 3, "sigma": 0.5}}"#,
        r#"{"buckets": [{"tokens": 5, "weight": 1}, {"tokens": [100, 200], "weight": 3}]}"#,
    ] {
        let (law, lengths) = drawn(law);
        let drawn = mean(&lengths);
        let squares = lengths.iter().map(|x| (f64::from(*x) - drawn).powi(2));
        let error = (squares.sum::<f64>() / (DRAWN * DRAWN) as f64).sqrt();
        // Four standard errors, and what rounding adds.
        assert!(
            (law.mean() - drawn).abs() <= 4.0 * error + 0.05,
            "{law:?}: {drawn}"
        );
        let within = lengths
            .iter()
            .all(|x| (law.least()..=law.most()).contains(x));
        assert!(within, "{law:?}");
    }
}

#[test]
fn a_law_can_be_written_in_several_ways() {
    let pair = |value: Value| PairOfLengths::parse(&value).unwrap().to_json();
    let normal = |mean: f64, std: f64| json!({"normal": {"mean": mean, "std": std}});
    assert_eq!(
        pair(json!("N(480,240)/(300, 150)")),
        pair(json!({"input": normal(480.0, 240.0), "output": "N(300,150)"}))
    );
    assert_eq!(
        pair(json!({"input": 1024, "output": 128, "range": 0.5})),
        json!({"input": {"uniform": [512, 1536]}, "output": {"uniform": [64, 192]}})
    );
    assert_eq!(
        pair(json!("1000/1")),
        json!({"input": 1000, "output": 1}),
        "a length that is always the same"
    );
    let buckets =
        json!({"buckets": [{"tokens": [1, 5], "weight": 0.1}, {"tokens": 9, "weight": 2.0}]});
    let longest =
        pair(json!({"input": buckets, "output": {"lognormal": {"median": 129, "sigma": 0.9}}}));
    assert_eq!(
        pair(longest.clone()),
        longest,
        "the longest form is read as it is written"
    );
}

#[test]
fn invalid_laws_are_told_with_what_is_wrong() {
    for (value, words) in [
        (json!(5), "neither a text nor an object"),
        (json!("N(480,240)"), "two lengths"),
        (json!("N(480)/(300,150)"), "N(mean,std)"),
        (json!("N(480,0)/5"), "standard deviation must be above 0"),
        (json!("N(-9000,10)/5"), "almost no value"),
        (json!({"input": 5}), "\"output\" is missing"),
        (
            json!({"input": 5, "output": 0}),
            "output: 0 is not a whole number",
        ),
        (
            json!({"input": 5, "output": 5, "range": 1}),
            "range: 1 is not",
        ),
        (
            json!({"input": "N(5,2)", "output": 5, "range": 0.5}),
            "input: \"N(5,2)\" is not a whole",
        ),
        (
            json!({"input": 5, "ouput": 5}),
            "\"ouput\" is not one of input, output, range",
        ),
        (
            json!({"input": {"zipf": 2}, "output": 5}),
            "\"zipf\" is not a law",
        ),
        (
            json!({"input": {"uniform": [9, 3]}, "output": 5}),
            "9, is above the greatest, 3",
        ),
        (
            json!({"input": {"normal": {"mean": 5}}, "output": 5}),
            "\"std\" is missing",
        ),
        (
            json!({"input": {"lognormal": {"median": -5, "sigma": 1}}, "output": 5}),
            "the median must be",
        ),
        (
            json!({"input": {"buckets": []}, "output": 5}),
            "not a list of buckets",
        ),
        (json!("N(nan,1)/5"), "almost no value"),
        (json!("N(5,inf)/5"), "must be above 0"),
        (
            json!({"input": {"buckets": [{"tokens": 5, "weight": 1e308}]}, "output": 5}),
            "a weight must be from",
        ),
        (
            json!({"input": {"buckets": [{"tokens": 5, "weight": -1}]}, "output": 5}),
            "a weight must be",
        ),
    ] {
        let problem = PairOfLengths::parse(&value).unwrap_err();
        assert!(problem.contains(words), "{value}: {problem}");
    }
}
