//! A point whose load several ranks share: each drives its part, rank 0 merges and reports.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::args::Mode;
use super::meter::Meter;
use super::part::{Assignment, Driven};
use super::point::Point;
use super::progress::Progress;
use super::record;
use super::results::{Measured, Origin, Results};
use super::session::Ended;
use super::start::new_run_id;
use super::workload::NamedPrompt;
use crate::config::{Config, LoadShape};
use crate::fixture::Fixture;
use crate::load::Window;
use crate::ranks::{Decided, Meeting, MeetingError, Part, Ranks, Share, Span, Start, Together};
use crate::results::{self, RunRecord, file_name};

/// The configuration does not suit a load that ranks share.
#[derive(Debug, thiserror::Error)]
pub(super) enum CannotShare {
    /// Waves.
    #[error(
        "LOAD_SHAPE is \"wave\", but this is rank {rank} of {size}: the requests of a wave wait for each other, which those of different processes cannot. Set LOAD_SHAPE to \"steady\", or run one process"
    )]
    Wave {
        /// This process's rank.
        rank: usize,
        /// How many there are.
        size: usize,
    },
    /// No endpoint.
    #[error(
        "MODEL_ENDPOINTS is empty, but this is rank {rank} of {size}: each rank would boot an engine of its own. Start one with `servemark engine` and put its address into MODEL_ENDPOINTS"
    )]
    Embedded {
        /// This process's rank.
        rank: usize,
        /// How many there are.
        size: usize,
    },
    /// Runs of another kind.
    #[error(
        "{key} is set, but this is rank {rank} of {size}: ranks share the load of one run. Unset it; for several runs, start the ranks several times"
    )]
    Alone {
        /// What is set.
        key: &'static str,
        /// This process's rank.
        rank: usize,
        /// How many there are.
        size: usize,
    },
    /// The ranks did not find each other.
    #[error(transparent)]
    Meeting(#[from] MeetingError),
}

/// Names the directory in which ranks meet.
const RANKS_DIR: &str = "SERVEMARK_RANKS_DIR";

/// Meets the other ranks; from then on `config` has the seed that all of them use.
pub(super) fn meet(
    ranks: Ranks,
    bench: &str,
    prompts: &[NamedPrompt],
    config: &mut Config,
) -> Result<Meeting, CannotShare> {
    let (rank, size) = (ranks.rank(), ranks.size());
    if config.load_shape == LoadShape::Wave {
        return Err(CannotShare::Wave { rank, size });
    }
    let alone = [
        ("SERVEMARK_AB", config.ab.is_some()),
        ("RUNS", config.runs.get() > 1),
        ("PRECISION", config.precision.is_some()),
    ];
    if let Some((key, _)) = alone.into_iter().find(|(_, set)| *set) {
        return Err(CannotShare::Alone { key, rank, size });
    }
    if config.model_endpoints.is_empty() {
        return Err(CannotShare::Embedded { rank, size });
    }
    let directory = match std::env::var_os(RANKS_DIR).filter(|directory| !directory.is_empty()) {
        Some(directory) => PathBuf::from(directory),
        None => results::directory().join(file_name(bench)).join("ranks"),
    };
    if ranks.leads() {
        eprintln!(
            "ranks     {size}, started by {}; they meet in {} within {:.0} s (READY_TIMEOUT)",
            ranks.scheduler(),
            directory.display(),
            config.ready_timeout.as_secs_f64()
        );
    }
    let decided = Decided {
        seed: config.seed.unwrap_or_else(rand::random),
        request_id_prefix: format!("servemark-{:08x}-", rand::random::<u32>()),
        run_id: new_run_id(),
    };
    let plan = plan(bench, prompts, config);
    let meeting = Meeting::join(ranks, &directory, config.ready_timeout, plan, decided)?;
    config.seed = Some(meeting.decided().seed);
    Ok(meeting)
}

/// What must be the same in all ranks. Paths may differ from machine to machine.
fn plan(bench: &str, prompts: &[NamedPrompt], config: &Config) -> Value {
    let mut plan = config.public_json();
    if let Some(plan) = plan.as_object_mut() {
        for path in ["CONFIG", "TOKENIZER_PATH", "INPUT_FILE"] {
            plan.remove(path);
        }
        let keys: Vec<&str> = prompts.iter().map(|prompt| &*prompt.key).collect();
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        plan.insert("benchmark".into(), bench.into());
        plan.insert("prompts".into(), keys.into());
        plan.insert("arguments".into(), arguments.into());
        plan.insert(
            "version of servemark".into(),
            env!("CARGO_PKG_VERSION").into(),
        );
    }
    plan
}

/// What the ranks have agreed on for a point.
enum Agreed {
    /// It does not start, for this reason.
    Not(String),
    /// It starts, but there are more ranks than requests in flight: this one has no part.
    Idle,
    /// It starts.
    Go(Box<Assignment>),
}

impl Point<'_> {
    /// As rank 0: drives its part, merges all parts, and keeps what came of them. Returns the windows.
    pub(super) fn lead(
        &self,
        meeting: &Meeting,
        progress: &mut Progress,
        results: &mut Results,
    ) -> Result<Vec<Window>, Ended> {
        let fixture = self.session.fixture()?;
        progress.announce(self, &fixture.describe());
        let assignment = match self.agree(meeting, fixture)? {
            Agreed::Go(assignment) => *assignment,
            Agreed::Not(message) => {
                results.add_unmeasured(self, fixture, "not started", message);
                return Ok(Vec::new());
            }
            // Not rank 0, which has a part of every load.
            Agreed::Idle => return Ok(Vec::new()),
        };
        let measured = self
            .drive(meeting, fixture, assignment, &progress.meter())
            .and_then(|(own, driven)| Ok((driven, self.gather(meeting, own)?)));
        let (driven, parts) = measured.inspect_err(|error| {
            results.add_unmeasured(self, fixture, "part missing", error.to_string());
        })?;
        progress.point_done();
        Ok(self.keep(fixture, results, driven, parts))
    }

    /// Merges the parts into what one process would have measured, and keeps it. Returns the windows if
    /// there are enough for Criterion.
    fn keep(
        &self,
        fixture: &Fixture,
        results: &mut Results,
        driven: Driven,
        parts: Vec<Part>,
    ) -> Vec<Window> {
        let together = Together::of(
            parts,
            Span {
                warm_up: self.session.args.sampling().warm_up,
                stop_unix_ns: driven.stop_unix_ns,
                concurrency: self.concurrency.get(),
                samples: self.session.args.sampling().windows,
            },
        );
        for note in &together.notes {
            results.note(&self.name(), note);
        }
        let success = |window: &Window| window.completed().next().is_some();
        if together.windows.iter().any(success) && !together.windows.iter().all(success) {
            results.ended_early(&self.name());
        }
        let short = together.windows.len() < self.session.args.sampling().windows;
        if short || together.ranks.iter().any(|rank| rank.gave_out_ns.is_some()) {
            results.fail();
        }
        let measured = Measured {
            prompt_tokens: driven.prompt_tokens,
            windows: &together.windows,
            endpoints: &fixture.endpoints,
            servers: driven.servers,
            self_check: together.self_check,
            origin: Origin::Ranks {
                ranks: together.ranks,
                clock_unix_ns: together.clock_unix_ns,
            },
        };
        results.add(self, fixture, measured);
        match short {
            // Criterion would take repeated windows for new ones.
            true => Vec::new(),
            false => together.windows,
        }
    }

    /// As another rank: drives its part and leaves it to rank 0.
    pub(super) fn follow(&self, meeting: &Meeting) -> Result<(), Ended> {
        let fixture = self.session.fixture()?;
        let did = match self.agree(meeting, fixture)? {
            Agreed::Not(why) => format!("not started: {why}"),
            Agreed::Idle => "more ranks than requests in flight, nothing to do".to_owned(),
            Agreed::Go(assignment) => {
                let (part, _) = self.drive(meeting, fixture, *assignment, &Meter::NONE)?;
                let Part { rank, requests, .. } = &part;
                format!(
                    "{} of {} in flight, {} requests, began {:.1} ms after the common instant",
                    rank.concurrency,
                    self.concurrency,
                    requests.len(),
                    rank.start_lag_ms
                )
            }
        };
        let (rank, size) = (meeting.ranks().rank(), meeting.ranks().size());
        // In one piece, as the ranks may share a terminal.
        let line = format!("rank {rank} of {size}: {}: {did}\n", self.name());
        eprint!("{line}");
        Ok(())
    }

    /// Prepares this rank's part and agrees with the others on when it starts.
    fn agree(&self, meeting: &Meeting, fixture: &Fixture) -> Result<Agreed, MeetingError> {
        let share = Share::of(meeting.ranks(), self.concurrency);
        let prepared = share.map(|share| {
            let source = self.source(fixture)?;
            let tokens = source.tokens();
            let target = self.target(fixture, &fixture.endpoints, source, &share);
            target
                .map(|target| (share, tokens, target))
                .map_err(|error| error.to_string())
        });
        let prepared = prepared.transpose();
        let problem = prepared.as_ref().err().map(String::as_str);
        let start = meeting.start(u64::from(self.ordinal), problem)?;
        Ok(match (start, prepared) {
            (Start::Not(reason), _) | (Start::At(_), Err(reason)) => Agreed::Not(reason),
            (Start::At(_), Ok(None)) => Agreed::Idle,
            (Start::At(at_unix_ns), Ok(Some((share, prompt_tokens, target)))) => {
                Agreed::Go(Box::new(Assignment {
                    share,
                    prompt_tokens,
                    target,
                    at_unix_ns,
                }))
            }
        })
    }

    /// Rank 0's own part, and those of the other ranks as they come. In a measurement their records are
    /// kept beside the point's. After one is missing, what is there already is still kept.
    fn gather(&self, meeting: &Meeting, own: Part) -> Result<Vec<Part>, MeetingError> {
        let keep = (self.session.args.mode() == Mode::Bench).then(|| record::path(self, "new"));
        keep.iter().for_each(|record| forget_parts(record));
        let keep = keep.as_deref();
        self.keep_part(meeting, 0, keep)?;
        let mut parts = vec![own];
        let mut missing = None;
        for rank in 1..Share::count(meeting.ranks(), self.concurrency) {
            let came = match &missing {
                None => meeting.wait_for_part(u64::from(self.ordinal), rank),
                Some(_) if meeting.part(u64::from(self.ordinal), rank).exists() => Ok(()),
                Some(_) => continue,
            };
            let part = came.and_then(|()| self.keep_part(meeting, rank, keep));
            match part.map(|record| Part::of(&record)) {
                Ok(part) => parts.extend(part),
                Err(error) => missing = missing.or(Some(error)),
            }
        }
        for part in &mut parts[1..] {
            let ahead_ms = meeting.clock_ahead_ms(part.rank.rank);
            if ahead_ms > 0.0 {
                part.rank.clock_behind_ms = -ahead_ms;
            }
        }
        missing.map_or(Ok(parts), Err)
    }

    /// Reads a rank's record and puts it beside the point's, if that is kept.
    fn keep_part(
        &self,
        meeting: &Meeting,
        rank: usize,
        beside: Option<&Path>,
    ) -> Result<RunRecord, MeetingError> {
        let path = meeting.part(u64::from(self.ordinal), rank);
        let record = RunRecord::read(&path)?;
        if let Some(beside) = beside {
            let name = format!("{KEPT_PART}{rank}-of-{}.json", meeting.ranks().size());
            results::write_atomically(&beside.with_file_name(name), &std::fs::read(&path)?)?;
        }
        Ok(record)
    }
}

/// Takes away the parts that an earlier run has kept beside a record; it may have had more ranks.
fn forget_parts(record: &Path) {
    let kept = record
        .parent()
        .and_then(|directory| std::fs::read_dir(directory).ok());
    for file in kept.into_iter().flatten().flatten() {
        if file.file_name().to_string_lossy().starts_with(KEPT_PART) {
            // One that stays is overwritten, or is older than the record, as its time says.
            let _ = std::fs::remove_file(file.path());
        }
    }
}

/// Begin of the names of the kept records of parts: `new.rank-2-of-4.json`.
const KEPT_PART: &str = "new.rank-";
