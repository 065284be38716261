//! Plain data about a point, for results, records, warnings and progress.

use std::path::PathBuf;

use serde_json::Value;

use super::criterion::{BenchArgs, Mode};
use crate::config::{Metric, Settings, Slo};
use crate::dialect::Dialect;
use crate::fixture::Fixture;
use crate::level::Level;
use crate::prompt::TokenRange;
use crate::results::{CriterionGroup, DeploymentRecord, PointKey, criterion_directory};

/// A point's names, and the configuration under which it is measured.
#[derive(Clone)]
pub struct PointInfo<'a> {
    /// Name of the bench (`chat_throughput`).
    pub bench: &'a str,
    /// The bench's name, with the deployment's name where several are measured.
    pub title: String,
    /// The prompt's key (`1k`).
    pub prompt: &'a str,
    pub level: Level,
    /// Position among all points of the run, selected or not: prompts are a function of it.
    pub ordinal: u32,
    pub dialect: &'static dyn Dialect,
    /// The objectives of its requests.
    pub slo: Slo,
    /// The definition of its workload, if the name does not say it.
    pub workload: Option<Value>,
    /// The output tokens of its requests; `None` for `MAX_NEW_TOKENS`.
    pub output_tokens: Option<TokenRange>,
    pub mode: Mode,
    pub config: &'a Settings,
    pub run_id: &'a str,
    pub deployment: Option<&'a DeploymentRecord>,
    /// The name of its record: `new`, or the name of its deployment.
    pub record_name: &'a str,
    /// Start of the `X-Request-Id` of its requests where several ranks have agreed on one.
    pub agreed_request_id_prefix: Option<&'a str>,
}

impl PointInfo<'_> {
    /// The point's name in messages (`chat_throughput/1k c=32`).
    pub fn name(&self) -> String {
        format!("{}/{} {}", self.title, self.prompt, self.level)
    }

    /// Names its files.
    pub fn key(&self) -> PointKey {
        PointKey {
            bench: self.bench.to_owned(),
            prompt: self.prompt.to_owned(),
            level: self.level,
        }
    }

    /// Where its record of this name lies.
    pub fn record_path(&self, name: &str) -> PathBuf {
        criterion_directory().join(self.key().record_path(name))
    }

    /// Whether the command line selects a metric of the point.
    pub fn is_selected(&self, args: &BenchArgs, metric: Metric) -> bool {
        // By the id that a user would write, or the one that --list shows.
        args.selects(&self.id(metric)) || args.selects(&self.id_in(&self.group(metric).id))
    }

    /// The id of one of its benchmarks, with the prompt's full key.
    pub fn id(&self, metric: Metric) -> String {
        self.id_in(&format!("{}/{}/{}", self.bench, self.prompt, metric.id()))
    }

    /// The Criterion group of a metric; all of its values have one unit, so that its plots can be compared.
    pub fn group(&self, metric: Metric) -> CriterionGroup {
        CriterionGroup::new(self.bench, self.prompt, metric)
    }

    /// Where Criterion keeps one of its benchmarks, relative to Criterion's directory.
    pub fn criterion_path(&self, metric: Metric) -> PathBuf {
        PathBuf::from(self.id_in(&self.group(metric).directory))
    }

    fn id_in(&self, group: &str) -> String {
        match self.deployment {
            Some(deployment) => format!("{group}/{}/{}", deployment.name, self.level),
            None => format!("{group}/{}", self.level),
        }
    }

    /// Start of the `X-Request-Id` of the point's requests: the same in all ranks.
    pub fn request_id_prefix(&self, fixture: &Fixture) -> Option<String> {
        let own = fixture.request_id_prefix.clone()?;
        Some(self.agreed_request_id_prefix.map_or(own, str::to_owned))
    }
}
