//! Connections to the servers: opened when all are in use, and kept for the next request.

use std::collections::HashMap;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Waker};

use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tower_service::Service;
use ureq_proto::http::Uri;
use ureq_proto::http::uri::{Authority, Scheme};

use super::failure::{Failure, FailureCause};
use super::http_client::{HttpClientError, innermost};
use crate::tls::{self, Tls};

/// TCP, or TLS on it.
pub(super) type Connection = TokioIo<MaybeHttpsStream<TokioIo<TcpStream>>>;

/// The connections of a run, to all its servers: TCP with TCP_NODELAY or TLS, straight to the
/// server, one request at a time on each. Clones share them.
#[derive(Clone)]
pub struct Connections {
    connector: HttpsConnector<HttpConnector>,
    idle: Arc<Mutex<HashMap<Origin, Vec<Connection>>>>,
}

type Origin = (Option<Scheme>, Option<Authority>);

impl Connections {
    /// Creates an empty pool that trusts the platform's certificates.
    ///
    /// # Errors
    /// When the TLS backend cannot be set up.
    pub fn new() -> Result<Connections, HttpClientError> {
        Ok(Connections::over(&Tls::platform()?))
    }

    /// Creates an empty pool that uses `tls`.
    pub fn over(tls: &Tls) -> Connections {
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.enforce_http(false);
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls.client_config())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        Connections {
            connector,
            idle: Arc::default(),
        }
    }

    /// A connection to the server of `uri` that is not in use.
    pub(super) async fn take(&self, uri: &Uri) -> Result<Connection, Failure> {
        // Tokio makes a task pause after many reads, which would look like an idle connection.
        let kept = tokio::task::unconstrained(async { self.kept(uri) });
        if let Some(connection) = kept.await {
            return Ok(connection);
        }
        let mut connector = self.connector.clone();
        let opened = async {
            poll_fn(|cx| connector.poll_ready(cx)).await?;
            connector.call(uri.clone()).await
        };
        opened.await.map(TokioIo::new).map_err(|error| {
            let fault = tls::fault(&*error).map(|fault| fault.to_string());
            let message = fault.unwrap_or_else(|| innermost(&*error));
            Failure::new(FailureCause::Connect, message)
        })
    }

    /// Keeps a connection whose last response has ended.
    pub(super) fn give_back(&self, uri: &Uri, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.entry(origin(uri)).or_default().push(connection);
    }

    /// The open connection that was used last: it is the least likely to have been closed for idleness.
    fn kept(&self, uri: &Uri) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = idle.get_mut(&origin(uri))?;
        let mut last = kept.pop()?;
        if is_open(&mut last) {
            return Some(last);
        }
        // The others have been idle longer.
        kept.retain_mut(is_open);
        kept.pop()
    }
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections").finish_non_exhaustive()
    }
}

fn origin(uri: &Uri) -> Origin {
    (uri.scheme().cloned(), uri.authority().cloned())
}

/// Whether the server has neither closed the connection nor sent anything unrequested.
fn is_open(connection: &mut Connection) -> bool {
    let mut byte = [0];
    let mut cx = Context::from_waker(Waker::noop());
    Pin::new(connection)
        .poll_read(&mut cx, &mut ReadBuf::new(&mut byte))
        .is_pending()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    async fn server() -> (TcpListener, Uri) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let uri = format!("http://{address}/").parse().expect("a URI");
        (listener, uri)
    }

    #[tokio::test]
    async fn a_connection_serves_one_request_after_another_and_is_never_shared() {
        let (listener, uri) = server().await;
        let connections = Connections::new().expect("TLS");
        let first = connections.take(&uri).await.expect("a connection");
        let (_kept, address) = listener.accept().await.expect("a connection");
        let other = connections.take(&uri).await.expect("a connection");
        let (_kept, other_address) = listener.accept().await.expect("another connection");
        assert_ne!(address, other_address);
        connections.give_back(&uri, first);
        let again = connections.take(&uri).await.expect("the first one");
        assert_eq!(local_address(&again), address);
        drop((again, other));
    }

    #[tokio::test]
    async fn any_number_of_closed_connections_is_replaced() {
        // More than a task of tokio's may read without a pause.
        const MANY: usize = 300;
        let (listener, uri) = server().await;
        let connections = Connections::new().expect("TLS");
        let mut closed = Vec::new();
        for _ in 0..MANY {
            let mut connection = connections.take(&uri).await.expect("a connection");
            drop(listener.accept().await.expect("a connection"));
            // The end has arrived once it can be read.
            let read = tokio::io::AsyncReadExt::read(&mut connection, &mut [0]).await;
            assert_eq!(read.expect("an end"), 0);
            closed.push(connection);
        }
        for connection in closed {
            connections.give_back(&uri, connection);
        }
        let mut fresh = connections.take(&uri).await.expect("a connection");
        let open = tokio::task::unconstrained(async { is_open(&mut fresh) });
        assert!(open.await, "it is a new connection");
        assert!(
            connections.kept(&uri).is_none(),
            "no closed connection is kept"
        );
    }

    #[tokio::test]
    async fn no_connection_is_a_failure_with_the_systems_reason() {
        let (listener, uri) = server().await;
        drop(listener);
        let connections = Connections::new().expect("TLS");
        let failure = connections.take(&uri).await.expect_err("no listener");
        assert_eq!(failure.cause, FailureCause::Connect);
        assert!(failure.message.contains("refused"), "{}", failure.message);
    }

    fn local_address(connection: &Connection) -> std::net::SocketAddr {
        match connection.inner() {
            MaybeHttpsStream::Http(tcp) => tcp.inner().local_addr().expect("an address"),
            MaybeHttpsStream::Https(_) => panic!("TLS"),
        }
    }
}
