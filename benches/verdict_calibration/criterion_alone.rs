//! Criterion's own verdict on the same windows: `--save-baseline` and `--baseline`, nothing else.
//!
//! Criterion only prints its verdict, so it runs in a process of its own, whose output is read.

use std::cell::Cell;
use std::collections::HashMap;
use std::process::Command;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, SamplingMode};
use servemark::internals::config::Metric;
use servemark::internals::load::{Sampling, Window};
use servemark::internals::measurement::{self, Phase, ServingMeasurement};
use servemark::internals::verdict::RunSet;

use crate::Result;
use crate::virtual_runs::Trial;

/// The variable that makes this process Criterion's, with the trials as JSON.
pub const VARIABLE: &str = "SERVEMARK_CALIBRATE_CRITERION";

/// As many resamples as the shipped benches take.
const RESAMPLES: usize = 10_000;

/// How often Criterion called a metric *regressed*, per trial: by point.
pub type Regressed = HashMap<Metric, usize>;

/// Criterion's verdicts on the trials, each in the order of the trials.
pub fn verdicts(trial: &Trial, count: u64, metrics: &[Metric]) -> Result<Vec<Regressed>> {
    let results = tempfile::tempdir()?;
    let names: Vec<&str> = metrics.iter().map(|metric| metric.id()).collect();
    let output = Command::new(std::env::current_exe()?)
        .env(VARIABLE, serde_json::to_string(&(trial, count, names))?)
        .env("CRITERION_HOME", results.path())
        .output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        return Err(format!("Criterion's process failed: {said}").into());
    }
    let mut regressed = vec![Regressed::new(); usize::try_from(count)?];
    let mut last = None;
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        // `<trial>/<metric>/<level>` names what the lines after it are about.
        last = named(line).or(last);
        if let (true, Some((trial, metric))) = (line.contains("has regressed"), last) {
            *regressed[trial].entry(metric).or_default() += 1;
        }
    }
    match last {
        Some(_) => Ok(regressed),
        None => Err("Criterion printed no benchmark".into()),
    }
}

fn named(line: &str) -> Option<(usize, Metric)> {
    let mut parts = line.split_whitespace().next()?.split('/');
    let trial = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let metric = Metric::ALL.into_iter().find(|metric| metric.id() == name)?;
    Some((trial, metric))
}

/// Runs as Criterion's process.
pub fn run(text: &str) -> Result<()> {
    let (trial, count, names): (Trial, u64, Vec<String>) = serde_json::from_str(text)?;
    for at in 0..count {
        let [before, after] = trial.numbered(at).sides()?;
        for metric in Metric::ALL {
            if !names.iter().any(|name| name == metric.id()) {
                continue;
            }
            bench(metric, at, &before, |c| c.save_baseline("before".into()));
            bench(metric, at, &after, |c| {
                c.retain_baseline("before".into(), true)
            });
        }
    }
    Ok(())
}

type Bencher = Criterion<ServingMeasurement>;

/// Hands one metric of all points to Criterion.
fn bench(metric: Metric, trial: u64, side: &RunSet, baseline: impl Fn(Bencher) -> Bencher) {
    let measurement = ServingMeasurement::new(metric);
    let phase = measurement.phase();
    let criterion = Criterion::default()
        .with_measurement(measurement)
        .sample_size(Sampling::DEFAULT.windows)
        .nresamples(RESAMPLES)
        .warm_up_time(Duration::from_nanos(1))
        .measurement_time(Duration::from_millis(1))
        .without_plots();
    let mut criterion = baseline(criterion);
    let mut group = criterion.benchmark_group(format!("{trial}/{}", metric.id()));
    group.sampling_mode(SamplingMode::Flat);
    for record in side.records() {
        let windows = record.measured_windows();
        let next = Replayed::new(&phase);
        let id = BenchmarkId::from_parameter(record.level.value());
        group.bench_function(id, |b| {
            b.iter_custom(|iterations| {
                let value = measurement::value(metric, next.window(&windows));
                // Every window of the simulation has completed requests.
                value.unwrap_or(f64::NAN) * iterations as f64
            });
        });
    }
    group.finish();
}

/// The windows one after another, from the first again when Criterion's samples begin.
struct Replayed<'a> {
    phase: &'a Phase,
    seen: Cell<u32>,
    next: Cell<usize>,
}

impl<'a> Replayed<'a> {
    fn new(phase: &'a Phase) -> Replayed<'a> {
        Replayed {
            phase,
            seen: Cell::new(phase.current()),
            next: Cell::new(0),
        }
    }

    fn window<'w>(&self, windows: &'w [Window]) -> &'w Window {
        if self.seen.replace(self.phase.current()) != self.phase.current() {
            self.next.set(0);
        }
        &windows[self.next.replace(self.next.get() + 1) % windows.len()]
    }
}
