//! `/v1/models`, `/version`, `/health`.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::super::VERSION;
use super::super::replica::Replica;

/// The one model served.
pub(super) async fn models(State(replica): State<Arc<Replica>>) -> Json<Value> {
    let shared = &replica.shared;
    Json(json!({
        "object": "list",
        "data": [{
            "id": shared.model_name,
            "object": "model",
            "created": shared.created,
            "owned_by": "vllm",
            "root": shared.model_name,
            "parent": null,
            "max_model_len": shared.preset.scheduler.max_model_len,
            "permission": [{
                "id": format!("modelperm-{}", replica.make_request_id(u64::MAX)),
                "object": "model_permission",
                "created": shared.created,
                "allow_create_engine": false,
                "allow_sampling": true,
                "allow_logprobs": true,
                "allow_search_indices": false,
                "allow_view": true,
                "allow_fine_tuning": false,
                "organization": "*",
                "group": null,
                "is_blocking": false,
            }],
        }],
    }))
}

/// The version whose protocol is simulated.
pub(super) async fn version() -> Json<Value> {
    Json(json!({ "version": VERSION }))
}

/// 200 with an empty body.
pub(super) async fn health() {}
