//! Several deployments, one after another: each is booted, measured at every point, and stopped.

use std::error::Error;
use std::process::ExitCode;

use once_cell::unsync::OnceCell;

use super::args::{BenchArgs, Mode};
use super::interrupt::Interrupt;
use super::progress::Progress;
use super::results::{POINT_FAILED, Results};
use super::session::{Session, Track};
use super::workload::NamedPrompt;
use super::{Bench, CANNOT_RUN, preflight, record};
use crate::config::{Api, Config, Deployment, Slo};
use crate::deployment::layouts::{LAYOUTS, Layout};
use crate::fixture::{Fixture, FixtureError};
use crate::ranks::Ranks;
use crate::report;
use crate::results::{self, DeploymentRecord, RecordError};
use crate::verdict::{self, RunSet, Thresholds};

/// A deployment of a session, and what it is measured on while it runs.
pub(super) struct Deployed {
    pub record: DeploymentRecord,
    servers: Servers,
    fixture: Option<Fixture>,
}

/// What is booted.
enum Servers {
    Configured(Deployment),
    Embedded(Layout),
}

impl Deployed {
    fn new(record: DeploymentRecord, servers: Servers) -> Deployed {
        Deployed {
            record,
            servers,
            fixture: None,
        }
    }

    /// What it is measured on; `None` before it is booted.
    pub fn fixture(&self) -> Option<&Fixture> {
        self.fixture.as_ref()
    }

    /// Stops what was booted.
    fn stop(&mut self) {
        self.fixture = None;
    }

    fn boot(&mut self, config: &Config, api: Api) -> Result<(), FixtureError> {
        let logs = results::directory().join("logs");
        self.fixture = Some(match &self.servers {
            Servers::Configured(deployment) => {
                Fixture::of_deployment(config, api, deployment, &logs)?
            }
            Servers::Embedded(layout) => Fixture::of_layout(config, api, layout)?,
        });
        Ok(())
    }
}

/// What the shipped `parameters.json` asks for; layouts differ beyond it.
const SHIPPED_LEVELS: [usize; 3] = [1, 8, 32];

/// Requests in flight at which the embedded layouts show what each is good for.
const LAYOUT_LEVELS: [usize; 3] = [8, 64, 512];

/// A prompt that leaves the embedded layouts some minutes in all.
const LAYOUT_PROMPT: &str = "100";

/// Objectives under which the best embedded layout is another than without.
const LAYOUT_SLO: Slo = Slo {
    ttft: Some(500.0),
    tpot: Some(30.0),
    itl: None,
    e2el: None,
};

/// Runs a bench of deployments as Criterion's command line says.
pub(super) fn run(bench: Bench) -> Result<ExitCode, Box<dyn Error>> {
    // Criterion answers --help and --version, and ends the process.
    let args = BenchArgs::from_env();
    args.check_filter()?;
    let _ = criterion::Criterion::default().configure_from_args();
    let mut config = Config::load()?;
    (bench.configure)(&mut config);
    if let Some(ranks) = Ranks::from_env()? {
        let size = ranks.size();
        return Err(format!("this is one of {size} ranks, but a bench of deployments boots its servers itself: run one process").into());
    }
    if config.ab.is_some() {
        return Err("SERVEMARK_AB is set, but a bench of deployments measures DEPLOYMENTS: unset it, or run chat_throughput".into());
    }
    let embedded = config.deployments.is_empty();
    if embedded {
        suit_layouts(&mut config);
    }
    super::check_results(&args, &bench.name)?;
    config.seed.get_or_insert_with(rand::random);
    let mut prompts = bench.workload.prompts(&config)?;
    if embedded && config.prompt_keys.is_none() && prompts.iter().any(|p| p.key == LAYOUT_PROMPT) {
        prompts.retain(|prompt| prompt.key == LAYOUT_PROMPT);
    }
    let mut whole = Session::new(bench.name, prompts, config, args, None);
    let mut sessions = match embedded {
        true => Vec::from_iter(LAYOUTS.iter().map(|layout| of_layout(&whole, layout))),
        false => {
            let deployments = whole.config.deployments.iter().zip(0..);
            Vec::from_iter(
                deployments.map(|(deployment, at)| of_deployment(&whole, deployment, at)),
            )
        }
    };
    // What the command line leaves out is not booted.
    sessions.retain(|session| session.count_points() > 0);
    let names = sessions
        .iter()
        .map(|session| session.record_name().to_owned());
    whole.deployments = names.collect();
    if sessions.is_empty() {
        whole.say_nothing_matches();
        return Ok(ExitCode::SUCCESS);
    }
    preflight::check(&sessions)?;
    Ok(ExitCode::from(measure(&whole, sessions)))
}

/// Makes a configuration that nobody has changed one that shows what layouts are good for.
fn suit_layouts(config: &mut Config) {
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

/// `at` is its position. All get the same prompts, but for servers that ran before: they may have those
/// of another deployment in their prefix cache.
fn of_deployment(whole: &Session, deployment: &Deployment, at: u64) -> Session {
    let mut config = whole.config.of_deployment(deployment);
    if let (Some(seed), false) = (&mut config.seed, deployment.endpoints().is_empty()) {
        *seed = seed.wrapping_add(at);
    }
    let servers = Servers::Configured(deployment.clone());
    of(whole, config, Deployed::new(deployment.into(), servers))
}

fn of_layout(whole: &Session, layout: &Layout) -> Session {
    let record = DeploymentRecord::from(layout);
    let config = Config {
        num_gpu: record.gpus().and_then(std::num::NonZeroU32::new),
        ..whole.config.clone()
    };
    of(
        whole,
        config,
        Deployed::new(record, Servers::Embedded(*layout)),
    )
}

fn of(whole: &Session, config: Config, deployed: Deployed) -> Session {
    Session {
        name: whole.name.clone(),
        run_id: whole.run_id.clone(),
        prompts: whole.prompts.clone(),
        config,
        args: whole.args.clone(),
        metrics: whole.metrics.clone(),
        meeting: None,
        interrupt: Interrupt::default(),
        deployed: Some(deployed),
        deployments: Vec::new(),
        booted: OnceCell::new(),
    }
}

/// Measures every deployment and reports; the exit code.
fn measure(whole: &Session, mut sessions: Vec<Session>) -> u8 {
    let mut results = Results::default();
    let points: u32 = sessions.iter().map(Session::count_points).sum();
    let points = points * whole.config.runs.get();
    let mut progress = Progress::new(points, whole.args.point_time(), Progress::CRITERION);
    // One Criterion for each group, as all groups stay open: each compares all deployments.
    let mut instruments: Vec<_> = whole.prompts.iter().map(|_| whole.instruments()).collect();
    let open = |(instruments, prompt): (_, &NamedPrompt)| whole.open_tracks(instruments, prompt);
    let mut tracks: Vec<Vec<Track<'_>>> = instruments
        .iter_mut()
        .map(Vec::as_mut_slice)
        .zip(&whole.prompts)
        .map(open)
        .collect();
    sessions.iter().for_each(Session::announce_plan);
    for session in &mut sessions {
        let title = session.title();
        if let Err(error) = measure_one(session, &mut tracks, &mut progress, &mut results) {
            eprintln!("error: {title}: {error}");
            results.fail();
        }
        // Its servers end before those of the next are started.
        session.deployed.iter_mut().for_each(Deployed::stop);
    }
    drop(tracks);
    whole.summarise(
        instruments
            .last()
            .and_then(|instruments| instruments.last()),
    );
    let nothing = results.is_empty() && whole.args.drives_load();
    let code = results.conclude(whole);
    match whole.args.mode() {
        _ if nothing => CANNOT_RUN,
        Mode::Bench if whole.args.drives_load() => match print_verdict(whole, &sessions) {
            Ok(()) => code,
            Err(error) => {
                eprintln!("error: {error}");
                code.max(POINT_FAILED)
            }
        },
        _ => code,
    }
}

/// Boots one deployment and measures it.
fn measure_one(
    session: &mut Session,
    tracks: &mut [Vec<Track<'_>>],
    progress: &mut Progress,
    results: &mut Results,
) -> Result<(), Box<dyn Error>> {
    if session.args.drives_load() {
        eprintln!("\ndeployment {}", session.record_name());
        let api = session.api();
        if let Some(deployed) = &mut session.deployed {
            deployed.boot(&session.config, api)?;
        }
        session.replace_saved();
    }
    let died = || {
        let fixture = session.deployed.as_ref().and_then(Deployed::fixture);
        fixture.and_then(Fixture::died).map_or(Ok(()), Err)
    };
    for (at, tracks) in tracks.iter_mut().enumerate() {
        for point in session.points_of(at) {
            point.run(tracks, progress, results)?;
            died()?;
        }
    }
    session.run_points_again(progress, results)?;
    Ok(died()?)
}

/// Says which deployment is best; of two, what changed from one to the other, too.
fn print_verdict(whole: &Session, sessions: &[Session]) -> Result<(), Box<dyn Error>> {
    let side = |session: &Session| -> Result<RunSet, RecordError> {
        let deployment = session.record_name();
        let records = record::written(session, deployment)?;
        Ok(RunSet::new(deployment, records))
    };
    let sides: Vec<RunSet> = sessions.iter().map(side).collect::<Result<_, _>>()?;
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
