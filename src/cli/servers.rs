//! Options that name the servers of a command; they override MODEL_ENDPOINTS and MODEL_PATH.

use crate::config::{Flag, keys};

#[derive(clap::Args)]
pub struct ServerOptions {
    /// A server under load, such as http://host:8000; repeat it, or separate by commas, for each further replica
    /// [default: MODEL_ENDPOINTS, else the embedded simulated engine]
    #[arg(
        long = "endpoint",
        value_name = "URL",
        value_delimiter = ',',
        hide_default_value = true
    )]
    endpoints: Vec<String>,
    /// The model to ask for [default: MODEL_PATH, else the first that the server lists]
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

impl ServerOptions {
    /// The keys that the options set.
    pub fn flags(&self) -> Vec<Flag> {
        let endpoints = (!self.endpoints.is_empty()).then(|| self.endpoints.join(","));
        let example = "meta-llama/Llama-3.1-8B-Instruct";
        Flag::given([
            (
                &keys::MODEL_ENDPOINTS,
                "--endpoint",
                "http://localhost:8000",
                &endpoints,
            ),
            (&keys::MODEL_PATH, "--model", example, &self.model),
        ])
    }
}
