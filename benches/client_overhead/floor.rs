//! The floor: bare hyper on one thread, one connection a stream, counting the bytes that arrive.

use std::time::Instant;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use servemark::internals::file_limit::raise_file_limit;
use tokio::net::TcpStream;

use crate::engine_process::address;
use crate::{Measured, Point, Result, usage};

pub fn run(point: &Point) -> Result<Measured> {
    raise_file_limit().unwrap_or_else(|error| eprintln!("warning: {error}"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let before_bytes = usage::peak_memory_bytes()?;
    let body = Bytes::from(format!(
        "{{\"prompt\":[1],\"max_tokens\":{},\"ignore_eos\":true,\"stream\":true,\"stream_options\":{{\"include_usage\":true}}}}",
        point.tokens
    ));
    let local = tokio::task::LocalSet::new();
    let (senders, _) =
        runtime.block_on(local.run_until(round(point, body.clone(), Vec::new(), 1)))?;
    let (user, system) = usage::cpu_s()?;
    let begin = Instant::now();
    let (_, bytes) =
        runtime.block_on(local.run_until(round(point, body, senders, point.rounds)))?;
    let seconds = begin.elapsed().as_secs_f64();
    let (user_after, system_after) = usage::cpu_s()?;
    if bytes == 0 {
        return Err("no byte arrived".into());
    }
    Ok(Measured {
        events: point.streams as u64 * point.rounds * u64::from(point.tokens),
        seconds,
        user_s: user_after - user,
        system_s: system_after - system,
        process_cpu_s: user_after + system_after,
        peak_bytes: usage::peak_memory_bytes()?,
        memory_bytes: usage::peak_memory_bytes()? - before_bytes,
        startup_ms: None,
        ttft_error: None,
        itl_error: None,
    })
}

type Sender = http1::SendRequest<Full<Bytes>>;

/// Lets every stream send `rounds` requests, one after another; the bytes that came.
async fn round(
    point: &Point,
    body: Bytes,
    mut senders: Vec<Sender>,
    rounds: u64,
) -> Result<(Vec<Sender>, usize)> {
    let address = address(&point.url);
    while senders.len() < point.streams {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
        tokio::task::spawn_local(connection);
        senders.push(sender);
    }
    let streams: Vec<_> = senders
        .into_iter()
        .map(|sender| tokio::task::spawn_local(stream(sender, body.clone(), rounds)))
        .collect();
    let (mut senders, mut bytes) = (Vec::new(), 0);
    for stream in streams {
        let (sender, read) = stream.await?.map_err(|error| error.to_string())?;
        senders.push(sender);
        bytes += read;
    }
    Ok((senders, bytes))
}

async fn stream(
    mut sender: Sender,
    body: Bytes,
    rounds: u64,
) -> std::result::Result<(Sender, usize), hyper::Error> {
    let mut bytes = 0;
    for _ in 0..rounds {
        sender.ready().await?;
        let request = Request::post("/v1/completions")
            .header(header::HOST, "engine")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.clone()))
            .expect("a request of constants");
        let mut response = sender.send_request(request).await?;
        while let Some(frame) = response.body_mut().frame().await {
            bytes += frame?.data_ref().map_or(0, Bytes::len);
        }
    }
    Ok((sender, bytes))
}
