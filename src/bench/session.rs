//! All points of a benchmark, one after another, under Criterion.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, PlottingBackend, SamplingMode, Throughput};

use super::args::{BenchArgs, Mode};
use super::point::Point;
use super::progress::Progress;
use super::results::Results;
use super::workload::NamedPrompt;
use crate::config::{Config, Metric};
use crate::fixture::FixtureError;
use crate::load::Sampling;
use crate::measurement::{Phase, ServingMeasurement};

/// Criterion's bootstrap resamples; at ten samples more of them change no figure that is shown.
const RESAMPLES: usize = 10_000;

/// A benchmark about to run.
pub(super) struct Session {
    pub name: String,
    pub prompts: Vec<NamedPrompt>,
    pub config: Config,
    pub args: BenchArgs,
    pub metrics: Vec<Metric>,
}

/// One metric's Criterion, open at the same time as the others', as they take turns at each point.
pub(super) struct Track<'a> {
    pub metric: Metric,
    /// Tells Criterion's warm-up from its samples.
    pub phase: Phase,
    pub group: BenchmarkGroup<'a, ServingMeasurement>,
}

/// A metric with the Criterion that holds its groups.
struct Instrument {
    metric: Metric,
    phase: Phase,
    criterion: Criterion<ServingMeasurement>,
}

impl Session {
    pub fn new(
        name: String,
        prompts: Vec<NamedPrompt>,
        config: Config,
        args: BenchArgs,
    ) -> Session {
        let metrics = definable(&config);
        Session {
            name,
            prompts,
            config,
            args,
            metrics,
        }
    }

    /// Runs every point that the command line selects; the exit code says whether all were measured.
    pub fn run(self) -> ExitCode {
        let mut instruments: Vec<_> = self.metrics.iter().map(|m| Instrument::new(*m)).collect();
        let mut results = Results::default();
        if let Err(error) = self.run_points(&mut instruments, &mut results) {
            return super::cannot_run(error);
        }
        if let Some(instrument) = instruments.last()
            && self.args.mode() == Mode::Bench
        {
            instrument.criterion.final_summary();
        }
        results.conclude(&self)
    }

    fn run_points(
        &self,
        instruments: &mut [Instrument],
        results: &mut Results,
    ) -> Result<(), &'static FixtureError> {
        let mut progress = Progress::new(self.count_points(), self.args.point_time());
        let mut ordinal = 0;
        for prompt in &self.prompts {
            let mut tracks = self.open_tracks(instruments, prompt);
            for concurrency in &self.config.concurrent_levels {
                let point = Point {
                    session: self,
                    prompt,
                    ordinal,
                    concurrency: *concurrency,
                };
                point.run(&mut tracks, &mut progress, results)?;
                ordinal += 1;
            }
        }
        Ok(())
    }

    fn open_tracks<'a>(
        &self,
        instruments: &'a mut [Instrument],
        prompt: &NamedPrompt,
    ) -> Vec<Track<'a>> {
        let open = |instrument: &'a mut Instrument| {
            let metric = instrument.metric;
            let name = self.group_name(prompt, metric);
            let mut group = instrument.criterion.benchmark_group(name);
            group.sampling_mode(SamplingMode::Flat);
            if metric.is_rate() {
                group.throughput(Throughput::Elements(1));
            }
            Track {
                metric,
                phase: instrument.phase.clone(),
                group,
            }
        };
        instruments.iter_mut().map(open).collect()
    }

    /// Name of a Criterion group; all of a group's values have one unit, so that its plots can be compared.
    pub fn group_name(&self, prompt: &NamedPrompt, metric: Metric) -> String {
        format!("{}/{}/{}", self.name, prompt.key, metric.id())
    }

    pub fn selects(&self, prompt: &NamedPrompt, metric: Metric, level: NonZeroUsize) -> bool {
        self.args
            .selects(&format!("{}/c={level}", self.group_name(prompt, metric)))
    }

    /// Points with a metric that the command line selects.
    fn count_points(&self) -> u32 {
        let mut points = 0;
        for prompt in &self.prompts {
            for level in &self.config.concurrent_levels {
                let any = |m: &Metric| self.selects(prompt, *m, *level);
                points += u32::from(self.metrics.iter().any(any));
            }
        }
        points
    }
}

impl Instrument {
    fn new(metric: Metric) -> Instrument {
        let measurement = ServingMeasurement::new(metric);
        Instrument {
            metric,
            phase: measurement.phase(),
            criterion: Criterion::<WallTime>::default()
                .with_measurement(measurement)
                .output_directory(&crate::results::criterion_directory())
                .plotting_backend(PlottingBackend::Plotters)
                .sample_size(Sampling::DEFAULT.windows)
                .warm_up_time(Sampling::DEFAULT.warm_up)
                .measurement_time(Sampling::DEFAULT.measurement)
                .nresamples(RESAMPLES)
                .configure_from_args(),
        }
    }
}

/// The metrics that the configuration can give, and a word about those it cannot.
fn definable(config: &Config) -> Vec<Metric> {
    let undefined = |metric: &Metric| match metric {
        Metric::Ttft | Metric::Tpot if !config.stream => {
            Some("responses are not streamed (STREAM: false)")
        }
        Metric::Tpot if config.max_new_tokens.get() < 2 => {
            Some("one token has no time between tokens (MAX_NEW_TOKENS: 1)")
        }
        _ => None,
    };
    for metric in &config.metrics {
        if let Some(reason) = undefined(metric) {
            eprintln!("note: no benchmark of {}: {reason}", metric.id());
        }
    }
    let defined = |m: &&Metric| undefined(m).is_none();
    config.metrics.iter().filter(defined).copied().collect()
}
