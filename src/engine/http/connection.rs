//! Accepting connections: TCP_NODELAY, refusals, and resets on demand.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service;

use super::super::replica::Replica;

/// How long accepting rests when the system is out of sockets.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// Accepts connections for ever and serves each on a task of its own.
///
/// HTTP/1.1 only, as vLLM's own server; serving it with nothing around it keeps the memory
/// of an idle stream small.
pub(super) async fn serve(listener: TcpListener, replica: Arc<Replica>, router: Router) {
    let mut accepted = 0;
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_REST).await;
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
        let connection = Connection::default();
        let service = TowerToHyperService::new(WithConnection {
            router: router.clone(),
            connection: connection.clone(),
        });
        let stream = EngineStream { stream, connection };
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

/// The router, telling each request by which connection it came.
#[derive(Clone)]
struct WithConnection {
    router: Router,
    connection: Connection,
}

impl Service<hyper::Request<hyper::body::Incoming>> for WithConnection {
    type Response = axum::response::Response;
    type Error = Infallible;
    type Future = axum::routing::future::RouteFuture<Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // A router is always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: hyper::Request<hyper::body::Incoming>) -> Self::Future {
        request.extensions_mut().insert(self.connection.clone());
        self.router.call(request)
    }
}

/// A handler's hold on the connection its request came by.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    reset: Arc<AtomicBool>,
}

impl Connection {
    /// When the connection is closed next, it is reset (TCP RST).
    pub(super) fn reset_on_close(&self) {
        self.reset.store(true, Ordering::Relaxed);
    }
}

impl<S: Sync> FromRequestParts<S> for Connection {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Connection, Infallible> {
        // `WithConnection` has put it there.
        Ok(parts.extensions.get().cloned().unwrap_or_default())
    }
}

/// An accepted connection.
struct EngineStream {
    stream: TcpStream,
    connection: Connection,
}

impl Drop for EngineStream {
    fn drop(&mut self) {
        if self.connection.reset.load(Ordering::Relaxed) {
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for EngineStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for EngineStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
