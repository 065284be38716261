//! The models that a server lists.

use serde_json::Value;

use super::failure::EndpointFailure;
use crate::redact;

/// An entry of `/v1/models`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedModel {
    /// Its name in requests.
    pub id: String,
    /// Other names in requests; llama.cpp lists them.
    pub aliases: Vec<String>,
    /// The longest prompt and answer together, in tokens; vLLM lists it.
    pub max_model_len: Option<u64>,
    /// The name of the software that serves it.
    pub owned_by: Option<String>,
}

impl ServedModel {
    /// Reads an entry; `None` for one without a name. Other invalid members count as missing.
    fn read(entry: &Value) -> Option<ServedModel> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let aliases = entry.get("aliases").and_then(Value::as_array);
        Some(ServedModel {
            id: entry.get("id").and_then(text).filter(|id| !id.is_empty())?,
            aliases: aliases.into_iter().flatten().filter_map(text).collect(),
            max_model_len: entry.get("max_model_len").and_then(Value::as_u64),
            owned_by: entry.get("owned_by").and_then(text),
        })
    }

    /// Whether this is its name or one of its aliases.
    pub fn is_called(&self, name: &str) -> bool {
        self.id == name || self.aliases.iter().any(|alias| alias == name)
    }

    /// Whether it is a pattern (`openai/*`), which gateways list, and not a name.
    pub fn is_pattern(&self) -> bool {
        self.id.contains('*')
    }
}

/// The entries of `/v1/models`; invalid ones are skipped.
///
/// # Errors
/// If the body is not a list of models.
pub(super) fn served_models(body: &[u8]) -> Result<Vec<ServedModel>, EndpointFailure> {
    let not_a_list = |why: String| {
        EndpointFailure::malformed(format!("its /v1/models is not a list of models ({why})"))
    };
    let answer: Value =
        serde_json::from_slice(body).map_err(|error| not_a_list(error.to_string()))?;
    match answer.get("data") {
        Some(Value::Array(entries)) => Ok(entries.iter().filter_map(ServedModel::read).collect()),
        Some(Value::Null) => Ok(Vec::new()),
        Some(_) => Err(not_a_list("its data is not a list".to_owned())),
        None => Err(not_a_list("it has no data".to_owned())),
    }
}

/// The first name of a list, or why there is none.
pub(super) fn first_name(models: &[ServedModel]) -> Result<&str, EndpointFailure> {
    names(models).next().ok_or_else(|| no_name(models))
}

/// The names in a list: a gateway may list patterns such as `openai/*`, too.
pub(super) fn names(models: &[ServedModel]) -> impl Iterator<Item = &str> {
    let names = models.iter().filter(|served| !served.is_pattern());
    names.map(|served| &*served.id)
}

pub(super) fn no_name(models: &[ServedModel]) -> EndpointFailure {
    EndpointFailure::malformed(match models.is_empty() {
        true => "its /v1/models is an empty list".to_owned(),
        false => format!("its /v1/models lists only patterns: {}", quoted(models)),
    })
}

/// Whether a model is listed, by its name or an alias.
pub(super) fn lists(models: &[ServedModel], model: &str) -> bool {
    models.iter().any(|served| served.is_called(model))
}

/// The names of models, for a message.
pub(super) fn quoted(models: &[ServedModel]) -> String {
    quoted_names(&Vec::from_iter(
        models.iter().map(|served| served.id.clone()),
    ))
}

/// Names, for a message.
pub(super) fn quoted_names(served: &[String]) -> String {
    const MOST: usize = 10;
    if served.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<_> = served
        .iter()
        .take(MOST)
        .map(|id| format!("{:?}", redact::line(id, redact::MOST_OF_NAME)))
        .collect();
    match served.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
