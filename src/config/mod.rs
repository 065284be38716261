//! The configuration of a run: `parameters.json`, overridden key by key from the environment.
//!
//! [`Settings::load`] finds the file; [`Settings::from_parts`] parses a text and does not touch the process
//! environment. [`keys`] is the table of all keys: adding one is a field of [`Settings`] and a row there.
//! `docs/parameters.md` describes each for users.
//!
//! Values are parsed once, here, into types that cannot hold an invalid value; no code after this module
//! checks a setting again. All problems of a configuration are reported together, each with the file (or
//! variable), the key, what was found, what is expected and an example.

mod ab;
mod api_key;
mod azure;
mod choices;
mod deployment;
mod draft;
mod endpoint_url;
mod env;
mod error;
mod key;
pub mod keys;
mod names;
mod overrides;
mod parse;
mod public;
mod reader;
mod safety;
mod sampling;
mod secrets;
mod settings;
mod slo;
mod template;
mod value;
mod workloads;

pub use api_key::{ApiKey, InvalidApiKey};
pub use choices::{
    ArrivalProcess, Balancing, FixedOutput, Metric, PrefixCache, Ramp, RampStrategy, SteadyStart,
};
pub use deployment::{Deployment, Launch, ServerSource};
pub(crate) use endpoint_url::hide_query;
pub use endpoint_url::{EndpointUrl, EndpointUrlError};
pub use error::{ConfigError, Problem, ValueOrigin};
pub(crate) use key::KeyKind;
pub use overrides::Config;
#[cfg(feature = "cli")]
pub(crate) use overrides::Flag;
pub use safety::{SafetyBackend, SafetyConfig};
pub use sampling::Precision;
pub use settings::{ConfigSource, Settings};
pub use slo::{Limit, Percentile, Slo};
pub use template::{Blanks, Template};
pub use workloads::MixedWorkload;

/// The `parameters.json` this crate ships, used where no file is found.
pub const BUILT_IN: &str = include_str!("../../fixtures/parameters.json");
