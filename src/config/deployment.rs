//! Servers under a name: `DEPLOYMENTS`.

use std::num::{NonZeroU32, NonZeroUsize};

use serde_json::{Map, Value};

use super::keys::{self, nearest};
use super::reader::Reader;
use super::template::{Blank, Template};
use super::value::{self, Fault, Parsed, kind, shown};
use super::{Balancing, Config, EndpointUrl};

/// Servers under a name, measured together: a layout of a model over GPUs, or a version of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Letters, digits, dots, dashes and underscores; fit for a file and a baseline.
    pub name: String,
    /// Its servers, or how they are started.
    pub servers: Servers,
    /// GPUs of each replica; `None` where unknown.
    pub gpus_per_replica: Option<NonZeroU32>,
    /// A label of the user's own for what runs there, such as a version.
    pub version: Option<String>,
    /// Balancing in place of `BALANCING`.
    pub balancing: Option<Balancing>,
    /// Whether texts are checked, in place of `SAFE_CHECK`.
    pub safe_check: Option<bool>,
}

/// Where the servers of a deployment come from.
#[derive(Clone, Debug, PartialEq)]
pub enum Servers {
    /// They run already; never empty.
    Listed(Vec<EndpointUrl>),
    /// The harness starts and stops them.
    Launched(Launch),
}

/// How the servers of a deployment are started.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// How many.
    pub replicas: NonZeroUsize,
    /// Program and arguments; never empty. They are run without a shell.
    pub command: Vec<Template>,
    /// Variables added to the harness's own environment.
    pub env: Vec<(String, Template)>,
}

impl Launch {
    /// Whether its command or variables have the blank `{gpus}`: it then gives the GPUs to the server itself.
    pub fn uses_gpus(&self) -> bool {
        let variables = self.env.iter().map(|(_, value)| value);
        let mut templates = self.command.iter().chain(variables);
        templates.any(|template| template.has(Blank::Gpus))
    }
}

impl Deployment {
    /// Servers that run already.
    pub(super) fn listed(name: String, endpoints: Vec<EndpointUrl>) -> Deployment {
        Deployment {
            name,
            servers: Servers::Listed(endpoints),
            gpus_per_replica: None,
            version: None,
            balancing: None,
            safe_check: None,
        }
    }

    /// The addresses of servers that run already; none of those that are started.
    pub fn endpoints(&self) -> &[EndpointUrl] {
        match &self.servers {
            Servers::Listed(endpoints) => endpoints,
            Servers::Launched(_) => &[],
        }
    }

    /// How many servers there are.
    pub fn replicas(&self) -> usize {
        match &self.servers {
            Servers::Listed(endpoints) => endpoints.len(),
            Servers::Launched(launch) => launch.replicas.get(),
        }
    }

    /// GPUs of all replicas together, where known.
    pub fn gpus(&self) -> Option<NonZeroU32> {
        let replicas = u32::try_from(self.replicas()).ok()?;
        self.gpus_per_replica?
            .checked_mul(NonZeroU32::new(replicas)?)
    }
}

impl Config {
    /// What holds while `deployment` is measured: its endpoints, GPUs, balancing and safety check in
    /// the place of this configuration's own.
    pub fn of_deployment(&self, deployment: &Deployment) -> Config {
        Config {
            model_endpoints: deployment.endpoints().to_vec(),
            num_gpu: deployment.gpus().or(self.num_gpu),
            balancing: deployment.balancing.unwrap_or(self.balancing),
            safety: match deployment.safe_check {
                None => self.safety.clone(),
                Some(false) => None,
                Some(true) => self.deployment_safety.clone(),
            },
            deployments: Vec::new(),
            ..self.clone()
        }
    }
}

/// What is wrong with the name of a deployment, if something is.
pub(super) fn name_fault(name: &str) -> Option<String> {
    /// Criterion's own; `new` is the latest run, as it is for `servemark compare`.
    const TAKEN: [&str; 3] = ["base", "change", "report"];
    const LONGEST: usize = 40;
    let right = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(right) {
        return Some(format!("the name {name:?}, which cannot name a file"));
    }
    if TAKEN.contains(&name) {
        return Some(format!("the name {name:?}, which Criterion uses itself"));
    }
    (name.len() > LONGEST).then(|| format!("the name {name:?}, of more than {LONGEST} characters"))
}

/// `DEPLOYMENTS`. `model` is what `MODEL_PATH` gave.
pub(super) fn read_all(
    reader: &mut Reader<'_>,
    model: Option<&Option<String>>,
) -> Option<Vec<Deployment>> {
    // A MODEL_PATH that is wrong is reported itself.
    let has_model = model.is_none_or(Option::is_some);
    reader.value(&keys::DEPLOYMENTS, |value| list(value, has_model))
}

fn list(value: &Value, has_model: bool) -> Parsed<Vec<Deployment>> {
    let entries = value.as_array().ok_or_else(|| Fault::saying(kind(value)))?;
    let mut deployments: Vec<Deployment> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let deployment = one(entry, has_model)
            .map_err(|fault| Fault::saying(format!("in entry {}, {}", at + 1, fault.found)))?;
        if deployments.iter().any(|d| d.name == deployment.name) {
            return Err(Fault::saying(format!(
                "the name {:?} twice",
                deployment.name
            )));
        }
        deployments.push(deployment);
    }
    Ok(deployments)
}

const FIELDS: [&str; 9] = [
    "name",
    "replicas",
    "gpus_per_replica",
    "command",
    "env",
    "endpoints",
    "version",
    "balancing",
    "safe_check",
];

fn one(entry: &Value, has_model: bool) -> Parsed<Deployment> {
    let fields = entry
        .as_object()
        .ok_or_else(|| Fault::saying(kind(entry)))?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let hint = match nearest(unknown, FIELDS) {
            Some(name) => format!("did you mean {name:?}?"),
            None => format!("there are {}", FIELDS.join(", ")),
        };
        return Err(Fault::saying(format!(
            "the unknown field {unknown:?}; {hint}"
        )));
    }
    let name = required(fields, "name", value::text)?;
    if let Some(fault) = name_fault(&name) {
        return Err(Fault::saying(fault));
    }
    let gpus_per_replica = field(fields, "gpus_per_replica", |v| value::count_u32(v, 1024))?;
    let servers = servers(fields, has_model, gpus_per_replica.is_some())
        .map_err(|fault| Fault::saying(format!("{name}: {}", fault.found)))?;
    Ok(Deployment {
        servers,
        gpus_per_replica,
        version: field(fields, "version", value::text)?,
        balancing: field(fields, "balancing", value::balancing)?,
        safe_check: field(fields, "safe_check", value::flag)?,
        name,
    })
}

fn servers(fields: &Map<String, Value>, has_model: bool, has_gpus: bool) -> Parsed<Servers> {
    let endpoints = field(fields, "endpoints", value::endpoints)?;
    let command = field(fields, "command", command)?;
    let launch = match (endpoints, command) {
        (Some(_), Some(_)) => return Err(Fault::saying("both endpoints and a command")),
        (None, None) => return Err(Fault::saying("neither endpoints nor a command")),
        (Some(endpoints), None) if endpoints.is_empty() => {
            return Err(Fault::saying("an empty list of endpoints"));
        }
        (Some(endpoints), None) => {
            let of_commands = ["replicas", "env"];
            return match of_commands
                .into_iter()
                .find(|name| fields.contains_key(*name))
            {
                Some(name) => Err(Fault::saying(format!("{name} beside endpoints"))),
                None => Ok(Servers::Listed(endpoints)),
            };
        }
        (None, Some(command)) => Launch {
            replicas: field(fields, "replicas", |v| value::count(v, 1024))?
                .unwrap_or(NonZeroUsize::MIN),
            command,
            env: field(fields, "env", environment)?.unwrap_or_default(),
        },
    };
    let templates = || {
        launch
            .command
            .iter()
            .chain(launch.env.iter().map(|(_, t)| t))
    };
    let uses = |blank: Blank| templates().any(|template| template.has(blank));
    if !uses(Blank::Port) {
        return Err(Fault::saying(
            "a command without {port}, so that nobody knows where it listens",
        ));
    }
    if !has_model && uses(Blank::Model) {
        return Err(Fault::saying("{model}, but MODEL_PATH is not set"));
    }
    match [Blank::Tp, Blank::Gpus]
        .into_iter()
        .find(|blank| uses(*blank))
    {
        Some(blank) if !has_gpus => Err(Fault::saying(format!(
            "{{{}}}, but gpus_per_replica is not set",
            blank.id()
        ))),
        _ => Ok(Servers::Launched(launch)),
    }
}

/// A field that may be missing or null.
fn field<T>(
    fields: &Map<String, Value>,
    name: &str,
    parse: impl Fn(&Value) -> Parsed<T>,
) -> Parsed<Option<T>> {
    let given = fields.get(name).filter(|value| !value.is_null());
    let parsed = given.map(parse).transpose();
    parsed.map_err(|fault| Fault::saying(format!("{name}: {}", fault.found)))
}

fn required<T>(
    fields: &Map<String, Value>,
    name: &str,
    parse: impl Fn(&Value) -> Parsed<T>,
) -> Parsed<T> {
    field(fields, name, parse)?.ok_or_else(|| Fault::saying(format!("no {name}")))
}

/// A command line, taken apart as a shell would (quotes, backslashes) but never given to one; or a
/// list of its arguments.
fn command(value: &Value) -> Parsed<Vec<Template>> {
    let words = match value {
        Value::String(line) => shell_words::split(line).map_err(|error| {
            Fault::saying(format!("a command line that does not end ({error})"))
        })?,
        Value::Array(words) => words
            .iter()
            .map(|word| word.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| Fault::saying("a list of other things than texts"))?,
        other => return Err(Fault::saying(kind(other))),
    };
    if words.first().is_none_or(String::is_empty) {
        return Err(Fault::saying("no program"));
    }
    words.iter().map(|word| template(word)).collect()
}

/// Values are never part of a fault: they may be secrets.
fn environment(value: &Value) -> Parsed<Vec<(String, Template)>> {
    let variables = value
        .as_object()
        .ok_or_else(|| Fault::saying(kind(value)))?;
    let variable = |(name, value): (&String, &Value)| {
        let named =
            |what: &str| Fault::saying(format!("{}: {what}", shown(&Value::String(name.clone()))));
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(named("which names no variable"));
        }
        let text = value.as_str().ok_or_else(|| named(kind(value)))?;
        let template = template(text).map_err(|fault| named(&fault.found))?;
        Ok((name.clone(), template))
    };
    variables.iter().map(variable).collect()
}

fn template(text: &str) -> Parsed<Template> {
    if text.contains('\0') {
        return Err(Fault::saying("a text with a zero byte"));
    }
    Template::parse(text).map_err(Fault::saying)
}

#[cfg(test)]
mod tests;
