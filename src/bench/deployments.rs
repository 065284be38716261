//! Several deployments, one after another: each is booted, measured at every point, and stopped.

use std::error::Error;
use std::process::ExitCode;

use super::context::{RunContext, defined_metrics};
use super::criterion::{self, BenchArgs, MetricBench, MetricGroup};
use super::deployed::{Deployed, Source};
use super::exit_code::{CANNOT_RUN, POINT_FAILED, after_printing};
use super::outcome::{Results, written};
use super::point::Point;
use super::progress::Progress;
use super::{preflight, save, session, space, start};
use crate::config::{Deployment, Limit, Settings, Slo};
use crate::embedded::{EmbeddedLayout, LAYOUTS};
use crate::fixture::Fixture;
use crate::interrupt::{Interrupt, Interrupted};
use crate::prompt::Workload;
use crate::report;
use crate::results::{DeploymentRecord, RecordError};
use crate::verdict::{self, RunSet, Thresholds};

/// Concurrency levels of the shipped `parameters.json`; layouts differ only at higher levels.
const SHIPPED_LEVELS: [usize; 3] = [1, 8, 32];

/// Requests in flight at which the embedded layouts show what each is good for.
const LAYOUT_LEVELS: [usize; 3] = [8, 64, 512];

/// A prompt that leaves the embedded layouts some minutes in all.
const LAYOUT_PROMPT: &str = "100";

/// Objectives under which the best embedded layout is another than without.
pub(super) const LAYOUT_SLO: Slo = Slo {
    ttft: Some(Limit::of_p99(500.0)),
    tpot: Some(Limit::of_p99(30.0)),
    itl: None,
    e2el: None,
    failed: None,
};

/// Measures every deployment of a configuration, and reports.
///
/// # Errors
/// Why nothing can be measured.
pub fn run(
    name: String,
    workload: &Workload,
    mut config: Settings,
    args: BenchArgs,
) -> Result<ExitCode, Box<dyn Error>> {
    if config.ab.is_some() {
        return Err("SERVEMARK_AB is set, but a bench of deployments measures DEPLOYMENTS: unset it, or run chat_throughput".into());
    }
    let embedded = config.deployments.is_empty();
    if embedded {
        suit_layouts(&mut config);
    }
    let lock = start::lock_results(&args, &name, true)?;
    config.seed.get_or_insert_with(rand::random);
    let mut prompts = workload.prompts(&config)?;
    if embedded && config.prompt_keys.is_none() && prompts.iter().any(|p| p.key == LAYOUT_PROMPT) {
        prompts.retain(|prompt| prompt.key == LAYOUT_PROMPT);
    }
    let metrics = defined_metrics(&config, &prompts);
    let mut whole = RunContext::new(name, prompts, config, args, metrics, lock);
    if whole.args.drives_load() {
        whole.interrupt = Interrupt::listen();
    }
    let mut runs = match embedded {
        true => Vec::from_iter(LAYOUTS.iter().map(|layout| of_layout(&whole, layout))),
        false => of_each(&whole),
    };
    // Deployments without a selected point are not booted.
    runs.retain(|run| !run.selects_nothing());
    let names = runs.iter().map(|run| run.record_name().to_owned());
    whole.deployments = names.collect();
    if runs.is_empty() {
        whole.warn_nothing_matches();
        return Ok(ExitCode::SUCCESS);
    }
    preflight::check(&runs)?;
    if let Some(problem) = space::problem(&runs) {
        return Err(problem.into());
    }
    Ok(ExitCode::from(measure(&whole, runs)))
}

/// Makes an unchanged configuration one that shows what layouts are good for.
fn suit_layouts(config: &mut Settings) {
    let levels = config.concurrent_levels.iter().map(|level| level.get());
    if levels.eq(SHIPPED_LEVELS) {
        config.concurrent_levels = LAYOUT_LEVELS
            .into_iter()
            .filter_map(|n| n.try_into().ok())
            .collect();
    }
    if config.slo.is_empty() {
        config.slo = LAYOUT_SLO;
    }
}

/// A run on each entry of `DEPLOYMENTS`.
pub(super) fn of_each(whole: &RunContext) -> Vec<RunContext> {
    let deployments = whole.config.deployments.iter().zip(0..);
    deployments
        .map(|(deployment, at)| of_deployment(whole, deployment, at))
        .collect()
}

/// `at` is its position. All get the same prompts, but for servers that ran before: they may have those
/// of another deployment in their prefix cache.
fn of_deployment(whole: &RunContext, deployment: &Deployment, at: u64) -> RunContext {
    let mut config = whole.config.of_deployment(deployment);
    if let (Some(seed), false) = (&mut config.seed, deployment.endpoints().is_empty()) {
        *seed = seed.wrapping_add(at);
    }
    let source = Source::Configured(deployment.clone());
    whole.on_deployment(config, Deployed::new(deployment.into(), source))
}

fn of_layout(whole: &RunContext, layout: &EmbeddedLayout) -> RunContext {
    let record = DeploymentRecord::from(layout);
    let config = Settings {
        num_gpu: record.gpus().and_then(std::num::NonZeroU32::new),
        ..whole.config.clone()
    };
    whole.on_deployment(config, Deployed::new(record, Source::Embedded(*layout)))
}

/// Measures every deployment and reports; the exit code.
fn measure(whole: &RunContext, mut runs: Vec<RunContext>) -> u8 {
    let mut results = Results::default();
    let points: u32 = runs.iter().map(RunContext::count_points).sum();
    let points = points * whole.config.runs.get();
    let mut progress = Progress::new(points, whole.args.point_time(), Progress::CRITERION);
    // A Criterion per group, as all groups stay open: each compares all deployments.
    let mut benches: Vec<_> = whole
        .prompts
        .iter()
        .map(|_| MetricBench::all(&whole.metrics, &whole.args))
        .collect();
    let mut groups: Vec<Vec<MetricGroup<'_>>> = benches
        .iter_mut()
        .zip(&whole.prompts)
        .map(|(benches, prompt)| criterion::open_groups(whole, benches, &prompt.key))
        .collect();
    runs.iter().for_each(start::announce_plan);
    let mut complete = vec![false; runs.len()];
    for (run, is_complete) in runs.iter_mut().zip(&mut complete) {
        if whole.interrupt.came() {
            break;
        }
        let measure = |results: &mut Results| measure_one(run, &mut groups, &mut progress, results);
        let (measured, failed) = results.watch(measure);
        if let Err(error) = &measured {
            let title = run.title();
            match error.is::<Interrupted>() {
                true => eprintln!("{title}: not measured: {error}"),
                false => eprintln!("error: {title}: {error}"),
            }
            results.fail();
        }
        *is_complete = measured.is_ok() && !failed;
        // A deployment's servers are stopped before the next deployment starts.
        run.deployed.iter_mut().for_each(Deployed::stop);
    }
    drop(groups);
    save::save_as_baselines(&Vec::from_iter(runs.iter().zip(complete)), &mut results);
    criterion::link_pages(whole, benches.last().and_then(|benches| benches.last()));
    if results.is_empty() && whole.args.drives_load() {
        results.conclude(whole);
        return after_printing(&whole.interrupt, CANNOT_RUN);
    }
    let mut is_well = results.conclude(whole);
    if whole.writes_records()
        && let Err(error) = print_verdict(whole, &runs)
    {
        eprintln!("error: {error}");
        is_well = false;
    }
    let code = if is_well { 0 } else { POINT_FAILED };
    after_printing(&whole.interrupt, code)
}

/// Boots one deployment and measures it.
fn measure_one(
    run: &mut RunContext,
    groups: &mut [Vec<MetricGroup<'_>>],
    progress: &mut Progress,
    results: &mut Results,
) -> Result<(), Box<dyn Error>> {
    if run.args.drives_load() {
        eprintln!("\ndeployment {}", run.record_name());
        let booted = run.boot();
        // After a signal, an error is its consequence.
        run.interrupt.check()?;
        booted?;
    }
    let died = || {
        let fixture = run.deployed.as_ref().and_then(Deployed::fixture);
        fixture.and_then(Fixture::died).map_or(Ok(()), Err)
    };
    for (at, groups) in groups.iter_mut().enumerate() {
        for info in run.points_of(at) {
            if run.interrupt.came() {
                return Ok(());
            }
            criterion::run(&Point::new(run, info), groups, progress, results)?;
            died()?;
        }
    }
    session::run_points_again(run, progress, results)?;
    Ok(died()?)
}

/// Prints which deployment is best; of two, what changed from one to the other, too.
fn print_verdict(whole: &RunContext, runs: &[RunContext]) -> Result<(), Box<dyn Error>> {
    let side = |run: &RunContext| -> Result<RunSet, RecordError> {
        let deployment = run.record_name();
        let records = written(run.selected(), deployment)?;
        Ok(RunSet::new(deployment, records))
    };
    let sides: Vec<RunSet> = runs.iter().map(side).collect::<Result<_, _>>()?;
    let thresholds = Thresholds::default();
    if let [before, after] = &sides[..] {
        match verdict::compare(before, after, &thresholds) {
            Ok(comparison) => {
                let pair = [before.clone(), after.clone()];
                print!(
                    "\n{}",
                    report::verdicts(&comparison, &pair, &thresholds, false)
                );
            }
            Err(error) => println!(
                "\n- {} and {} are not compared: {error}",
                before.name, after.name
            ),
        }
    }
    print!("\n{}", report::deployments(&whole.name, &sides));
    Ok(())
}
