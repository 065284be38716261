//! A server on a real socket that answers as a script says, byte for byte.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;

/// One response of the script.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The pieces to write, each after the previous one was sent.
    pieces: Vec<String>,
    /// Whether the response's end never comes, although the connection stays open.
    is_held: bool,
}

impl Answer {
    /// A response with this head, behind `HTTP/1.1 `, and body.
    pub fn whole(head: &str, body: &str) -> Answer {
        let length = body.len();
        Answer {
            pieces: vec![format!(
                "HTTP/1.1 {head}\r\nContent-Length: {length}\r\n\r\n{body}"
            )],
            is_held: false,
        }
    }

    /// A JSON answer.
    pub fn json(body: &str) -> Answer {
        Answer::whole("200 OK\r\nContent-Type: application/json", body)
    }

    /// An event stream of these bytes, each in a chunk of its own.
    pub fn stream<S: AsRef<str>>(bytes: impl IntoIterator<Item = S>) -> Answer {
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
        let chunk = |text: S| format!("{:x}\r\n{}\r\n", text.as_ref().len(), text.as_ref());
        let chunks = bytes.into_iter().map(chunk);
        Answer {
            pieces: std::iter::once(head.to_owned()).chain(chunks).collect(),
            is_held: false,
        }
        .ended()
    }

    /// A stream of events with this data.
    pub fn events<S: AsRef<str>>(data: impl IntoIterator<Item = S>) -> Answer {
        let event = |data: S| format!("data: {}\n\n", data.as_ref());
        Answer::stream(data.into_iter().map(event))
    }

    /// The same without the end of its body, on a connection that stays open.
    pub fn held(mut self) -> Answer {
        self.pieces.pop();
        self.is_held = true;
        self
    }

    fn ended(mut self) -> Answer {
        self.pieces.push("0\r\n\r\n".to_owned());
        self
    }
}

/// The model that it lists unless it is told another.
const MODEL: &str = "scripted";

/// The server; ends with the runtime that it owns.
pub struct Scripted {
    url: String,
    posts: Arc<AtomicUsize>,
    bodies: Arc<Mutex<Vec<String>>>,
    _runtime: Runtime,
}

impl Scripted {
    /// Answers the requests of a load by `answers` in turn, again and again.
    pub fn start(answers: Vec<Answer>) -> Scripted {
        let count = answers.len();
        Scripted::answering(MODEL, move |request| answers[request % count].clone())
    }

    /// The same, of a model with this id in its `/v1/models`.
    pub fn start_as(model: &'static str, answers: Vec<Answer>) -> Scripted {
        let count = answers.len();
        Scripted::answering(model, move |request| answers[request % count].clone())
    }

    /// The same for the first `served` requests; all others get `then`.
    pub fn start_and_then(answers: Vec<Answer>, served: usize, then: Answer) -> Scripted {
        let count = answers.len();
        Scripted::answering(MODEL, move |request| match request < served {
            true => answers[request % count].clone(),
            false => then.clone(),
        })
    }

    fn answering(
        model: &'static str,
        answer: impl Fn(usize) -> Answer + Send + Sync + 'static,
    ) -> Scripted {
        let runtime = Runtime::new().expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind("127.0.0.1:0"))
            .expect("a port");
        let address = listener.local_addr().expect("an address");
        let posts = Arc::new(AtomicUsize::new(0));
        let bodies = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new((answer, posts.clone(), bodies.clone()));
        runtime.spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let script = script.clone();
                // A client that leaves ends its connection, nothing else.
                tokio::spawn(async move {
                    let (answer, posts, bodies) = &*script;
                    serve(connection, model, answer, (posts, bodies)).await
                });
            }
        });
        Scripted {
            url: format!("http://{address}"),
            posts,
            bodies,
            _runtime: runtime,
        }
    }

    /// Its address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The bodies of the requests of a load that it has read.
    pub fn bodies(&self) -> Vec<String> {
        self.bodies.lock().expect("no panic inside").clone()
    }

    /// Requests of a load that it has read.
    pub fn posts(&self) -> usize {
        self.posts.load(Ordering::SeqCst)
    }
}

async fn serve(
    mut connection: TcpStream,
    model: &str,
    answer: &(impl Fn(usize) -> Answer + Sync),
    (posts, bodies): (&AtomicUsize, &Mutex<Vec<String>>),
) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    while let Some((line, body)) = read_request(&mut connection).await? {
        let answer = match line.split(' ').collect::<Vec<_>>()[..] {
            ["POST", path, _] if path.ends_with("completions") => {
                bodies.lock().expect("no panic inside").push(body);
                answer(posts.fetch_add(1, Ordering::SeqCst))
            }
            ["GET", "/health", _] => Answer::whole("200 OK", ""),
            ["GET", "/v1/models", _] => {
                let list = serde_json::json!({"data": [{"id": model}]});
                Answer::json(&list.to_string())
            }
            _ => Answer::whole("404 Not Found", ""),
        };
        for piece in &answer.pieces {
            connection.write_all(piece.as_bytes()).await?;
        }
        if answer.is_held {
            // Until the client closes it.
            while connection.read(&mut [0; 64]).await? > 0 {}
            break;
        }
    }
    Ok(())
}

/// Reads a request whole; its first line and its body, or `None` at the connection's end.
async fn read_request(connection: &mut TcpStream) -> std::io::Result<Option<(String, String)>> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .filter_map(|line| line.split_once(": "))
                .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
                .map_or(0, |(_, length)| length.parse().expect("a length"));
            if body.len() >= length {
                let line = head.lines().next().map(str::to_owned);
                return Ok(line.map(|line| (line, body.to_owned())));
            }
        }
        let mut more = [0; 4096];
        match connection.read(&mut more).await? {
            0 => return Ok(None),
            count => bytes.extend_from_slice(&more[..count]),
        }
    }
}
