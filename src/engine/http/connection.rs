//! Accepts connections: sets TCP_NODELAY, and injects refusals and resets.

use std::convert::Infallible;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

use super::super::replica::Replica;

/// Pause after a failed accept, such as when the system is out of sockets.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Accepts connections forever and serves each on a task of its own.
///
/// HTTP/1.1 only, like vLLM's own server. Using the connection directly keeps the memory of an
/// idle stream small.
pub(super) async fn serve(listener: TcpListener, replica: Arc<Replica>, router: Router) {
    let mut accepted = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let ordinal = accepted;
        accepted += 1;
        let shared = &replica.shared;
        if shared.faults.refuses(shared.seed, ordinal) {
            let _ = stream.set_zero_linger();
            continue;
        }
        // Without it, small events would wait for the client's acknowledgements.
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve_connection(stream, router.clone()));
    }
}

async fn serve_connection(stream: TcpStream, router: Router) {
    let connection = ClientConnection::default();
    let handle = connection.clone();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(handle.clone());
        Box::pin(router.clone().call(request))
    });
    let mut served = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // An error is a connection that has ended early.
    let _ = poll_fn(|context| served.poll_without_shutdown(context)).await;
    let stream = served.into_parts().io.into_inner();
    if connection.reset.load(Ordering::Relaxed) {
        let _ = stream.set_zero_linger();
    }
}

/// The connection of a request, for its handler.
#[derive(Clone, Debug, Default)]
pub(super) struct ClientConnection {
    reset: Arc<AtomicBool>,
}

impl ClientConnection {
    /// Makes the connection end with a reset (TCP RST).
    pub(super) fn reset_on_close(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }
}

impl<S: Sync> FromRequestParts<S> for ClientConnection {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<ClientConnection, Infallible> {
        // `serve_connection` has added it.
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}
