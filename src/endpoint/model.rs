//! Which model to ask for: one name that every endpoint serves.

use super::{EndpointError, Probe};

/// The `model` field for requests to all of the probed endpoints: `model_path`, else the first
/// model that an endpoint lists. Endpoints that do not list their models are taken at its word.
///
/// # Errors
/// An endpoint lists its models and this one is not among them; there is no name to take; or an
/// endpoint refuses the key.
pub fn choose(probes: &[Probe], model_path: Option<&str>) -> Result<String, EndpointError> {
    for probe in probes {
        if let Err(failure) = &probe.models
            && failure.is_refused_key()
        {
            return Err(EndpointError::Unauthorised {
                url: probe.identity.url.clone(),
                failure: failure.clone(),
            });
        }
    }
    let model = match model_path {
        Some(name) => name.to_owned(),
        None => first_listed(probes)?,
    };
    for probe in probes {
        let Ok(models) = &probe.models else { continue };
        if !models.iter().any(|served| served.id == model) {
            return Err(EndpointError::ModelNotServed {
                url: probe.identity.url.clone(),
                wanted: model,
                served: models.iter().map(|served| served.id.clone()).collect(),
                mend: match model_path {
                    Some(_) => "Set MODEL_PATH to one of these, or to \"\" to take the first",
                    None => {
                        "All endpoints of a run serve the same model: set MODEL_PATH to one they share, or run them apart"
                    }
                },
            });
        }
    }
    Ok(model)
}

fn first_listed(probes: &[Probe]) -> Result<String, EndpointError> {
    let listed = probes.iter().flat_map(|probe| &probe.models).flatten();
    let first = probes.first().ok_or(EndpointError::NoEndpoints)?;
    match (listed.map(|served| served.id.clone()).next(), &first.models) {
        (Some(id), _) => Ok(id),
        (None, Err(failure)) => Err(EndpointError::ModelUnknown {
            url: first.identity.url.clone(),
            failure: failure.clone(),
        }),
        (None, Ok(_)) => Err(EndpointError::ModelUnknown {
            url: first.identity.url.clone(),
            failure: super::Failure::malformed("its /v1/models is an empty list"),
        }),
    }
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
        .map(|id| format!("{id:?}"))
        .collect();
    match served.len().saturating_sub(MOST) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
