//! Workloads by name: `WORKLOADS`, and the built-in profiles.

use serde_json::{Map, Value, json};

use super::deployment::name_fault;
use super::names::nearest;
use super::settings::Settings;
use super::slo::{self, Slo};
use super::value::{self, Fault, Parsed, type_name};
use crate::dialect::{ChatCompletions, Completions, DIALECTS, Dialect};
use crate::length_distribution::PairOfLengths;

/// The built-in profiles, each with what it stands for and where its lengths come from.
const PROFILES: &str = include_str!("../../fixtures/workloads.json");

/// A workload of mixed lengths.
#[derive(Clone, Debug)]
pub struct MixedWorkload {
    /// Its part in benchmark ids; valid as a file name.
    pub name: String,
    /// The lengths of its requests.
    pub lengths: PairOfLengths,
    /// How its requests are written.
    pub dialect: &'static dyn Dialect,
    /// Its own objectives, in place of `SLO`.
    pub slo: Option<Slo>,
}

impl MixedWorkload {
    /// The workload in its longest form, for run records.
    pub(super) fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "lengths": self.lengths.to_json(),
            "api": self.dialect.id(),
            "slo": self.slo,
        })
    }
}

impl Settings {
    /// The workload of this name: of `WORKLOADS`, or else a built-in profile.
    ///
    /// # Errors
    /// The names that exist.
    pub(crate) fn workload(&self, name: &str) -> Result<MixedWorkload, String> {
        let configured = self.workloads.iter().find(|workload| workload.name == name);
        configured.cloned().map_or_else(|| profile(name), Ok)
    }
}

/// Parses `WORKLOADS`: names of profiles, and workloads of the user's own.
pub(super) fn list(value: &Value) -> Parsed<Vec<MixedWorkload>> {
    let entries = value.as_array().ok_or_else(|| Fault::found(value))?;
    let mut workloads: Vec<MixedWorkload> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let workload = match entry {
            Value::String(name) => profile(name).map_err(Fault::new),
            Value::Object(object) => one(object).map_err(Fault::new),
            other => Err(Fault::new(type_name(other))),
        };
        let workload = workload
            .map_err(|fault| Fault::new(format!("in entry {}, {}", at + 1, fault.found)))?;
        if workloads.iter().any(|other| other.name == workload.name) {
            return Err(Fault::new(format!("the name {:?} twice", workload.name)));
        }
        workloads.push(workload);
    }
    match workloads.is_empty() {
        true => Err(Fault::new("an empty list")),
        false => Ok(workloads),
    }
}

/// The built-in profile of this name.
fn profile(name: &str) -> Result<MixedWorkload, String> {
    let profiles: Vec<Map<String, Value>> = serde_json::from_str(PROFILES).unwrap_or_default();
    let names = || {
        profiles
            .iter()
            .filter_map(|profile| profile.get("name")?.as_str())
    };
    let named = profiles
        .iter()
        .find(|profile| profile.get("name").and_then(Value::as_str) == Some(name));
    let Some(profile) = named else {
        let hint = match nearest(name, names()) {
            Some(near) => format!("did you mean {near:?}?"),
            None => format!("there are {}", Vec::from_iter(names()).join(", ")),
        };
        return Err(format!("{name:?}, which is not a workload ({hint})"));
    };
    let mut profile = profile.clone();
    // They are for people.
    profile.retain(|field, _| !["stands_for", "source"].contains(&field.as_str()));
    one(&profile)
}

const FIELDS: [&str; 4] = ["name", "lengths", "api", "slo"];

fn one(object: &Map<String, Value>) -> Result<MixedWorkload, String> {
    if let Some(unknown) = object
        .keys()
        .find(|field| !FIELDS.contains(&field.as_str()))
    {
        return Err(format!(
            "the field {unknown:?}, which is not one of {}",
            FIELDS.join(", ")
        ));
    }
    let name = object.get("name").and_then(Value::as_str);
    let name = name.ok_or("a workload without a \"name\"")?.to_owned();
    if let Some(fault) = name_fault(&name) {
        return Err(fault);
    }
    let of = |problem: String| format!("{name}: {problem}");
    let lengths = object
        .get("lengths")
        .ok_or_else(|| of("\"lengths\" is missing".to_owned()))?;
    let lengths =
        PairOfLengths::parse(lengths).map_err(|problem| of(format!("lengths: {problem}")))?;
    let dialect = object
        .get("api")
        .map_or(Ok(&Completions as &'static dyn Dialect), |api| {
            value::one_of(api, &DIALECTS, |dialect| dialect.id())
        });
    let dialect = dialect.map_err(|fault| of(format!("api: {}", fault.found)))?;
    let slo = object.get("slo").map(slo::read).transpose();
    let slo = slo.map_err(|fault| of(format!("slo: {}", fault.found)))?;
    Ok(MixedWorkload {
        lengths,
        dialect,
        slo,
        name,
    })
}

/// What is expected as the value of `WORKLOADS`.
pub(super) fn expected() -> String {
    format!(
        "a list of names of built-in workloads and of objects with a name, lengths and optionally api (\"{}\" or \"{}\") and slo (docs/workloads.md)",
        Completions.id(),
        ChatCompletions.id()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(value: Value) -> String {
        list(&value).expect_err("invalid").found
    }

    #[test]
    fn every_profile_is_a_workload_that_names_its_source() {
        let profiles: Vec<Map<String, Value>> = serde_json::from_str(PROFILES).unwrap();
        let names = [
            "chat",
            "rag",
            "summarise",
            "code",
            "long-generation",
            "agent",
        ];
        assert_eq!(
            Vec::from_iter(profiles.iter().map(|p| p["name"].as_str().unwrap())),
            names
        );
        for shown in &profiles {
            let workload = profile(shown["name"].as_str().unwrap()).unwrap();
            for field in ["stands_for", "source"] {
                assert!(
                    !shown[field].as_str().unwrap().is_empty(),
                    "{}",
                    workload.name
                );
            }
            let most = workload.lengths.input.most() + workload.lengths.output.most();
            assert!(most <= 16_384, "{} fits the embedded engine", workload.name);
        }
    }

    #[test]
    fn own_workloads_stand_beside_profiles() {
        let workloads = list(&json!([
            "rag",
            {"name": "short", "lengths": "N(480,240)/(300,150)", "api": "chat_completions", "slo": {"ttft": 200}},
        ]))
        .unwrap();
        assert_eq!(workloads[0].dialect.id(), "completions");
        let own = &workloads[1];
        assert_eq!(
            (own.name.as_str(), own.dialect.id()),
            ("short", "chat_completions")
        );
        assert_eq!(own.slo, Some(slo::read(&json!({"ttft": 200})).unwrap()));
    }

    #[test]
    fn invalid_workloads_are_told_with_their_place() {
        for (value, words) in [
            (json!([]), "an empty list"),
            (
                json!(["chat", "rags"]),
                "in entry 2, \"rags\", which is not a workload (did you mean \"rag\"?)",
            ),
            (json!(["x"]), "there are chat, rag, summarise"),
            (json!([5]), "a number"),
            (json!(["rag", "rag"]), "\"rag\" twice"),
            (json!([{"lengths": "5/5"}]), "without a \"name\""),
            (
                json!([{"name": "a/b", "lengths": "5/5"}]),
                "cannot name a file",
            ),
            (json!([{"name": "a"}]), "a: \"lengths\" is missing"),
            (
                json!([{"name": "a", "lengths": "5"}]),
                "a: lengths: \"5\" is not two lengths",
            ),
            (
                json!([{"name": "a", "lengths": "5/5", "api": "chat"}]),
                "a: api: \"chat\"",
            ),
            (
                json!([{"name": "a", "lengths": "5/5", "slo": {"rps": 1}}]),
                "a: slo: ",
            ),
            (
                json!([{"name": "a", "lengths": "5/5", "SLO": {}}]),
                "the field \"SLO\"",
            ),
        ] {
            let problem = problem(value.clone());
            assert!(problem.contains(words), "{value}: {problem}");
        }
    }
}
