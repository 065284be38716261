//! Rank and size from the scheduler's environment variables.

use std::fmt;

/// Rank of a process among those that share a load; there are at least two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ranks {
    /// Below `size`.
    rank: usize,
    /// At least 2.
    size: usize,
    scheduler: JobScheduler,
}

/// What started the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JobScheduler {
    /// `mpirun` of Open MPI.
    OpenMpi,
    /// `srun`.
    Slurm,
    /// An Indexed Job.
    Kubernetes,
}

impl fmt::Display for JobScheduler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JobScheduler::OpenMpi => "mpirun",
            JobScheduler::Slurm => "srun",
            JobScheduler::Kubernetes => "a Kubernetes Indexed Job",
        })
    }
}

/// The variables of a scheduler are not valid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RanksError {
    /// A variable that is not a number in its range.
    #[error("environment variable {variable}: found {found:?}; expected {expected}. {hint}")]
    BadValue {
        /// Its name.
        variable: &'static str,
        /// Its text.
        found: String,
        /// What it must be.
        expected: String,
        /// How to fix it.
        hint: &'static str,
    },
    /// A rank without the number of ranks.
    #[error("environment variable {present} is set but {missing} is not. {hint}")]
    Missing {
        /// The variable that is set.
        present: &'static str,
        /// The variable that is not set.
        missing: &'static str,
        /// How to fix it.
        hint: &'static str,
    },
}

const OMPI_RANK: &str = "OMPI_COMM_WORLD_RANK";
const OMPI_SIZE: &str = "OMPI_COMM_WORLD_SIZE";
const SLURM_RANK: &str = "SLURM_PROCID";
const SLURM_SIZE: &str = "SLURM_NTASKS";
/// Size of a job step, which may be smaller than the job.
const SLURM_STEP_SIZE: &str = "SLURM_STEP_NUM_TASKS";
const SLURM_STEP: &str = "SLURM_STEP_ID";
const SLURM_JOB: &str = "SLURM_JOB_ID";
const INDEX: &str = "JOB_COMPLETION_INDEX";
/// Number of ranks, for schedulers that do not set it.
const RANKS: &str = "SERVEMARK_RANKS";

/// Step ids from here on are Slurm's own: the batch script, the interactive shell of `salloc`.
const FIRST_RESERVED_STEP: u64 = 0xffff_fff0;

const STARTED_BY_HAND: &str = "Unset both, or start the processes with the scheduler.";
const COUNT_COMPLETIONS: &str = "Set SERVEMARK_RANKS to the Job's spec.completions, or to 1 where each process has a load of its own.";

impl Ranks {
    /// Reads the rank from the scheduler's variables; `None` for a process that sends the load alone.
    ///
    /// # Errors
    /// [`RanksError`] for variables that are not valid, with a hint.
    pub fn from_env() -> Result<Option<Ranks>, RanksError> {
        Ranks::read(&|name| {
            let value = std::env::var_os(name)?;
            Some(value.to_string_lossy().into_owned())
        })
    }

    /// `mpirun` in a Slurm allocation sets its own variables beside Slurm's, so these are read first.
    fn read(env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Ranks>, RanksError> {
        let set = |name: &str| env(name).filter(|value| !value.trim().is_empty());
        if set(OMPI_RANK).is_some() {
            return place(&set, JobScheduler::OpenMpi, OMPI_RANK, OMPI_SIZE);
        }
        if set(SLURM_RANK).is_some() && in_slurm_step(&set)? {
            let size = match set(SLURM_STEP_SIZE) {
                Some(_) => SLURM_STEP_SIZE,
                None => SLURM_SIZE,
            };
            return place(&set, JobScheduler::Slurm, SLURM_RANK, size);
        }
        if set(INDEX).is_some() {
            return place(&set, JobScheduler::Kubernetes, INDEX, RANKS);
        }
        match set(RANKS)
            .map(|size| number(RANKS, &size, 1..))
            .transpose()?
        {
            None | Some(1) => Ok(None),
            Some(_) => Err(RanksError::Missing {
                present: RANKS,
                missing: INDEX,
                hint: "Set completionMode: Indexed in the Job, or unset SERVEMARK_RANKS: srun and mpirun set the number of ranks themselves.",
            }),
        }
    }

    /// This process's rank: below [`Ranks::size`].
    pub fn rank(self) -> usize {
        self.rank
    }

    /// Number of ranks: at least 2.
    pub fn size(self) -> usize {
        self.size
    }

    /// Whether this is rank 0, which merges and reports.
    pub fn leads(self) -> bool {
        self.rank == 0
    }

    /// The scheduler that started the ranks.
    pub fn scheduler(self) -> JobScheduler {
        self.scheduler
    }

    /// Rank `rank` of `size` ranks, for tests.
    #[cfg(test)]
    pub fn of(rank: usize, size: usize) -> Ranks {
        assert!(rank < size && size > 1);
        Ranks {
            rank,
            size,
            scheduler: JobScheduler::OpenMpi,
        }
    }
}

/// Whether `srun` started this process. A batch script also has a rank (0) and the job's number of tasks,
/// but is not a task: only the processes of a step have a step id.
fn in_slurm_step(set: &dyn Fn(&str) -> Option<String>) -> Result<bool, RanksError> {
    match set(SLURM_STEP) {
        Some(step) => Ok(number(SLURM_STEP, &step, 0..)? < FIRST_RESERVED_STEP),
        None => Ok(set(SLURM_JOB).is_none()),
    }
}

fn place(
    set: &dyn Fn(&str) -> Option<String>,
    scheduler: JobScheduler,
    rank_name: &'static str,
    size_name: &'static str,
) -> Result<Option<Ranks>, RanksError> {
    let hint = match scheduler {
        JobScheduler::Kubernetes => COUNT_COMPLETIONS,
        JobScheduler::OpenMpi | JobScheduler::Slurm => STARTED_BY_HAND,
    };
    let size = set(size_name).ok_or(RanksError::Missing {
        present: rank_name,
        missing: size_name,
        hint,
    })?;
    let size = number(size_name, &size, 1..)? as usize;
    let found = set(rank_name).unwrap_or_default();
    let rank = number(rank_name, &found, 0..)?;
    if rank >= size as u64 {
        return Err(RanksError::BadValue {
            variable: rank_name,
            found,
            expected: format!("a rank below {size_name} = {size}"),
            hint,
        });
    }
    Ok((size > 1).then_some(Ranks {
        rank: rank as usize,
        size,
        scheduler,
    }))
}

/// Upper limit of the number of ranks, far beyond any real one.
const MOST_RANKS: u64 = 1_000_000;

fn number(
    variable: &'static str,
    found: &str,
    from: std::ops::RangeFrom<u64>,
) -> Result<u64, RanksError> {
    let most = match variable {
        SLURM_STEP => u64::from(u32::MAX),
        _ => MOST_RANKS,
    };
    let number = found.trim().parse().ok();
    number
        .filter(|number| from.contains(number) && *number <= most)
        .ok_or_else(|| RanksError::BadValue {
            variable,
            found: found.to_owned(),
            expected: format!("a whole number from {} to {most}", from.start),
            hint: "Schedulers set it; for a process started by hand set it to the same values.",
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &str) -> Result<Option<Ranks>, RanksError> {
        Ranks::read(&|name| {
            let mut pairs = variables.split_whitespace().map(|v| v.split_once('='));
            let value = pairs.find_map(|pair| pair.filter(|(key, _)| *key == name))?;
            Some(value.1.to_owned())
        })
    }

    #[test]
    fn each_scheduler_tells_rank_and_size() {
        use JobScheduler::{Kubernetes, OpenMpi, Slurm};
        let batch = "SLURM_JOB_ID=9 SLURM_PROCID=0 SLURM_NTASKS=4";
        for (variables, expected) in [
            ("", None),
            (
                "OMPI_COMM_WORLD_RANK=3 OMPI_COMM_WORLD_SIZE=4",
                Some((3, 4, OpenMpi)),
            ),
            ("OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=1", None),
            ("SLURM_PROCID=1 SLURM_NTASKS=2", Some((1, 2, Slurm))),
            (
                "SLURM_JOB_ID=9 SLURM_STEP_ID=0 SLURM_PROCID=1 SLURM_NTASKS=2",
                Some((1, 2, Slurm)),
            ),
            // A step of fewer tasks than the job.
            (
                "SLURM_JOB_ID=9 SLURM_STEP_ID=3 SLURM_PROCID=1 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=2",
                Some((1, 2, Slurm)),
            ),
            // A batch script outside srun, and the shell that salloc opens on a node.
            (batch, None),
            (&format!("{batch} SLURM_STEP_ID=4294967291"), None),
            (&format!("{batch} SLURM_STEP_ID=4294967290"), None),
            // mpirun in a batch script.
            (
                &format!("{batch} OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=3"),
                Some((2, 3, OpenMpi)),
            ),
            (
                "JOB_COMPLETION_INDEX=0 SERVEMARK_RANKS=2",
                Some((0, 2, Kubernetes)),
            ),
            ("JOB_COMPLETION_INDEX=0 SERVEMARK_RANKS=1", None),
            ("SERVEMARK_RANKS=1", None),
            ("JOB_COMPLETION_INDEX= SERVEMARK_RANKS=", None),
        ] {
            let found = read(variables).expect(variables);
            let found = found.map(|r| (r.rank(), r.size(), r.scheduler()));
            assert_eq!(found, expected, "{variables}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_by_its_variable() {
        for (variables, named) in [
            ("OMPI_COMM_WORLD_RANK=0", "OMPI_COMM_WORLD_SIZE"),
            (
                "OMPI_COMM_WORLD_RANK=x OMPI_COMM_WORLD_SIZE=4",
                "OMPI_COMM_WORLD_RANK",
            ),
            (
                "OMPI_COMM_WORLD_RANK=4 OMPI_COMM_WORLD_SIZE=4",
                "OMPI_COMM_WORLD_RANK",
            ),
            (
                "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=0",
                "OMPI_COMM_WORLD_SIZE",
            ),
            ("SLURM_PROCID=-1 SLURM_NTASKS=2", "SLURM_PROCID"),
            ("SLURM_PROCID=1", "SLURM_NTASKS"),
            (
                "SLURM_PROCID=1 SLURM_NTASKS=2 SLURM_STEP_ID=one",
                "SLURM_STEP_ID",
            ),
            (
                "SLURM_PROCID=5 SLURM_NTASKS=8 SLURM_STEP_NUM_TASKS=2",
                "SLURM_STEP_NUM_TASKS = 2",
            ),
            ("JOB_COMPLETION_INDEX=1", "SERVEMARK_RANKS"),
            (
                "JOB_COMPLETION_INDEX=1 SERVEMARK_RANKS=99999999999",
                "SERVEMARK_RANKS",
            ),
            (
                "JOB_COMPLETION_INDEX=2 SERVEMARK_RANKS=2",
                "JOB_COMPLETION_INDEX",
            ),
            ("SERVEMARK_RANKS=2", "completionMode: Indexed"),
            ("SERVEMARK_RANKS=two", "SERVEMARK_RANKS"),
        ] {
            let error = read(variables).expect_err(variables).to_string();
            assert!(error.contains(named), "{variables}: {error}");
        }
    }
}
