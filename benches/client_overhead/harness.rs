//! servemark's own client under a steady load, as the benches run it, and its error against the truth.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Instant;

use nix::time::{ClockId, clock_gettime};
use serde::Deserialize;
use servemark::internals::client::{Client, Clock, Connections, Outcome, PayloadTemplate};
use servemark::internals::config::{Config, Settings, SteadyStart};
use servemark::internals::dialect::Completions;
use servemark::internals::file_limit::raise_file_limit;
use servemark::internals::fixture::load_runtime;
use servemark::internals::load::{Load, Window, steady};
use servemark::internals::metrics::SortedValues;
use url::Url;

use crate::requests::{Requests, request_id};
use crate::{Errors, Measured, Point, Result, usage};

/// Most requests whose truth is asked for: each costs a request of its own.
const MOST_CHECKED: usize = 2_000;

pub fn run(point: &Point, started: Instant) -> Result<Measured> {
    raise_file_limit().unwrap_or_else(|error| eprintln!("warning: {error}"));
    let config = Settings::load(&Config::new())?;
    let runtime = load_runtime()?;
    let clock = Clock::start();
    let clock_ms = started.elapsed().as_secs_f64() * 1e3;
    let client = Client::new(Connections::new()?, &config, &Completions, clock);
    let base = Url::parse(&point.url)?;
    let payload = PayloadTemplate::new(&config, &Completions, crate::MODEL, true);
    let url = base.join("v1/completions")?;
    let target = Arc::new(Requests::new(client, url, payload.body("x", None)));
    let streams = NonZeroUsize::try_from(point.streams)?;
    let before_bytes = usage::peak_memory_bytes()?;
    let mut load = Load::start(
        runtime.handle().clone(),
        target,
        |begin_ns| steady(begin_ns, streams, SteadyStart::Together),
        clock,
    );
    let warm_up = load.window(1);
    let (user, system) = usage::cpu_s()?;
    let begin = Instant::now();
    let window = load.window(point.rounds);
    let seconds = begin.elapsed().as_secs_f64();
    let (user_after, system_after) = usage::cpu_s()?;
    let peak_bytes = usage::peak_memory_bytes()?;
    drop(load);
    if let Some(failed) = failure(&warm_up).or_else(|| failure(&window)) {
        return Err(failed.into());
    }
    let truth = runtime.block_on(errors(&base, &window, clock))?;
    Ok(Measured {
        events: window.output_tokens().ok_or("no tokens were counted")? as u64,
        seconds,
        user_s: user_after - user,
        system_s: system_after - system,
        process_cpu_s: user_after + system_after,
        peak_bytes,
        startup_ms: warm_up
            .requests
            .iter()
            .map(|request| clock_ms + request.sent_ns as f64 * 1e-6)
            .min_by(f64::total_cmp),
        memory_bytes: peak_bytes - before_bytes,
        ttft_error: truth.0,
        itl_error: truth.1,
    })
}

fn failure(window: &Window) -> Option<String> {
    window
        .requests
        .iter()
        .find_map(|record| match &record.outcome {
            Outcome::Failed(failure) => Some(format!("{}: {}", failure.cause, failure.message)),
            _ => None,
        })
}

#[derive(Deserialize)]
struct Epoch {
    epoch_monotonic_ns: Option<u64>,
}

#[derive(Deserialize)]
struct Truth {
    choices: [Choice; 1],
}

#[derive(Deserialize)]
struct Choice {
    written_ns: Vec<u64>,
}

/// How far the timestamps of TTFT and ITL lie from the moments when the engine wrote the tokens, on the system's
/// one clock.
async fn errors(
    base: &Url,
    window: &Window,
    clock: Clock,
) -> Result<(Option<Errors>, Option<Errors>)> {
    let http = reqwest::Client::new();
    let epoch = http.get(base.join("servemark/truth")?).send().await?;
    let epoch: Epoch = epoch.error_for_status()?.json().await?;
    let Some(epoch_ns) = epoch.epoch_monotonic_ns else {
        return Ok((None, None));
    };
    let monotonic = clock_gettime(ClockId::CLOCK_MONOTONIC)?;
    let origin_ns =
        monotonic.tv_sec() as u64 * 1_000_000_000 + monotonic.tv_nsec() as u64 - clock.now_ns();
    let (mut ttft_ms, mut itl_ms) = (Vec::new(), Vec::new());
    let step = window.requests.len().div_ceil(MOST_CHECKED);
    for record in window.completed().step_by(step) {
        let path = format!("servemark/truth/cmpl-{}", request_id(record.index));
        let response = http.get(base.join(&path)?).send().await?;
        if response.status() == reqwest::StatusCode::NOT_FOUND {
            // The engine keeps the truth of the last four million tokens.
            continue;
        }
        let truth: Truth = response.error_for_status()?.json().await?;
        let written = &truth.choices[0].written_ns;
        let seen: Vec<u64> = record.outcome.content_ns.iter().collect();
        if written.len() != seen.len() {
            let (written, seen) = (written.len(), seen.len());
            return Err(format!("{path}: {written} tokens were written, {seen} seen").into());
        }
        ttft_ms.push(((origin_ns + seen[0]) as f64 - (epoch_ns + written[0]) as f64) * 1e-6);
        for (seen, written) in seen.windows(2).zip(written.windows(2)) {
            let error_ns = (seen[1] - seen[0]) as f64 - (written[1] - written[0]) as f64;
            itl_ms.push(error_ns.abs() * 1e-6);
        }
    }
    Ok((summarise(ttft_ms), summarise(itl_ms)))
}

fn summarise(values_ms: Vec<f64>) -> Option<Errors> {
    let values_ms: SortedValues = values_ms.into_iter().collect();
    Some(Errors {
        max_ms: values_ms.greatest()?,
        mean_ms: values_ms.mean()?,
        p99_ms: values_ms.percentile(99.0),
    })
}
