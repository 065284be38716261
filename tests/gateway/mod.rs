//! A gateway before a simulated server: it hands the load on, and answers everything else as it is told.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use servemark::internals::engine::Engine;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// The gateway's treatment of a request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// The engine answers it; a connection of the load's is the engine's from then on.
    Pass,
    /// This is answered: a whole response, after which the connection is closed.
    Say(String),
    /// It gets no answer.
    Hang,
    /// A response with this line for a body, again and again without end.
    Endless(&'static str),
}

/// A response of this status with these header lines and body.
pub fn say(status: &str, headers: &[&str], body: &str) -> Answer {
    let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
    Answer::Say(format!(
        "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    ))
}

/// How far the lines of an endless response are apart.
const ENDLESS_PACE: std::time::Duration = std::time::Duration::from_millis(5);

pub struct Gateway {
    _runtime: Runtime,
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Gateway {
    /// `answer` is given the path and query of each connection's first request.
    pub fn before(
        engine: &Engine,
        answer: impl Fn(&str) -> Answer + Send + Sync + 'static,
    ) -> Gateway {
        let runtime = Runtime::new().expect("a runtime");
        let backend = engine.urls()[0].socket_addrs(|| None).expect("an address")[0];
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), asked.clone());
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (answer, log) = (answer.clone(), log.clone());
                tokio::spawn(async move {
                    // A client that leaves in the middle is none of the gateway's business.
                    let _ = serve(client, backend, &*answer, &log).await;
                });
            }
        });
        Gateway {
            _runtime: runtime,
            address,
            asked,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Method, path and query of what was asked so far; of a connection of the load's only the first.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("no panic").clone()
    }
}

async fn serve(
    mut client: TcpStream,
    backend: SocketAddr,
    answer: &(impl Fn(&str) -> Answer + Send + Sync),
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if client.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut words = text.split(' ');
    let (method, path) = (
        words.next().unwrap_or_default(),
        words.next().unwrap_or_default(),
    );
    log.lock()
        .expect("no panic")
        .push(format!("{method} {path}"));
    match answer(path) {
        Answer::Pass => {
            let mut server = TcpStream::connect(backend).await?;
            if !path.contains("/completions") {
                // So that the next question is asked here too.
                let end = head.len() - 2;
                head.splice(end..end, *b"connection: close\r\n");
            }
            server.write_all(&head).await?;
            tokio::io::copy_bidirectional(&mut client, &mut server).await?;
        }
        Answer::Say(response) => {
            client.write_all(response.as_bytes()).await?;
            client.shutdown().await?;
            // Closed while the rest of the request is unread, the connection would be reset.
            tokio::io::copy(&mut client, &mut tokio::io::sink()).await?;
        }
        Answer::Hang => std::future::pending::<()>().await,
        Answer::Endless(line) => {
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
            // Until the client closes it.
            loop {
                client.write_all(line.as_bytes()).await?;
                tokio::time::sleep(ENDLESS_PACE).await;
            }
        }
    }
    Ok(())
}
