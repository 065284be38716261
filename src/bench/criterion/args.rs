use std::time::Duration;

use anstream::ColorChoice;
use clap::Parser;

use crate::load::Sampling;

/// The options of Criterion's command line that servemark needs; Criterion parses the line again itself.
///
/// The options that are only passed over stand here so that their values are not taken for the filter.
#[derive(Clone, Debug, Default, Parser)]
#[command(disable_help_flag = true)]
pub struct BenchArgs {
    filter: Option<String>,
    #[arg(long)]
    exact: bool,
    #[arg(long)]
    bench: bool,
    #[arg(long)]
    test: bool,
    #[arg(long)]
    list: bool,
    #[arg(long, short = 's', id = "save-baseline")]
    save_baseline: Option<String>,
    #[arg(long, id = "sample-size")]
    sample_size: Option<usize>,
    #[arg(long, id = "warm-up-time")]
    warm_up_time: Option<f64>,
    #[arg(long, id = "measurement-time")]
    measurement_time: Option<f64>,
    #[arg(long)]
    quick: bool,
    #[arg(long, id = "profile-time")]
    profile_time: Option<f64>,
    #[arg(long, short = 'c', alias = "colour")]
    color: Option<String>,
    #[arg(long, short = 'b')]
    baseline: Option<String>,
    #[arg(long, id = "baseline-lenient")]
    baseline_lenient: Option<String>,
    #[arg(long, id = "load-baseline")]
    load_baseline: Option<String>,
    #[arg(long)]
    format: Option<String>,
    #[arg(long)]
    nresamples: Option<String>,
    #[arg(long, id = "noise-threshold")]
    noise_threshold: Option<String>,
    #[arg(long, id = "confidence-level")]
    confidence_level: Option<String>,
    #[arg(long, id = "significance-level")]
    significance_level: Option<String>,
    #[arg(long, id = "plotting-backend")]
    plotting_backend: Option<String>,
    #[arg(long, id = "output-format")]
    output_format: Option<String>,
    #[arg(long, short = 'n')]
    noplot: bool,
    #[arg(long, short = 'v')]
    verbose: bool,
    #[arg(long)]
    quiet: bool,
    #[arg(long, id = "discard-baseline")]
    discard_baseline: bool,
    #[arg(long)]
    ignored: bool,
    #[arg(long, id = "include-ignored")]
    include_ignored: bool,
    #[arg(long)]
    nocapture: bool,
    #[arg(long, id = "show-output")]
    show_output: bool,
}

/// What Criterion does with the benchmarks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Measure.
    Bench,
    /// Run each once, to see that it works.
    Test,
    /// Name them.
    List,
    /// Run each for a profiler, without measuring.
    Profile,
}

/// A baseline that the command line names.
#[derive(Clone, Copy, Debug)]
pub struct NamedBaseline<'a> {
    /// The option that names it.
    pub option: &'static str,
    /// Its name.
    pub name: &'a str,
    /// Whether every benchmark must have it.
    pub is_strict: bool,
    /// The file of the baseline that Criterion reads.
    pub file: &'static str,
}

impl BenchArgs {
    /// Reads the process's arguments. Criterion reports invalid ones.
    pub fn from_env() -> BenchArgs {
        BenchArgs::read(std::env::args())
    }

    /// Returns the arguments of a run without Criterion that measures every point with `sampling`.
    pub fn alone(sampling: &Sampling) -> BenchArgs {
        BenchArgs {
            bench: true,
            sample_size: Some(sampling.windows),
            warm_up_time: Some(sampling.warm_up.as_secs_f64()),
            measurement_time: Some(sampling.measurement.as_secs_f64()),
            ..BenchArgs::default()
        }
    }

    /// The same arguments with times and windows of a load that no option has set.
    pub fn with(&self, sampling: &Sampling) -> BenchArgs {
        let seconds = |given: Option<f64>, time: Duration| given.or(Some(time.as_secs_f64()));
        BenchArgs {
            sample_size: self.sample_size.or(Some(sampling.windows)),
            warm_up_time: seconds(self.warm_up_time, sampling.warm_up),
            measurement_time: seconds(self.measurement_time, sampling.measurement),
            ..self.clone()
        }
    }

    /// The same arguments with another measuring time.
    pub fn measuring(&self, time: Duration) -> BenchArgs {
        BenchArgs {
            measurement_time: Some(time.as_secs_f64()),
            ..self.clone()
        }
    }

    fn read(args: impl IntoIterator<Item = String>) -> BenchArgs {
        use clap::{CommandFactory, FromArgMatches};
        let command = BenchArgs::command().ignore_errors(true);
        BenchArgs::from_arg_matches(&command.get_matches_from(args))
            .unwrap_or_else(|_| BenchArgs::parse_from(["bench"]))
    }

    /// Returns the mode Criterion runs in; without `--bench`, which `cargo bench` passes, it only tests.
    pub fn mode(&self) -> Mode {
        match (self.list, self.bench && !self.test) {
            (true, _) => Mode::List,
            (false, true) if self.profile_time.is_some() => Mode::Profile,
            (false, true) => Mode::Bench,
            (false, false) => Mode::Test,
        }
    }

    /// Whether a benchmark of this id runs.
    pub fn selects(&self, id: &str) -> bool {
        match &self.filter {
            // As in Criterion: servemark's benchmarks are never ignored otherwise.
            _ if self.ignored => false,
            None => true,
            Some(filter) if self.exact => id == filter,
            Some(filter) => regex::Regex::new(filter).map_or_else(
                |_| id.contains(filter.as_str()),
                |filter| filter.is_match(id),
            ),
        }
    }

    /// Returns the filter of benchmark ids, if any.
    pub fn filter(&self) -> Option<&str> {
        self.filter.as_deref()
    }

    /// Rejects a filter that is not a valid regular expression, on which Criterion would panic.
    ///
    /// # Errors
    /// Why the filter is invalid.
    pub fn check_filter(&self) -> Result<(), String> {
        match &self.filter {
            Some(filter) if !self.exact => match regex::Regex::new(filter) {
                Ok(_) => Ok(()),
                Err(error) => Err(format!(
                    "the filter {filter:?} is not a regular expression; --exact takes it as it is: {error}"
                )),
            },
            _ => Ok(()),
        }
    }

    /// The baselines that must be there before anything is measured.
    pub fn named_baselines(&self) -> impl Iterator<Item = NamedBaseline<'_>> {
        let options = [
            ("--load-baseline", &self.load_baseline, true, "sample.json"),
            ("--baseline", &self.baseline, true, ""),
            ("--baseline-lenient", &self.baseline_lenient, false, ""),
        ];
        // Nothing is compared where nothing is measured.
        let options = options.into_iter().filter(|_| self.mode() == Mode::Bench);
        options.filter_map(|(option, name, is_strict, file)| {
            Some(NamedBaseline {
                option,
                name: name.as_deref()?,
                is_strict,
                file,
            })
        })
    }

    /// Name under which the run is kept, if it is.
    pub fn save_baseline(&self) -> Option<&str> {
        self.save_baseline.as_deref()
    }

    /// The baseline of `--save-baseline` if Criterion would compare the run with it, and overwrite it.
    pub fn compared_and_replaced(&self) -> Option<&str> {
        let name = self.save_baseline.as_deref();
        name.filter(|_| self.baseline().is_none() && !self.discard_baseline)
    }

    /// The baseline that the run is to be compared with, if one is named.
    pub fn baseline(&self) -> Option<&str> {
        let named = self.baseline.as_deref();
        named.or(self.baseline_lenient.as_deref())
    }

    /// Whether what is printed has colours: as for Criterion, whose option it is.
    pub fn color(&self) -> ColorChoice {
        match self.color.as_deref() {
            Some("always") => ColorChoice::Always,
            Some("never") => ColorChoice::Never,
            _ => ColorChoice::Auto,
        }
    }

    /// Samples per point, where that is fixed beforehand.
    pub fn sample_size(&self) -> Option<usize> {
        match self.mode() {
            Mode::Profile => None,
            Mode::Bench if self.quick => None,
            Mode::Bench => Some(self.sample_size.unwrap_or(Sampling::DEFAULT.windows)),
            Mode::Test | Mode::List => Some(1),
        }
    }

    /// Whether benchmarks are called at all: not to list them, nor where a saved baseline stands in.
    pub fn drives_load(&self) -> bool {
        self.mode() != Mode::List && self.load_baseline.is_none()
    }

    /// Criterion's warm-up of a point.
    pub fn warm_up(&self) -> Duration {
        seconds(self.warm_up_time, Sampling::DEFAULT.warm_up)
    }

    /// Criterion's measurement of a point.
    pub fn measurement(&self) -> Duration {
        seconds(self.measurement_time, Sampling::DEFAULT.measurement)
    }

    /// How a point is sampled where its load is driven without Criterion. A test has no warm-up and is over
    /// with its first round.
    pub fn sampling(&self) -> Sampling {
        let unless_tested = |time| match self.mode() {
            Mode::Bench | Mode::Profile => time,
            Mode::Test | Mode::List => Duration::ZERO,
        };
        Sampling {
            warm_up: unless_tested(self.warm_up()),
            measurement: unless_tested(self.measurement()),
            windows: self.sample_size().unwrap_or(Sampling::DEFAULT.windows),
        }
    }

    /// About how long the load of one point runs.
    pub fn point_time(&self) -> Duration {
        self.warm_up() + self.measurement()
    }
}

/// A time that Criterion will accept, too; it says what is wrong with any other.
fn seconds(given: Option<f64>, default: Duration) -> Duration {
    given
        .and_then(|s| Duration::try_from_secs_f64(s).ok())
        .filter(|time| !time.is_zero())
        .unwrap_or(default)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &str) -> BenchArgs {
        BenchArgs::read(
            std::iter::once("bench".to_owned()).chain(args.split_whitespace().map(String::from)),
        )
    }

    #[test]
    fn the_filter_is_found_among_options_with_values() {
        let args = read("--bench --save-baseline v0.31 c=32 --sample-size 20 --color never");
        assert!(args.selects("chat_throughput/5/rps/c=32"));
        assert!(!args.selects("chat_throughput/5/rps/c=8"));
        assert_eq!(args.save_baseline(), Some("v0.31"));
        assert_eq!(args.sample_size(), Some(20));
        assert_eq!(args.color(), ColorChoice::Never);
        assert_eq!(args.mode(), Mode::Bench);
    }

    #[test]
    fn nothing_behind_an_option_of_criterions_is_lost() {
        let flags = "--noplot -v --quiet --discard-baseline --nocapture --show-output";
        let args = read(&format!(
            "--bench {flags} --save-baseline v1 --sample-size 12 c=8"
        ));
        assert_eq!(args.save_baseline(), Some("v1"));
        assert_eq!(args.sample_size(), Some(12));
        assert!(!args.selects("chat_throughput/5/rps/c=1"));
    }

    #[test]
    fn filters_are_regular_expressions_unless_exact() {
        assert!(read("--bench (rps|ttft)/c=8$").selects("chat_throughput/5/ttft/c=8"));
        assert!(!read("--bench --exact rps").selects("chat_throughput/5/rps/c=8"));
        assert!(read("--bench").selects("anything"));
        assert!(!read("--bench --ignored").selects("anything"));
        let error = read("--bench rps(").check_filter().unwrap_err();
        assert!(error.contains("\"rps(\""), "{error}");
        assert!(read("--bench --exact rps(").check_filter().is_ok());
    }

    #[test]
    fn without_cargo_bench_it_only_tests() {
        assert_eq!(read("").mode(), Mode::Test);
        assert_eq!(read("--bench --test").mode(), Mode::Test);
        assert_eq!(read("--bench --list").mode(), Mode::List);
        assert_eq!(read("--bench --quick").sample_size(), None);
        assert_eq!(read("--bench --profile-time 5").mode(), Mode::Profile);
        assert_eq!(read("--bench --profile-time 5").sample_size(), None);
    }

    #[test]
    fn times_that_are_given_are_used_for_the_estimate() {
        assert_eq!(
            read("--bench --warm-up-time 2 --measurement-time 10.5").point_time(),
            Duration::from_millis(12_500)
        );
        assert_eq!(
            read("--bench --measurement-time nonsense").point_time(),
            Sampling::DEFAULT.warm_up + Sampling::DEFAULT.measurement
        );
    }
}
