//! Named sets of servers: `DEPLOYMENTS`.

use std::num::{NonZeroU32, NonZeroUsize};

use serde_json::{Map, Value};

use super::choices::Balancing;
use super::endpoint_url::EndpointUrl;
use super::names::nearest;
use super::template::{Blank, Template};
use super::value::{self, Fault, Parsed, shown, type_name};

/// A named set of servers, measured together: a layout of a model over GPUs, or a version of a server.
#[derive(Clone, Debug, PartialEq)]
pub struct Deployment {
    /// Letters, digits, dots, dashes and underscores; valid as a file name and as a baseline.
    pub name: String,
    /// Its servers, or how they are started.
    pub servers: ServerSource,
    /// GPUs of each replica; `None` if unknown.
    pub gpus_per_replica: Option<NonZeroU32>,
    /// A label of the user for what runs there, such as a version.
    pub version: Option<String>,
    /// Balancing, instead of `BALANCING`.
    pub balancing: Option<Balancing>,
    /// Whether texts are checked, instead of `SAFE_CHECK`.
    pub safe_check: Option<bool>,
}

/// Where the servers of a deployment come from.
#[derive(Clone, Debug, PartialEq)]
pub enum ServerSource {
    /// Servers that already run; never empty.
    Listed(Vec<EndpointUrl>),
    /// Servers that the harness starts and stops.
    Launched(Launch),
}

/// How the servers of a deployment are started.
#[derive(Clone, Debug, PartialEq)]
pub struct Launch {
    /// Number of servers.
    pub replicas: NonZeroUsize,
    /// Program and arguments; never empty. No shell is used.
    pub command: Vec<Template>,
    /// Variables added to the harness's own environment.
    pub env: Vec<(String, Template)>,
}

impl Launch {
    /// Whether its command or variables contain the blank `{gpus}`, and so select the GPUs themselves.
    pub fn uses_gpus(&self) -> bool {
        self.uses(Blank::Gpus)
    }

    /// Whether its command or variables contain the blank.
    pub(super) fn uses(&self, blank: Blank) -> bool {
        let variables = self.env.iter().map(|(_, value)| value);
        let mut templates = self.command.iter().chain(variables);
        templates.any(|template| template.has(blank))
    }
}

impl Deployment {
    /// Creates a deployment of servers that already run.
    pub(super) fn listed(name: String, endpoints: Vec<EndpointUrl>) -> Deployment {
        Deployment {
            name,
            servers: ServerSource::Listed(endpoints),
            gpus_per_replica: None,
            version: None,
            balancing: None,
            safe_check: None,
        }
    }

    /// The addresses of servers that already run; empty if the harness starts them.
    pub fn endpoints(&self) -> &[EndpointUrl] {
        match &self.servers {
            ServerSource::Listed(endpoints) => endpoints,
            ServerSource::Launched(_) => &[],
        }
    }

    /// The number of servers.
    pub fn replicas(&self) -> usize {
        match &self.servers {
            ServerSource::Listed(endpoints) => endpoints.len(),
            ServerSource::Launched(launch) => launch.replicas.get(),
        }
    }

    /// GPUs of all replicas together, if known.
    pub fn gpus(&self) -> Option<NonZeroU32> {
        let replicas = u32::try_from(self.replicas()).ok()?;
        self.gpus_per_replica?
            .checked_mul(NonZeroU32::new(replicas)?)
    }
}

/// Describes why the name of a deployment is invalid; `None` for a valid one.
pub(super) fn name_fault(name: &str) -> Option<String> {
    /// Names that Criterion uses. `new` is allowed: it is the latest run, as for `servemark compare`.
    const TAKEN: [&str; 3] = ["base", "change", "report"];
    const LONGEST: usize = 40;
    let is_valid = |c: char| c.is_ascii_alphanumeric() || ".-_".contains(c);
    if name.is_empty() || name.starts_with(['.', '-']) || !name.chars().all(is_valid) {
        return Some(format!("the name {name:?}, which cannot name a file"));
    }
    if TAKEN.contains(&name) {
        return Some(format!("the name {name:?}, which Criterion uses itself"));
    }
    (name.len() > LONGEST).then(|| format!("the name {name:?}, of more than {LONGEST} characters"))
}

/// Parses `DEPLOYMENTS`.
pub(super) fn list(value: &Value) -> Parsed<Vec<Deployment>> {
    let entries = value
        .as_array()
        .ok_or_else(|| Fault::new(type_name(value)))?;
    let mut deployments: Vec<Deployment> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let deployment = one(entry)
            .map_err(|fault| Fault::new(format!("in entry {}, {}", at + 1, fault.found)))?;
        if deployments.iter().any(|d| d.name == deployment.name) {
            return Err(Fault::new(format!("the name {:?} twice", deployment.name)));
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

fn one(entry: &Value) -> Parsed<Deployment> {
    let fields = value::object(entry)?;
    if let Some(unknown) = fields.keys().find(|name| !FIELDS.contains(&name.as_str())) {
        let hint = match nearest(unknown, FIELDS) {
            Some(name) => format!("did you mean {name:?}?"),
            None => format!("the fields are {}", FIELDS.join(", ")),
        };
        return Err(Fault::new(format!("the unknown field {unknown:?}; {hint}")));
    }
    let name = required(fields, "name", value::text)?;
    if let Some(fault) = name_fault(&name) {
        return Err(Fault::new(fault));
    }
    let gpus_per_replica = field(fields, "gpus_per_replica", |v| value::count_u32(v, 1024))?;
    let servers = servers(fields, gpus_per_replica.is_some())
        .map_err(|fault| Fault::new(format!("{name}: {}", fault.found)))?;
    Ok(Deployment {
        servers,
        gpus_per_replica,
        version: field(fields, "version", value::text)?,
        balancing: field(fields, "balancing", |v| {
            value::one_of(v, &Balancing::ALL, Balancing::id)
        })?,
        safe_check: field(fields, "safe_check", value::flag)?,
        name,
    })
}

fn servers(fields: &Map<String, Value>, has_gpus: bool) -> Parsed<ServerSource> {
    let endpoints = field(fields, "endpoints", value::endpoints)?;
    let command = field(fields, "command", command)?;
    let launch = match (endpoints, command) {
        (Some(_), Some(_)) => return Err(Fault::new("both endpoints and a command")),
        (None, None) => return Err(Fault::new("neither endpoints nor a command")),
        (Some(endpoints), None) if endpoints.is_empty() => {
            return Err(Fault::new("an empty list of endpoints"));
        }
        (Some(endpoints), None) => {
            let of_commands = ["replicas", "env"];
            return match of_commands
                .into_iter()
                .find(|name| fields.contains_key(*name))
            {
                Some(name) => Err(Fault::new(format!("{name} beside endpoints"))),
                None => Ok(ServerSource::Listed(endpoints)),
            };
        }
        (None, Some(command)) => Launch {
            replicas: field(fields, "replicas", |v| value::count(v, 1024))?
                .unwrap_or(NonZeroUsize::MIN),
            command,
            env: field(fields, "env", environment)?.unwrap_or_default(),
        },
    };
    if !launch.uses(Blank::Port) {
        return Err(Fault::new(
            "a command without {port}, so its port is unknown",
        ));
    }
    match [Blank::Tp, Blank::Gpus]
        .into_iter()
        .find(|blank| launch.uses(*blank))
    {
        Some(blank) if !has_gpus => Err(Fault::new(format!(
            "{{{}}}, but gpus_per_replica is not set",
            blank.id()
        ))),
        _ => Ok(ServerSource::Launched(launch)),
    }
}

/// Parses a field that may be missing or null.
fn field<T>(
    fields: &Map<String, Value>,
    name: &str,
    parse: impl Fn(&Value) -> Parsed<T>,
) -> Parsed<Option<T>> {
    let given = fields.get(name).filter(|value| !value.is_null());
    let parsed = given.map(parse).transpose();
    parsed.map_err(|fault| Fault::new(format!("{name}: {}", fault.found)))
}

fn required<T>(
    fields: &Map<String, Value>,
    name: &str,
    parse: impl Fn(&Value) -> Parsed<T>,
) -> Parsed<T> {
    field(fields, name, parse)?.ok_or_else(|| Fault::new(format!("no {name}")))
}

/// Parses a command line, split like a shell does (quotes, backslashes) but not run by one; or a list of arguments.
fn command(value: &Value) -> Parsed<Vec<Template>> {
    let words = match value {
        Value::String(line) => shell_words::split(line)
            .map_err(|error| Fault::new(format!("a command line that does not end ({error})")))?,
        Value::Array(words) => words
            .iter()
            .map(|word| word.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| Fault::new("a list with values that are not strings"))?,
        other => return Err(Fault::new(type_name(other))),
    };
    if words.first().is_none_or(String::is_empty) {
        return Err(Fault::new("no program"));
    }
    words.iter().map(|word| template(word)).collect()
}

/// Values are never part of a fault: they may be secrets.
fn environment(value: &Value) -> Parsed<Vec<(String, Template)>> {
    let variables = value::object(value)?;
    let variable = |(name, value): (&String, &Value)| {
        let named =
            |what: &str| Fault::new(format!("{}: {what}", shown(&Value::String(name.clone()))));
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(named("which is not a valid name of a variable"));
        }
        let text = value.as_str().ok_or_else(|| named(type_name(value)))?;
        let template = template(text).map_err(|fault| named(&fault.found))?;
        Ok((name.clone(), template))
    };
    variables.iter().map(variable).collect()
}

fn template(text: &str) -> Parsed<Template> {
    if text.contains('\0') {
        return Err(Fault::new("a text with a zero byte"));
    }
    Template::parse(text).map_err(Fault::new)
}

#[cfg(test)]
mod tests;
