use std::num::NonZeroUsize;

use serde_json::json;

use super::*;
use crate::config::{Limit, Slo};
use crate::engine::Preset;
use crate::results::DeploymentRecord;
use crate::simulation::{self, VirtualLoad, VirtualSetup};

/// A deployment of the quick preset on so many replicas of two GPUs each, with enough requests for a P99.
fn side(name: &str, replicas: usize, levels: &[usize], slo: Slo) -> RunSet {
    with_rounds(13, name, replicas, levels, slo)
}

/// The same with ten windows of so many rounds.
fn with_rounds(rounds: u64, name: &str, replicas: usize, levels: &[usize], slo: Slo) -> RunSet {
    let record = |concurrency: &usize| {
        let setup = VirtualSetup {
            replicas: NonZeroUsize::new(replicas).unwrap(),
            concurrency: NonZeroUsize::new(*concurrency).unwrap(),
            noise: "step=0.02".parse().unwrap(),
            ..VirtualSetup::new(Preset::named("sim-small").unwrap())
        };
        let mut load = VirtualLoad::start(setup.clone()).unwrap();
        load.window(2);
        let windows = (0..10).map(|_| load.window(rounds)).collect();
        let mut record = simulation::record(&setup, "deployments", &[windows]);
        record.deployment = Some(DeploymentRecord {
            name: name.to_owned(),
            replicas,
            gpus_per_replica: Some(2),
            version: None,
        });
        record.config["NUM_GPU"] = json!(2 * replicas);
        record.config["SLO"] = json!(slo);
        record
    };
    RunSet::new(name, levels.iter().map(record).collect::<Vec<_>>())
}

fn line<'a>(text: &'a str, begin: &str) -> &'a str {
    let found = text.lines().find(|line| line.starts_with(begin));
    found.unwrap_or_else(|| panic!("no line {begin}: {text}"))
}

#[test]
fn the_table_has_scaling_and_balance_and_the_answers_name_the_best() {
    let none = Slo::default();
    let sides = [side("1x2", 1, &[8], none), side("2x2", 2, &[8, 16], none)];
    let text = deployments("deployments", &sides);
    assert!(text.contains("which deployment — **simulated**"), "{text}");
    let two = text
        .lines()
        .find(|line| line.contains("| 2x2 ") && line.contains("| 16 |"));
    let cells: Vec<&str> = two.unwrap().split('|').map(str::trim).collect();
    let scaling: f64 = cells[12].trim_end_matches(" %").parse().unwrap();
    assert!((95.0..105.0).contains(&scaling), "{cells:?}");
    assert_eq!(cells[13], "1.00–1.00");
    let throughput = line(&text, "- throughput: ");
    assert!(
        throughput.contains("**2x2**") && throughput.contains("behind it: 1x2"),
        "{throughput}"
    );
    let per_gpu = line(&text, "- throughput per GPU: ");
    assert!(
        per_gpu.contains("1x2") && per_gpu.contains("tok/s per GPU"),
        "{per_gpu}"
    );
    assert!(line(&text, "- throughput within SLO").contains("SLO is not set"));
    assert!(line(&text, "- throughput at c=8").contains("**2x2**"));
}

#[test]
fn points_beyond_the_slo_do_not_count_and_equals_are_tied() {
    // Between the TPOT of 8 and of 32 requests at one server.
    let slo = Slo {
        tpot: Some(Limit::of_p99(5.5)),
        ..Slo::default()
    };
    let sides = [side("a", 1, &[8, 32], slo), side("b", 1, &[8, 32], slo)];
    let text = deployments("deployments", &sides);
    let within = line(&text, "- throughput with TPOT P99 ≤ 5.5 ms: ");
    assert!(
        within.contains("at c=8") && !within.contains("at c=32"),
        "{text}"
    );
    assert!(within.contains("; tied with"), "{within}");
    let tight = Slo {
        tpot: Some(Limit::of_p99(0.001)),
        ..Slo::default()
    };
    let text = deployments("deployments", &[side("a", 1, &[8], tight)]);
    assert!(text.contains("none, no point meets it"), "{text}");
    let few = |slo| deployments("deployments", &[with_rounds(4, "a", 1, &[8], slo)]);
    let text = few(slo);
    assert_eq!(text.matches("n/a (320 of 1,000)").count(), 3, "{text}");
    let within = line(&text, "- throughput with TPOT P99 ≤ 5.5 ms: ");
    assert!(
        within.contains("none, no point meets it; not known of 1 point with too few values"),
        "{within}"
    );
    assert!(few(tight).contains(" no |"), "its median exceeds the limit");
    let text = deployments("deployments", &[RunSet::new("gone", [])]);
    assert!(text.contains("- gone: not measured"), "{text}");
}
