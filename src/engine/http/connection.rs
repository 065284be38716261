//! Accepting connections: TCP_NODELAY, refusals, and resets on demand.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::super::replica::Replica;

/// How long accepting rests when the system is out of sockets.
const ACCEPT_REST: Duration = Duration::from_millis(50);

/// A listener that turns some connections away.
pub(super) struct EngineListener {
    listener: TcpListener,
    replica: Arc<Replica>,
    accepted: u64,
}

impl EngineListener {
    pub(super) fn new(listener: TcpListener, replica: Arc<Replica>) -> EngineListener {
        EngineListener {
            listener,
            replica,
            accepted: 0,
        }
    }
}

impl Listener for EngineListener {
    type Io = EngineStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (EngineStream, SocketAddr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else {
                tokio::time::sleep(ACCEPT_REST).await;
                continue;
            };
            let ordinal = self.accepted;
            self.accepted += 1;
            let shared = &self.replica.shared;
            if shared.faults.refuses(shared.seed, ordinal) {
                let _ = stream.set_zero_linger();
                continue;
            }
            // Without it, small events would wait for the client's acknowledgements.
            let _ = stream.set_nodelay(true);
            let connection = Connection::default();
            return (EngineStream { stream, connection }, address);
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
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

impl Connected<IncomingStream<'_, EngineListener>> for Connection {
    fn connect_info(stream: IncomingStream<'_, EngineListener>) -> Connection {
        stream.io().connection.clone()
    }
}

/// An accepted connection.
pub(super) struct EngineStream {
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
