//! The trials of one search.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::TrialTimes;
use crate::bench::context::RunContext;
use crate::bench::criterion::{BenchArgs, Mode};
use crate::bench::drive::direct;
use crate::bench::outcome::Results;
use crate::bench::point::Point;
use crate::bench::progress::Progress;
use crate::bench::run::RunError;
use crate::capacity::{Next, Search, Trial, TrialRecord};
use crate::config::Settings;
use crate::level::Level;
use crate::metrics::Lengths;
use crate::prompt::RequestLengths;
use crate::results::CapacityRecord;

/// A search with one prompt, while its levels are tried.
pub(super) struct Trials<'a> {
    context: &'a mut RunContext,
    /// The arguments of the whole bench; each trial takes as long as it needs.
    args: BenchArgs,
    prompt: usize,
    lengths: RequestLengths,
    output_tokens: Lengths,
    search: Search,
    progress: Progress,
    /// Levels at which the client, not the servers, limited the load, and why.
    client_bound: Vec<(Level, String)>,
}

impl<'a> Trials<'a> {
    pub fn new(context: &'a mut RunContext, prompt: usize, search: Search) -> Trials<'a> {
        let args = context.args.clone();
        let most = Search::MOST_TRIALS as u32 + 2;
        Trials {
            progress: Progress::new(most, args.point_time(), Duration::ZERO),
            context,
            args,
            prompt,
            lengths: RequestLengths::of_prompt(0),
            output_tokens: Lengths::default(),
            search,
            client_bound: Vec::new(),
        }
    }

    /// Tries levels until the search is over, or a signal comes; `None` if it came before the end of the first trial.
    ///
    /// # Errors
    /// [`RunError`] if a level cannot be tried.
    pub fn run(
        mut self,
        times: &TrialTimes,
        tried: &mut Vec<Level>,
    ) -> Result<Option<CapacityRecord>, RunError> {
        while let Next::Measure(level) = self.search.next_level() {
            self.context.set_levels(&[level]);
            let time = times.of_trial(level, &self.search, self.args.measurement());
            self.context.args = self.args.measuring(time);
            tried.push(level);
            let trial = self.try_level()?;
            if self.context.interrupt.came() {
                break;
            }
            self.search.add(trial);
            if self.args.mode() != Mode::Bench {
                break;
            }
        }
        self.context.args = self.args.clone();
        match self.search.trials().is_empty() {
            true => Ok(None),
            false => self.record().map(Some),
        }
    }

    /// Loads the servers at the only level of the context, with requests that no trial before has sent.
    fn try_level(&mut self) -> Result<Trial, RunError> {
        let context = &*self.context;
        let fixture = context
            .fixture()
            .map_err(|error| RunError::NotReady(error))?;
        let Some(mut info) = context.points_of(self.prompt).next() else {
            return Err(RunError::invalid("no level"));
        };
        info.ordinal = (self.prompt * 1_000 + self.search.trials().len()) as u32;
        let level = info.level;
        let point = Point::of_prompt(context, info, self.prompt);
        let mut results = Results::default();
        let windows = direct::run(&point, fixture, 0, &mut self.progress, &mut results);
        let is_interrupted = context.interrupt.came();
        if let Some(died) = fixture.died().filter(|_| !is_interrupted) {
            return Err(RunError::NotReady(died.into()));
        }
        if windows.is_empty() && !is_interrupted {
            let why = format!("the load at {level} could not be started");
            return Err(RunError::invalid(why));
        }
        let trial = Trial::of(level, &windows, self.search.objectives());
        eprintln!("{level}: {}", trial.judge(self.search.objectives()));
        let answers = Lengths::of(&windows, |c| Some(c.output_tokens()?.0));
        self.output_tokens = self.output_tokens.with(answers);
        let lengths = results.rows().first().map(|row| row.lengths);
        self.lengths = lengths.unwrap_or(self.lengths);
        let client_bound = results.client_bound().map(|why| (level, why));
        self.client_bound.extend(client_bound);
        Ok(trial)
    }

    fn record(mut self) -> Result<CapacityRecord, RunError> {
        let context = &*self.context;
        let fixture = context
            .fixture()
            .map_err(|error| RunError::NotReady(error))?;
        let endpoints = fixture.endpoints.iter();
        let mut client_bound = Vec::from_iter(self.client_bound.iter().map(|bound| bound.0));
        client_bound.sort();
        client_bound.dedup();
        let why = self.client_bound.last().map_or("", |bound| &*bound.1);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let (prompt, lengths) = (&context.prompts[self.prompt], self.lengths);
        let config = Settings {
            slo: context.slo_of(self.prompt),
            ..context.config.clone()
        };
        Ok(CapacityRecord {
            schema_version: CapacityRecord::SCHEMA_VERSION,
            servemark_version: env!("CARGO_PKG_VERSION").to_owned(),
            run_id: context.run_id.clone(),
            ended_unix_s: now.unwrap_or_default().as_secs_f64(),
            bench: context.name.clone(),
            prompt: prompt.key.clone(),
            prompt_tokens: lengths.prompt.rounded_mean(),
            lengths: lengths.is_mixed().then_some(lengths),
            workload: prompt.kind.definition(),
            api: prompt.kind.dialect().id().to_owned(),
            simulated: fixture.endpoints.simulated().map(str::to_owned),
            deployment: context.deployment_record().cloned(),
            endpoints: endpoints.map(|e| e.identity.clone()).collect(),
            config: config.public_json(),
            objectives: self.search.objectives().to_vec(),
            trials: TrialRecord::all(&self.search),
            output_tokens: self.output_tokens,
            notes: Vec::from_iter(client_note(&client_bound, why)),
            client_bound,
            partial: context.interrupt.why_partial(),
            capacity: self.search.capacity(),
        })
    }
}

/// Says at which levels the client, not the servers, limited the load, if it did at any.
fn client_note(levels: &[Level], why: &str) -> Option<String> {
    let levels = Vec::from_iter(levels.iter().map(Level::to_string)).join(", ");
    let note = || format!("the client did not keep up at {levels}; the last of them: {why}");
    (!levels.is_empty()).then(note)
}
