use std::time::Duration;

use super::endpoints::{Endpoint, Endpoints};
use super::error::EndpointError;
use super::identity::probe;
use super::model;
use super::ready::{self, Prober, ReadyProof, ReadyState};

/// Waits until every endpoint is ready, reads the identity of each and chooses the model. Endpoints that do not list
/// it must answer a request for it.
///
/// Without [`Prober::model_path`] the first model listed by the first endpoint is used. `on_progress` is called on
/// every change while waiting, at most for `ready_timeout`, and as long again for such a request.
///
/// # Errors
/// See [`EndpointError`].
pub async fn connect(
    prober: Prober<'_>,
    ready_timeout: Duration,
    mut on_progress: impl FnMut(&ReadyState),
) -> Result<Endpoints, EndpointError> {
    let proofs = ready::wait(prober, ready_timeout, &mut on_progress).await?;
    let probes = prober.urls.iter().map(|url| probe(prober.http, url));
    let probes = futures_util::future::join_all(probes).await;
    let model = model::choose(&probes, prober.model_path)?;
    let lists: Vec<_> = probes.iter().map(|probe| probe.models.clone()).collect();
    let unlisted: Vec<usize> = (0..probes.len())
        .filter(|at| match &proofs[*at] {
            ReadyProof::Answered {
                model: requested, ..
            } => *requested != model,
            ReadyProof::Healthy => probes[*at].not_listed(&model).is_some(),
        })
        .collect();
    if !unlisted.is_empty() {
        ready::confirm(
            prober,
            &model,
            &lists,
            ready_timeout,
            &unlisted,
            on_progress,
        )
        .await?;
    }
    let each = prober.urls.iter().zip(probes).zip(proofs);
    let list = each.map(|((url, probe), proof)| Endpoint {
        url: url.clone(),
        unavailable_pages: probe.unavailable_pages(&proof, &model),
        identity: probe.into_identity(&model, &proof),
    });
    Endpoints::new(list.collect(), model)
}
