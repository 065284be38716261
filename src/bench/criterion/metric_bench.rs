//! A Criterion for each metric.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{
    BenchmarkFilter, BenchmarkGroup, BenchmarkId, Criterion, PlottingBackend, SamplingMode,
    Throughput,
};

use super::args::{BenchArgs, Mode};
use super::point_failed::PointFailed;
use crate::bench::context::RunContext;
use crate::bench::outcome::Results;
use crate::bench::point_info::PointInfo;
use crate::config::Metric;
use crate::load::Sampling;
use crate::measurement::{Phase, ServingMeasurement};
use crate::results::{CriterionGroup, criterion_directory};

/// Criterion's bootstrap resamples; at ten samples more of them change no figure that is shown.
const RESAMPLES: usize = 10_000;

/// The Criterion of a metric.
pub struct MetricBench {
    metric: Metric,
    phase: Phase,
    criterion: Criterion<ServingMeasurement>,
}

/// A prompt's group of a metric's benchmarks. The groups of all metrics are open at the same time, as the metrics
/// take turns at each point.
pub struct MetricGroup<'a> {
    pub metric: Metric,
    /// Tells Criterion's warm-up from its samples.
    phase: Phase,
    group: BenchmarkGroup<'a, ServingMeasurement>,
}

impl MetricBench {
    /// Creates a bench for each metric.
    pub fn all(metrics: &[Metric], args: &BenchArgs) -> Vec<MetricBench> {
        let new = |metric: &Metric| MetricBench::new(*metric, args);
        metrics.iter().map(new).collect()
    }

    fn new(metric: Metric, args: &BenchArgs) -> MetricBench {
        let measurement = ServingMeasurement::new(metric);
        let phase = measurement.phase();
        let criterion = Criterion::<WallTime>::default()
            .with_measurement(measurement)
            .output_directory(&criterion_directory())
            .plotting_backend(PlottingBackend::Plotters)
            .sample_size(Sampling::DEFAULT.windows)
            .warm_up_time(Sampling::DEFAULT.warm_up)
            .measurement_time(Sampling::DEFAULT.measurement)
            .nresamples(RESAMPLES)
            .configure_from_args()
            // Only what the command line selects is handed to Criterion, by its full name: Criterion may
            // know it by a shorter one.
            .with_benchmark_filter(BenchmarkFilter::AcceptAll);
        MetricBench {
            metric,
            phase,
            // Criterion would overwrite the baseline point by point. So it only compares with the earlier one, as it
            // would do before, and the run is saved at its end.
            criterion: match args.compared_and_replaced() {
                Some(name) => criterion.retain_baseline(name.to_owned(), false),
                None => criterion,
            },
        }
    }
}

impl MetricGroup<'_> {
    /// Hands one benchmark to Criterion; what is thrown in it ends the benchmark, not the run, and is returned.
    pub fn bench(
        &mut self,
        point: &PointInfo<'_>,
        results: &mut Results,
        mut sample: impl FnMut(u64, &Phase) -> f64,
    ) -> Option<PointFailed> {
        let id = match point.deployment {
            Some(deployment) => BenchmarkId::new(&*deployment.name, point.level),
            None => BenchmarkId::from_parameter(point.level),
        };
        let (group, phase) = (&mut self.group, &self.phase);
        let run = catch_unwind(AssertUnwindSafe(|| {
            group.bench_function(id, |b| b.iter_custom(|iters| sample(iters, phase)));
        }));
        let payload = run.err()?;
        let failed = payload.downcast_ref::<PointFailed>().copied();
        // Criterion has printed why it gave up. A window without success fails the run, too.
        if failed != Some(PointFailed::Undefined) {
            results.fail();
        }
        failed
    }

    /// Plans the samples that follow.
    pub fn plan(&mut self, warm_up: Duration, measurement: Duration) {
        self.group.warm_up_time(warm_up);
        self.group.measurement_time(measurement);
    }
}

/// Opens the groups of a prompt.
pub fn open_groups<'a>(
    context: &RunContext,
    benches: &'a mut [MetricBench],
    prompt: &str,
) -> Vec<MetricGroup<'a>> {
    let open = |bench: &'a mut MetricBench| {
        let metric = bench.metric;
        let group = CriterionGroup::new(&context.name, prompt, metric);
        let mut group = bench.criterion.benchmark_group(group.id);
        group.sampling_mode(SamplingMode::Flat);
        if metric.is_rate() {
            group.throughput(Throughput::Elements(1));
        }
        MetricGroup {
            metric,
            phase: bench.phase.clone(),
            group,
        }
    };
    benches.iter_mut().map(open).collect()
}

/// Lets Criterion write the page that links all others, once no group is open any more.
pub fn link_pages(context: &RunContext, bench: Option<&MetricBench>) {
    if let (Some(bench), Mode::Bench) = (bench, context.args.mode()) {
        bench.criterion.final_summary();
    }
}
