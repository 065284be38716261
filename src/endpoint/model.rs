//! Which model to ask for: one name that every endpoint serves.

use super::{EndpointError, Failure, Probe, ServedModel};
use crate::redact;

/// The `model` field for requests to all of the probed endpoints: `model_path`, whatever they list, else the
/// first model that an endpoint lists. Endpoints that list none are taken at its word.
///
/// # Errors
/// Without `model_path`: there is no name to take, or an endpoint lists models and this one is not among them.
pub fn choose(probes: &[Probe], model_path: Option<&str>) -> Result<String, EndpointError> {
    if let Some(name) = model_path {
        return Ok(name.to_owned());
    }
    let model = first_listed(probes)?;
    for probe in probes {
        let Ok(models) = &probe.models else { continue };
        if names(models).next().is_some() && !lists(models, &model) {
            return Err(EndpointError::ModelNotListed {
                url: probe.identity.url.clone(),
                wanted: redact::line(&model, redact::MOST_OF_NAME),
                served: models.iter().map(|served| served.id.clone()).collect(),
            });
        }
    }
    Ok(model)
}

fn first_listed(probes: &[Probe]) -> Result<String, EndpointError> {
    let first = probes.first().ok_or(EndpointError::NoEndpoints)?;
    let listed = probes.iter().flat_map(|probe| &probe.models);
    match listed.flat_map(|models| names(models)).next() {
        Some(name) => Ok(name.to_owned()),
        None => Err(EndpointError::ModelUnknown {
            url: first.identity.url.clone(),
            failure: match &first.models {
                Ok(models) => no_name(models),
                Err(failure) => failure.clone(),
            },
        }),
    }
}

/// The first name of a list, or what it holds in place of one.
pub(super) fn first_name(models: &[ServedModel]) -> Result<&str, Failure> {
    names(models).next().ok_or_else(|| no_name(models))
}

/// The names among what is listed: a gateway may list patterns such as `openai/*`.
fn names(models: &[ServedModel]) -> impl Iterator<Item = &str> {
    let names = models.iter().filter(|served| !served.is_pattern());
    names.map(|served| &*served.id)
}

fn no_name(models: &[ServedModel]) -> Failure {
    let ids: Vec<String> = models.iter().map(|served| served.id.clone()).collect();
    Failure::malformed(match ids.is_empty() {
        true => "its /v1/models is an empty list".to_owned(),
        false => format!("its /v1/models lists only patterns: {}", listed(&ids)),
    })
}

/// Whether a model is listed by its name or another of its names.
pub(super) fn lists(models: &[ServedModel], model: &str) -> bool {
    models.iter().any(|served| served.is_called(model))
}

/// Model names for a message.
pub(super) fn listed(served: &[String]) -> String {
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
