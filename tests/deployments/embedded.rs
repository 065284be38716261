//! Deployments of embedded engines: policies on an uneven pair, and the built-in layouts.

use std::num::{NonZeroU32, NonZeroUsize};

use serde_json::json;
use servemark::RunRecord;
use servemark::internals::embedded::{EmbeddedLayout, LAYOUTS};
use servemark::internals::engine::Preset;
use servemark::internals::simulation::{self, VirtualLoad, VirtualSetup};
use servemark::internals::verdict::{Contender, Figure, Standing, rank};

use super::*;
use crate::slowed::slowed;

#[test]
fn least_outstanding_gets_more_out_of_an_uneven_pair_than_round_robin() {
    let [quick, slow] = [1.0, 6.0].map(slowed);
    let urls = [&quick, &slow].map(|engine| engine.urls()[0].to_string());
    let mut bench = bench(json!([
        {"name": "in-turn", "endpoints": urls},
        {"name": "least", "endpoints": urls, "balancing": "least_outstanding"},
    ]));
    bench.env("SERVEMARK_CONCURRENT_LEVELS", "8");
    let ran = bench.run(&SHORT);
    println!("{}", ran.text);
    assert!(ran.succeeded, "{}", ran.text);
    let [in_turn, least] = ["in-turn", "least"].map(|name| record(&bench, 8, name));
    assert_eq!(least["config"]["BALANCING"], "least_outstanding");
    let rps = |record: &Value| record["summary"]["rps"].as_f64().expect("RPS");
    let gain = rps(&least) / rps(&in_turn);
    println!("least_outstanding ÷ round_robin = {gain:.2}");
    // An equal share at six times the time bounds the one; the other is bound by both rates together.
    assert!(gain > 1.15, "{gain}");
    let shares = |record: &Value| -> Vec<f64> {
        let endpoints = record["summary"]["endpoints"]
            .as_array()
            .expect("endpoints");
        endpoints
            .iter()
            .map(|e| e["requests"].as_f64().expect("a count"))
            .collect()
    };
    let (even, uneven) = (shares(&in_turn), shares(&least));
    assert!((even[0] / even[1] - 1.0).abs() < 0.5, "{even:?}");
    assert!(uneven[0] > 1.5 * uneven[1], "{uneven:?}");
    assert!(
        ran.text
            .contains("BALANCING: round_robin → least_outstanding"),
        "{}",
        ran.text
    );
}

/// The layout in virtual time.
fn virtual_run(layout: &EmbeddedLayout, concurrency: usize) -> RunRecord {
    let setup = VirtualSetup {
        replicas: layout.replicas,
        concurrency: NonZeroUsize::new(concurrency).expect("some"),
        output_tokens: NonZeroU32::new(32).expect("some"),
        noise: "step=0.02".parse().expect("valid"),
        ..VirtualSetup::new(Preset::named(layout.preset).expect("shipped"))
    };
    let mut load = VirtualLoad::start(setup.clone()).expect("sound");
    load.window(2);
    let windows = (0..10).map(|_| load.window(1)).collect();
    let mut record = simulation::record(&setup, "deployments", &[windows]);
    // All layouts serve the same model.
    for endpoint in &mut record.endpoints {
        endpoint.model = Some("simulated/llama3-70b-h100".to_owned());
    }
    record
}

#[test]
fn many_small_replicas_win_under_much_load_and_one_large_under_little() {
    for (concurrency, order) in [(8, ["1x8", "2x4", "4x2"]), (512, ["4x2", "2x4", "1x8"])] {
        let records = LAYOUTS.map(|layout| (layout.name, virtual_run(&layout, concurrency)));
        let contenders = records.iter().map(|(name, record)| Contender {
            name,
            record,
            divisor: 1.0,
        });
        let ranking = rank(Figure::TokS, contenders, 0.03).0;
        for (contender, tok_s, standing) in &ranking {
            println!("c={concurrency}: {} {tok_s:?} {standing:?}", contender.name);
        }
        let names: Vec<&str> = ranking
            .iter()
            .map(|(contender, _, _)| contender.name)
            .collect();
        assert_eq!(names, order, "c={concurrency}");
        let behind = |(_, _, standing): &(_, _, Standing)| matches!(standing, Standing::Behind(_));
        assert!(ranking[1..].iter().all(behind), "{ranking:?}");
    }
}

#[test]
fn without_deployments_three_layouts_are_measured() {
    let mut bench = bench(json!([]));
    bench
        .env("SERVEMARK_PROMPT_KEYS", "")
        .env("SERVEMARK_CONCURRENT_LEVELS", "");
    let ran = bench.run(&["--list"]);
    for id in ["1x8/c=8", "2x4/c=64", "4x2/c=512"] {
        let id = format!("deployments/100/output_tok_s/{id}: benchmark");
        assert!(ran.text.contains(&id), "{id}: {}", ran.text);
    }
    let ran = bench.run(&["2x4/c=8$", "--test"]);
    assert!(ran.succeeded, "{}", ran.text);
    assert!(ran.text.contains("simulated vLLM"), "{}", ran.text);
    assert!(
        ran.text
            .contains("Testing deployments/100/output_tok_s/2x4/c=8"),
        "{}",
        ran.text
    );
}
