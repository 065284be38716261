//! `/metrics` and the ground truth.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::super::metrics::CONTENT_TYPE;
use super::super::replica::Replica;
use super::super::truth::RequestTruth;
use super::error::ApiError;

/// The replica's metrics in Prometheus' text format.
pub(super) async fn metrics(
    State(replica): State<Arc<Replica>>,
) -> Result<impl IntoResponse, ApiError> {
    let text = replica.metrics.render();
    let text = text.map_err(|error| ApiError::internal(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text))
}

/// The origin of the times of the truth: the engine's epoch on the system's monotonic clock
/// (`CLOCK_MONOTONIC`, ns), so that another process can compare them with its own times. Null if
/// the system has no such clock.
pub(super) async fn epoch(State(replica): State<Arc<Replica>>) -> Json<Value> {
    Json(json!({ "epoch_monotonic_ns": replica.shared.epoch_monotonic_ns }))
}

/// The ground truth of one request of any replica.
pub(super) async fn truth(
    State(replica): State<Arc<Replica>>,
    Path(request_id): Path<String>,
) -> Result<Json<RequestTruth>, ApiError> {
    let truth = replica.shared.truth.get(&request_id);
    truth.map(Json).ok_or_else(|| {
        ApiError::not_found(format!(
            "No request `{request_id}` among the last ones kept."
        ))
    })
}
