//! Which servers a command asks, as options; they win over MODEL_ENDPOINTS and MODEL_PATH.

use servemark::config::{Flag, keys};

#[derive(clap::Args)]
pub struct Servers {
    /// A server under load, such as http://host:8000; again or between commas for each further replica
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

impl Servers {
    /// The keys that were given.
    pub fn flags(&self) -> Vec<Flag> {
        let endpoints = (!self.endpoints.is_empty()).then(|| Flag {
            key: &keys::MODEL_ENDPOINTS,
            option: "--endpoint",
            example: "http://localhost:8000",
            value: self.endpoints.join(","),
        });
        let model = self.model.as_ref().map(|model| Flag {
            key: &keys::MODEL_PATH,
            option: "--model",
            example: "meta-llama/Llama-3.1-8B-Instruct",
            value: model.clone(),
        });
        endpoints.into_iter().chain(model).collect()
    }
}
