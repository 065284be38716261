//! A point whose load several ranks share: each drives its part, rank 0 merges and reports.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::budget::Spent;
use super::distributed_part::{Assignment, Driven, Stopped, drive};
use super::interruptible_load::serving;
use crate::bench::context::{Aborted, new_run_id};
use crate::bench::criterion::Mode;
use crate::bench::outcome::{self, DrivenBy, Measured, Results};
use crate::bench::point::Point;
use crate::bench::progress::{Meter, Progress};
use crate::config::Settings;
use crate::fixture::Fixture;
use crate::interrupt::Interrupt;
use crate::load::{WAVE, Window};
use crate::prompt::{NamedPrompt, Side};
use crate::ranks::{
    Decided, MeasuredInterval, Meeting, MeetingError, MergedRun, RankRequests, Ranks, Share, Start,
};
use crate::results::{self, RunRecord, file_name};
use crate::signals::Signal;

/// The configuration does not suit a load that ranks share.
#[derive(Debug, thiserror::Error)]
pub enum CannotShare {
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
        /// The key that is set.
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
pub fn meet(
    ranks: Ranks,
    bench: &str,
    prompts: &[NamedPrompt],
    config: &mut Settings,
    interrupt: &Interrupt,
) -> Result<Meeting, CannotShare> {
    let (rank, size) = (ranks.rank(), ranks.size());
    if *config.load_shape == WAVE {
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
    let timeout = config.ready_timeout;
    let meeting = Meeting::join(ranks, &directory, timeout, plan, decided, interrupt)?;
    config.seed = Some(meeting.decided().seed);
    Ok(meeting)
}

/// Returns the settings that must be equal in all ranks.
fn plan(bench: &str, prompts: &[NamedPrompt], config: &Settings) -> Value {
    let mut plan = config.shared_settings();
    let keys: Vec<&str> = prompts.iter().map(|prompt| &*prompt.key).collect();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    plan.insert("benchmark".into(), bench.into());
    plan.insert("prompts".into(), keys.into());
    plan.insert("arguments".into(), arguments.into());
    plan.insert(
        "version of servemark".into(),
        env!("CARGO_PKG_VERSION").into(),
    );
    Value::Object(plan)
}

/// The ranks' agreement on a point.
enum Agreed {
    /// It does not start, for this reason.
    NotStarted(String),
    /// It starts, but there are more ranks than requests in flight: this one has no part.
    Idle,
    /// It starts.
    Started(Box<Assignment>),
}

/// As rank 0: drives its part, merges all parts, and keeps the result. Returns the windows.
pub fn lead(
    point: &Point<'_>,
    meeting: &Meeting,
    progress: &mut Progress,
    results: &mut Results,
) -> Result<Vec<Window>, Aborted> {
    let (fixture, info) = (point.context.fixture()?, &point.info);
    progress.announce(info, &fixture.describe());
    let assignment = match agree(point, meeting, fixture)? {
        Agreed::Started(assignment) => *assignment,
        Agreed::NotStarted(message) => {
            match point.context.interrupt.why_partial() {
                Some(why) => results.not_measured(&info.name(), &why),
                None => results.add_unmeasured(info, fixture, "not started", message),
            }
            return Ok(Vec::new());
        }
        // Not rank 0, which has a part of every load.
        Agreed::Idle => return Ok(Vec::new()),
    };
    let measured = drive(point, meeting, fixture, assignment, &progress.meter())
        .and_then(|(own, driven)| Ok((driven, gather(point, meeting, own)?)));
    let (driven, parts) = measured.inspect_err(|error| {
        results.add_unmeasured(info, fixture, "part missing", error.to_string());
    })?;
    progress.point_done();
    Ok(keep(point, fixture, results, driven, parts))
}

/// Merges the parts into what one process would have measured, and keeps it. Returns the windows if there are
/// enough for Criterion.
fn keep(
    point: &Point<'_>,
    fixture: &Fixture,
    results: &mut Results,
    driven: Driven,
    parts: Vec<RankRequests>,
) -> Vec<Window> {
    let (sampling, name) = (point.context.args.sampling(), point.info.name());
    let stopped = &driven.enough.remarks;
    let partial = partial(stopped, &point.context.interrupt);
    let merged = MergedRun::of(
        parts,
        MeasuredInterval {
            warm_up: sampling.warm_up,
            stop_unix_ns: driven.enough.at_unix_ns,
            round: point.round(),
            samples: sampling.windows,
            is_partial: partial.is_some(),
        },
    );
    for note in &merged.notes {
        results.note(&name, note);
    }
    let success = Window::has_success;
    if let (Some(why), false) = (&partial, merged.windows.iter().any(success)) {
        results.not_measured(&name, why);
        return Vec::new();
    }
    if merged.windows.iter().any(success) && !merged.windows.iter().all(success) {
        results.ended_early(&name);
    }
    let is_short = merged.windows.len() < sampling.windows;
    // A window without a success tells of failures alone.
    let succeeded = merged.windows.iter().filter(|window| success(window));
    if let Some(note) = over_time(stopped, succeeded.count(), sampling.windows) {
        results.over_time(&name, &note);
    }
    if is_short || merged.ranks.iter().any(|rank| rank.aborted_at_ns.is_some()) {
        results.fail();
    }
    let (endpoints, windows) = (&fixture.endpoints, merged.windows);
    let measured = Measured {
        lengths: driven.lengths,
        expected: point.template(fixture, endpoints).expected_answer(),
        windows: &windows,
        endpoints,
        servers: driven.servers,
        self_check: merged.self_check,
        outages: outcome::outages(&windows, endpoints, Some(&merged.unanswered)),
        origin: DrivenBy::Distributed {
            ranks: merged.ranks,
            clock_unix_ns: merged.clock_unix_ns,
        },
        partial,
    };
    results.add(&point.info, fixture, measured);
    match is_short {
        // Criterion would take repeated windows for new ones.
        true => Vec::new(),
        false => windows,
    }
}

/// Why the point is partial: a signal ended some rank's part before it was complete.
fn partial(stopped: &[Option<Stopped>], interrupt: &Interrupt) -> Option<String> {
    let mut stopped = stopped.iter().flatten();
    let signal = stopped.find_map(|stopped| match stopped {
        Stopped::Interrupted { signal } => Signal::numbered(*signal),
        Stopped::OverTime(_) => None,
    })?;
    // The other rank's signal may not have been passed on yet.
    interrupt.follow(signal);
    interrupt.why_partial()
}

/// The note of a point of which some ranks' budgets were over; these are given by rank.
fn over_time(stopped: &[Option<Stopped>], windows: usize, wanted: usize) -> Option<String> {
    let ranks = stopped.iter().enumerate();
    let spent = ranks.filter_map(|(rank, stopped)| match stopped {
        Some(Stopped::OverTime(budget)) => Some((rank.to_string(), *budget)),
        _ => None,
    });
    let (ranks, budgets): (Vec<_>, Vec<_>) = spent.unzip();
    let longest = budgets.iter().max_by_key(|budget| budget.whole())?;
    let note = Spent::Windows(*longest).describe(windows, wanted);
    let plural = if ranks.len() == 1 { "" } else { "s" };
    Some(format!("rank{plural} {}: {note}", ranks.join(", ")))
}

/// As another rank: drives its part and leaves it to rank 0.
pub fn follow(point: &Point<'_>, meeting: &Meeting) -> Result<(), Aborted> {
    let fixture = point.context.ready_fixture()?;
    let done = match agree(point, meeting, fixture)? {
        Agreed::NotStarted(why) => format!("not started: {why}"),
        Agreed::Idle => "more ranks than requests in flight, nothing to do".to_owned(),
        Agreed::Started(assignment) => {
            let (part, _) = drive(point, meeting, fixture, *assignment, &Meter::NONE)?;
            let RankRequests { rank, requests, .. } = &part;
            format!(
                "{} of {} in flight, {} requests, began {:.1} ms after the common instant",
                rank.concurrency,
                point.most_in_flight(),
                requests.len(),
                rank.start_lag_ms
            )
        }
    };
    let (rank, size) = (meeting.ranks().rank(), meeting.ranks().size());
    // In one piece, as the ranks may share a terminal.
    let line = format!("rank {rank} of {size}: {}: {done}\n", point.info.name());
    eprint!("{line}");
    Ok(())
}

/// Prepares this rank's part and agrees with the others on when it starts.
fn agree(point: &Point<'_>, meeting: &Meeting, fixture: &Fixture) -> Result<Agreed, MeetingError> {
    let share = Share::of(meeting.ranks(), point.most_in_flight());
    let prepared = share.map(|share| {
        let requests = point.requests(fixture, Side::First)?;
        let lengths = requests.source.lengths();
        let target = serving(point, fixture, &fixture.endpoints, requests, &share)?;
        Ok((share, lengths, target))
    });
    let prepared: Result<_, String> = prepared.transpose();
    let problem = prepared.as_ref().err().map(String::as_str);
    let start = meeting.start(u64::from(point.info.ordinal), problem)?;
    Ok(match (start, prepared) {
        (Start::Not(reason), _) | (Start::At(_), Err(reason)) => Agreed::NotStarted(reason),
        (Start::At(_), Ok(None)) => Agreed::Idle,
        (Start::At(at_unix_ns), Ok(Some((share, lengths, target)))) => {
            Agreed::Started(Box::new(Assignment {
                share,
                lengths,
                target,
                at_unix_ns,
            }))
        }
    })
}

/// Collects rank 0's own part and the parts of the other ranks. A measurement keeps their records beside the
/// point's, even if a later rank's part is missing.
fn gather(
    point: &Point<'_>,
    meeting: &Meeting,
    own: RankRequests,
) -> Result<Vec<RankRequests>, MeetingError> {
    let ordinal = u64::from(point.info.ordinal);
    let keep = (point.info.mode == Mode::Bench).then(|| point.info.record_path("new"));
    keep.iter().for_each(|record| forget_parts(record));
    let keep_part = |rank| keep_part(meeting, ordinal, rank, keep.as_deref());
    keep_part(0)?;
    let mut parts = vec![own];
    let mut missing = None;
    for rank in 1..Share::count(meeting.ranks(), point.most_in_flight()) {
        let path = meeting.part(ordinal, rank);
        let came = match &missing {
            None => meeting.wait_for_part(ordinal, rank),
            Some(_) if path.exists() => Ok(()),
            Some(_) => continue,
        };
        let part = came.and_then(|()| {
            let part = RankRequests::of(RunRecord::read(&path)?);
            keep_part(rank)?;
            Ok(part)
        });
        match part {
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

/// Puts a rank's record beside the point's, if that is kept.
fn keep_part(
    meeting: &Meeting,
    ordinal: u64,
    rank: usize,
    beside: Option<&Path>,
) -> Result<(), MeetingError> {
    let Some(beside) = beside else {
        return Ok(());
    };
    let mut part = File::open(meeting.part(ordinal, rank))?;
    let name = format!("{KEPT_PART}{rank}-of-{}.json", meeting.ranks().size());
    let copy = |to: &mut dyn Write| io::copy(&mut part, to).map(drop);
    Ok(results::write_in_pieces(
        &beside.with_file_name(name),
        copy,
    )?)
}

/// Takes away the parts that an earlier run has kept beside a record; it may have had more ranks.
fn forget_parts(record: &Path) {
    let kept = record
        .parent()
        .and_then(|directory| std::fs::read_dir(directory).ok());
    for file in kept.into_iter().flatten().flatten() {
        if file.file_name().to_string_lossy().starts_with(KEPT_PART) {
            // A file left behind is overwritten, or its time shows that it is older than the record.
            let _ = std::fs::remove_file(file.path());
        }
    }
}

/// Start of the names of the kept records of parts: `new.rank-2-of-4.json`.
const KEPT_PART: &str = "new.rank-";
