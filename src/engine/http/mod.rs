//! The HTTP side of one replica: one file per group of endpoints.

mod connection;
mod error;
mod generate;
mod logprobs;
mod models;
mod observe;
mod prompts;
mod request;
mod stream;
mod tokenize;
mod usage;
mod whole;

use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::map_response;
use axum::response::Response;
use axum::routing::{get, post};

use super::SIMULATED_HEADER;
use super::replica::Replica;

/// Largest request body: a full context as an array of token ids fits.
const BODY_LIMIT: usize = 64 << 20;

/// Serves `replica` on `listener`, from within a runtime, until the runtime ends.
///
/// # Errors
/// When the listener cannot be registered with the runtime.
pub(super) fn spawn(listener: TcpListener, replica: Arc<Replica>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let router = router(replica.clone());
    tokio::spawn(connection::serve(listener, replica, router));
    Ok(())
}

fn router(replica: Arc<Replica>) -> Router {
    // The label is printable ASCII: the name of a preset is checked, and the rest is formatted here.
    let label =
        HeaderValue::from_str(&replica.shared.label).unwrap_or(HeaderValue::from_static("unnamed"));
    let mark = move |mut response: Response| {
        let name = HeaderName::from_static(SIMULATED_HEADER);
        response.headers_mut().insert(name, label.clone());
        std::future::ready(response)
    };
    Router::new()
        .route("/v1/chat/completions", post(generate::chat))
        .route("/v1/completions", post(generate::completions))
        .route("/v1/models", get(models::models))
        .route("/version", get(models::version))
        .route("/health", get(models::health))
        .route("/ping", get(models::health).post(models::health))
        .route("/tokenize", post(tokenize::tokenize))
        .route("/detokenize", post(tokenize::detokenize))
        .route("/metrics", get(observe::metrics))
        .route("/servemark/truth", get(observe::epoch))
        .route("/servemark/truth/{request_id}", get(observe::truth))
        .fallback(error::no_route)
        .method_not_allowed_fallback(error::no_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(map_response(mark))
        .with_state(replica)
}
