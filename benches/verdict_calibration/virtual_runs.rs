//! Two sides of a comparison in virtual time, whose difference is known.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, LogNormal};
use serde::{Deserialize, Serialize};
use servemark::RunRecord;
use servemark::internals::engine::{EngineError, Noise, Preset, Seeds, Slowdown};
use servemark::internals::load::{OPEN, Sampling, Window};
use servemark::internals::simulation::{self, VirtualLoad, VirtualSetup};
use servemark::internals::verdict::{Figure, RunSet};

use crate::Result;

/// Time between the starts of two points (s): load and Criterion's analysis.
const POINT_S: u64 = 5;

/// Time between the starts of two runs on a restarted server (s).
const RUN_S: u64 = 600;

/// The measurements of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Family {
    /// The default `CONCURRENT_LEVELS` on two replicas.
    Default,
    /// An open loop on two replicas, with Poisson arrivals of a seed of its own in each run.
    Open,
    /// Eight requests in flight on one replica, each with a prompt of so many tokens.
    OnePoint { prompt_tokens: usize },
}

impl Family {
    fn levels(self) -> &'static [usize] {
        match self {
            Family::Default => &[1, 8, 32],
            // Requests per second.
            Family::Open => &[4, 16, 64],
            Family::OnePoint { .. } => &[8],
        }
    }

    /// The figure that shows a slower server best: in an open loop, tok/s follow from the arrivals.
    pub fn shows_slowdown(self) -> Figure {
        match self {
            Family::Open => Figure::TpotMean,
            Family::Default | Family::OnePoint { .. } => Figure::TokS,
        }
    }

    fn apply(self, setup: VirtualSetup) -> Result<VirtualSetup> {
        Ok(match self {
            Family::Default => VirtualSetup {
                replicas: 2.try_into()?,
                ..setup
            },
            Family::Open => VirtualSetup {
                replicas: 2.try_into()?,
                shape: &OPEN,
                request_rate: setup.concurrency.get() as f64,
                concurrency: 4_096.try_into()?,
                ..setup
            },
            Family::OnePoint { prompt_tokens } => VirtualSetup {
                prompt_tokens,
                ..setup
            },
        })
    }
}

/// How the two sides are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// Runs per side, each against newly started servers, saved as a baseline.
    Saved { runs: u64 },
    /// Two servers in turns (`SERVEMARK_AB`).
    InTurns,
}

/// A kind of machine.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    pub name: &'static str,
    /// Noise of the steps, and the machine's drift.
    pub steps: &'static str,
    /// Standard deviation of the logarithm of a run's offset. Half of its variance is the machine's at
    /// that hour, half the server process's own.
    pub between_runs: f64,
}

/// One comparison to simulate.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Trial {
    noise: Noise,
    method: Method,
    pub family: Family,
    /// By how much the steps of the side after are longer (0.05: 5 %).
    slowdown: f64,
    /// Names all noise of the comparison.
    seed: u64,
}

impl Conditions {
    /// All of its noise.
    pub fn noise(&self) -> Result<Noise> {
        Ok(Noise {
            run_sigma: self.between_runs,
            ..self.steps.parse()?
        })
    }
}

impl Trial {
    /// A comparison under these conditions.
    pub fn new(conditions: Conditions, method: Method, slowdown: f64) -> Result<Trial> {
        Ok(Trial {
            noise: conditions.noise()?,
            method,
            family: Family::Default,
            slowdown,
            // Another slow-down, other noise.
            seed: slowdown.to_bits(),
        })
    }

    /// The same of other points.
    pub fn of_family(self, family: Family) -> Trial {
        Trial { family, ..self }
    }

    /// Another one like it, with noise of its own.
    pub fn numbered(self, number: u64) -> Trial {
        Trial {
            seed: self.seed.wrapping_add(number),
            ..self
        }
    }

    /// Both sides.
    pub fn sides(&self) -> Result<[RunSet; 2]> {
        let records = match self.method {
            Method::Saved { runs } => [self.saved(0, runs)?, self.saved(1, runs)?],
            Method::InTurns => self.in_turns()?,
        };
        let [before, after] = records;
        Ok([RunSet::new("before", before), RunSet::new("after", after)])
    }

    fn saved(&self, side: u64, runs: u64) -> Result<Vec<RunRecord>> {
        let mut records = Vec::new();
        for (point, level) in self.levels() {
            let each = (0..runs).map(|run| {
                let seeds = self.seeds(&[side, run], &[side, run, point as u64]);
                let begin = Duration::from_secs(run * RUN_S + point as u64 * POINT_S);
                let setup = self.setup(level, side, run, seeds, begin)?;
                Ok(Sampling::DEFAULT.run(&mut VirtualLoad::start(setup)?))
            });
            let each: Vec<Vec<Window>> = each.collect::<Result<_>>()?;
            let setup = self.setup(level, side, 0, Seeds::from(0), Duration::ZERO)?;
            records.push(simulation::record(&setup, "calibration", &each));
        }
        Ok(records)
    }

    fn in_turns(&self) -> Result<[Vec<RunRecord>; 2]> {
        let mut records = [Vec::new(), Vec::new()];
        let mut order = StdRng::seed_from_u64(self.seed);
        let mut begin_ns = 0;
        for (point, level) in self.levels() {
            let mut turn = 0;
            let start = |side: usize, at_ns: u64| -> Result<VirtualLoad> {
                turn += 1;
                let steps = [side as u64, point as u64, turn];
                let seeds = self.seeds(&[], &steps);
                let begin = Duration::from_nanos(at_ns.max(begin_ns));
                let setup = self.setup(level, side as u64, 0, seeds, begin)?;
                Ok(VirtualLoad::start(setup)?)
            };
            let sides = Sampling::DEFAULT.in_turns(&mut order, start)?;
            begin_ns = sides.iter().flatten().map(|w| w.end_ns).max().unwrap_or(0);
            for (side, windows) in sides.into_iter().enumerate() {
                let setup = self.setup(level, side as u64, 0, Seeds::from(0), Duration::ZERO)?;
                let mut record = simulation::record(&setup, "calibration", &[windows]);
                record.interleaved = Some("in turns".to_owned());
                records[side].push(record);
            }
        }
        Ok(records)
    }

    /// The points with their numbers.
    fn levels(&self) -> impl Iterator<Item = (usize, usize)> {
        self.family.levels().iter().copied().enumerate()
    }

    /// Seeds that nothing else of all trials has.
    fn seeds(&self, machine: &[u64], steps: &[u64]) -> Seeds {
        let mixed = |parts: &[u64]| {
            let mix =
                |seed: u64, part: &u64| StdRng::seed_from_u64(seed ^ part.rotate_left(17)).random();
            parts.iter().fold(self.seed, mix)
        };
        Seeds {
            machine: mixed(machine),
            steps: !mixed(steps),
        }
    }

    fn setup(
        &self,
        level: usize,
        side: u64,
        run: u64,
        seeds: Seeds,
        begin: Duration,
    ) -> Result<VirtualSetup> {
        let half = self.noise.run_sigma * std::f64::consts::FRAC_1_SQRT_2;
        // The process's own half of the offset is the same for all points of a run.
        let mut process = StdRng::seed_from_u64(self.seeds(&[2, side, run], &[]).machine);
        let offset = LogNormal::new(0.0, half)?.sample(&mut process);
        let slower = if side == 1 { 1.0 + self.slowdown } else { 1.0 };
        self.family.apply(VirtualSetup {
            seeds,
            begin,
            noise: Noise {
                run_sigma: half,
                ..self.noise
            },
            slowdown: Slowdown::uniform(slower * offset),
            concurrency: level.try_into()?,
            ..VirtualSetup::new(preset()?)
        })
    }
}

/// The workload that the shipped benches simulate.
pub fn preset() -> std::result::Result<Preset, EngineError> {
    Preset::named("sim-small")
}
