use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::gpus::{self, AssignedGpus};
use super::ports::{self, Port};
use super::supervisor::{self, Supervised, lock};
use super::{DeploymentError, log};
use crate::config::{Blanks, Deployment, EndpointUrl, Launch, ServerSource};
use crate::endpoint::EndpointError;

/// Interval at which running servers are polled.
const POLL: Duration = Duration::from_millis(50);

/// How often a server is started if another process has taken its port.
const MOST_STARTS: u32 = 3;

/// The running servers of a deployment. Dropping it stops them.
#[derive(Debug)]
pub struct Running {
    deployment: Deployment,
    launch: Launch,
    model: String,
    gpus: Vec<AssignedGpus>,
    logs: PathBuf,
    replicas: Vec<RunningReplica>,
}

/// A replica's command line and variables, with all blanks filled in.
struct FilledCommand {
    words: Vec<String>,
    variables: Vec<(String, String)>,
}

impl FilledCommand {
    /// The variables by which the entry itself chooses GPUs, without variables that a shell would expand.
    fn gpus(&self) -> Vec<(String, String)> {
        let is_known = |(name, value): &(String, String)| {
            gpus::VARIABLES.contains(&name.as_str()) && !value.contains(['$', '`'])
        };
        let in_words = self.words.iter().flat_map(|word| gpus::set_in(word));
        let all = self.variables.iter().cloned().chain(in_words);
        all.filter(is_known).collect()
    }
}

/// The GPUs of each replica.
fn gpus_of(deployment: &Deployment, launch: &Launch) -> Result<Vec<AssignedGpus>, DeploymentError> {
    let sets = |(name, _): &(String, _)| gpus::VARIABLES.contains(&name.as_str());
    // Whether a variable is set does not depend on the values of blanks.
    let blanks = Blanks {
        model: "",
        port: 0,
        tp: 1,
        gpus: "",
        replica: 0,
        name: "",
    };
    let mut words = launch.command.iter().map(|word| word.fill(&blanks));
    let request = gpus::GpuRequest {
        deployment: &deployment.name,
        replicas: launch.replicas.get(),
        per_replica: deployment.gpus_per_replica.map(|n| n.get() as usize),
        chooses_itself: launch.uses_gpus()
            || launch.env.iter().any(sets)
            || words.any(|word| !gpus::set_in(&word).is_empty()),
        wants_numbers: launch.uses_gpus(),
    };
    gpus::assign(request, &|name| std::env::var(name).ok())
}

#[derive(Debug)]
struct RunningReplica {
    server: Supervised,
    port: u16,
    starts: u32,
}

impl Running {
    /// Starts every replica of `deployment`; `None` where its servers run already. `model` is
    /// `MODEL_PATH`; `logs` is the directory of their logs, `<deployment>-<replica>.log`.
    ///
    /// Must be called from a thread that outlives the servers: on Linux they end with it.
    ///
    /// # Errors
    /// [`DeploymentError`] for a program that cannot be run, or a port, log or GPU that it lacks.
    pub fn start(
        deployment: &Deployment,
        model: Option<&str>,
        logs: &Path,
    ) -> Result<Option<Running>, DeploymentError> {
        let ServerSource::Launched(launch) = &deployment.servers else {
            return Ok(None);
        };
        let count = launch.replicas.get();
        let mut running = Running {
            gpus: gpus_of(deployment, launch)?,
            deployment: deployment.clone(),
            launch: launch.clone(),
            model: model.unwrap_or_default().to_owned(),
            logs: logs.to_owned(),
            replicas: Vec::with_capacity(count),
        };
        running.warn_about_gpus();
        let ports = (0..count).map(|_| Port::reserve());
        let ports: Vec<Port> = ports
            .collect::<Result<_, _>>()
            .map_err(DeploymentError::Port)?;
        for (at, port) in ports.into_iter().enumerate() {
            let replica = running.start_replica(at, port, 1)?;
            running.replicas.push(replica);
        }
        Ok(Some(running))
    }

    fn start_replica(
        &self,
        at: usize,
        port: Port,
        starts: u32,
    ) -> Result<RunningReplica, DeploymentError> {
        let FilledCommand { words, variables } = self.fill(at, port.number());
        // The configuration refuses a command without a word.
        let program = words.first().cloned().unwrap_or_default();
        let mut command = Command::new(&program);
        command.args(words.iter().skip(1));
        command.envs(
            self.gpus[at]
                .variables
                .iter()
                .map(|(name, value)| (name, value)),
        );
        command.envs(variables);
        let path = log::path(&self.logs, &self.deployment.name, at);
        let file = log::create(&path).map_err(|source| DeploymentError::Log {
            path: path.display().to_string(),
            source,
        })?;
        let failed = |source: std::io::Error| DeploymentError::Spawn {
            deployment: self.deployment.name.clone(),
            program,
            hint: match source.kind() {
                std::io::ErrorKind::NotFound => {
                    "Give the path of a program, or one that is in PATH; no shell is used"
                }
                _ => "Is it an executable program?",
            },
            source,
        };
        let port = port.release();
        let server = supervisor::start(command, &path, file, failed)?;
        Ok(RunningReplica {
            server,
            port,
            starts,
        })
    }

    /// Fills in the command and the variables of a replica.
    fn fill(&self, at: usize, port: u16) -> FilledCommand {
        let blanks = Blanks {
            model: &self.model,
            port,
            tp: self.deployment.gpus_per_replica.map_or(1, |n| n.get()),
            gpus: &self.gpus[at].numbers,
            replica: at,
            name: &self.deployment.name,
        };
        let variables = self.launch.env.iter();
        let variables = variables.map(|(name, value)| (name.clone(), value.fill(&blanks)));
        FilledCommand {
            words: self
                .launch
                .command
                .iter()
                .map(|w| w.fill(&blanks))
                .collect(),
            variables: variables.collect(),
        }
    }

    /// Warns before the boot if replicas share GPUs, or if their number is assumed.
    fn warn_about_gpus(&self) {
        let name = &self.deployment.name;
        let replicas = (0..self.launch.replicas.get()).map(|at| self.fill(at, 0).gpus());
        if let Some(shared) = gpus::shared(&Vec::from_iter(replicas)) {
            eprintln!(
                "warning: deployment {name}: {shared}: the figures will be of servers that share GPUs"
            );
        }
        let [first, _, ..] = &self.gpus[..] else {
            return;
        };
        if self.deployment.gpus_per_replica.is_none() && !first.variables.is_empty() {
            let each = self.gpus.iter().map(|gpus| gpus.numbers.as_str());
            eprintln!(
                "note: deployment {name}: gpus_per_replica is not set, so each replica gets one GPU \
                 (CUDA_VISIBLE_DEVICES: {})",
                Vec::from_iter(each).join("; ")
            );
        }
    }

    /// The addresses of the replicas, in their order.
    pub fn urls(&self) -> Vec<EndpointUrl> {
        let url = |replica: &RunningReplica| {
            let url = EndpointUrl::parse(&format!("http://127.0.0.1:{}", replica.port));
            url.expect("an address and a port are a URL")
        };
        self.replicas.iter().map(url).collect()
    }

    /// Waits until a server ends unexpectedly. Returns the position of the first.
    pub async fn death(&self) -> usize {
        loop {
            if let Some(dead) = self.dead() {
                return dead;
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The error of a server that has ended; `None` while all run.
    pub fn died(&self) -> Option<DeploymentError> {
        self.dead().map(|at| self.report_death(at))
    }

    fn dead(&self) -> Option<usize> {
        let ended = |replica: &RunningReplica| lock(&replica.server).ended().is_some();
        self.replicas.iter().position(ended)
    }

    /// Restarts a server that ended because another process had taken its port.
    ///
    /// # Errors
    /// [`DeploymentError::Died`] if it ended for another reason, or too often.
    pub(crate) fn restart(&mut self, at: usize) -> Result<(), DeploymentError> {
        let RunningReplica { port, starts, .. } = self.replicas[at];
        if starts >= MOST_STARTS || !ports::is_taken(port) {
            return Err(self.report_death(at));
        }
        let port = Port::reserve().map_err(DeploymentError::Port)?;
        self.replicas[at] = self.start_replica(at, port, starts + 1)?;
        Ok(())
    }

    fn report_death(&self, at: usize) -> DeploymentError {
        supervisor::wait_if_ending();
        let mut server = lock(&self.replicas[at].server);
        DeploymentError::Died {
            server: self.server_name(at),
            status: match server.ended() {
                Some(status) => status.to_string(),
                None => "no status".to_owned(),
            },
            log: server.log().display().to_string(),
            tail: log::tail(server.log()),
        }
    }

    fn server_name(&self, at: usize) -> String {
        format!("deployment {}, replica {at}", self.deployment.name)
    }

    /// The error for servers that run but cannot be used, with the last lines of their logs.
    pub(crate) fn not_ready(&self, error: EndpointError) -> DeploymentError {
        let each = self.replicas.iter().enumerate().map(|(at, replica)| {
            let server = lock(&replica.server);
            let (name, path) = (self.server_name(at), server.log().display());
            format!(
                "{name}: the end of its log {path}:\n{}",
                log::tail(server.log())
            )
        });
        DeploymentError::NotReady {
            deployment: self.deployment.name.clone(),
            error: Box::new(error),
            logs: Vec::from_iter(each).join("\n"),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let servers = self.replicas.iter().map(|replica| replica.server.clone());
        supervisor::stop(&Vec::from_iter(servers));
        supervisor::wait_if_ending();
    }
}
