//! The model of the load's requests: one name that every endpoint serves.

use super::error::EndpointError;
use super::identity::Probe;
use super::served_model::{lists, names, no_name};
use crate::redact;

/// The `model` field of requests to all of the probed endpoints: `model_path`, even if they do not list it, else the
/// first model that an endpoint lists. Endpoints that list no model are assumed to serve it.
///
/// # Errors
/// Without `model_path`: no endpoint lists a model, or an endpoint lists models without this one.
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
