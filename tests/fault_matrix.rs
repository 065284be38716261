//! Every fault of the simulated engine, met by every load: by which cause it is counted, that it disturbs no other
//! request, that client and server count the same, and how the run ends.

mod engines;

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use servemark::RunRecord;
use servemark::internals::client::{Completion, Failure, Outcome, RequestRecord};
use servemark::internals::engine::{Engine, Faults};

/// Requests in flight in a closed loop.
const CONCURRENCY: &str = "4";

/// Requests that arrive per second in an open loop.
const RATE: &str = "40";

/// Tokens of an answer.
const TOKENS: usize = 8;

/// Faults that are met at a time: their runs wait more than they work.
const AT_A_TIME: usize = 6;

/// A load with a fault takes at most so long, on a slow machine.
const MOST: Duration = Duration::from_secs(60);

/// The expected end of requests that meet a fault.
#[derive(Clone, Copy)]
enum Met {
    /// They fail, counted by one of these causes.
    Fails(&'static [&'static str]),
    /// They succeed, and this is said of them.
    Succeeds(&'static str),
}

/// A fault, and what is expected of it.
struct Fault {
    /// Its name, and what else it takes to meet it.
    inject: &'static str,
    streamed: Met,
    unstreamed: Met,
    /// Whether the server begins to answer the requests that meet it.
    is_begun: bool,
}

const fn fails(
    inject: &'static str,
    is_begun: bool,
    streamed: &'static [&'static str],
    unstreamed: &'static [&'static str],
) -> Fault {
    Fault {
        inject,
        streamed: Met::Fails(streamed),
        unstreamed: Met::Fails(unstreamed),
        is_begun,
    }
}

const fn succeeds(inject: &'static str, said: &'static str) -> Fault {
    Fault {
        inject,
        streamed: Met::Succeeds(said),
        unstreamed: Met::Succeeds(said),
        is_begun: true,
    }
}

const CUT: &[&str] = &["stream cut short"];
const MALFORMED: &[&str] = &["malformed response"];
const ABORTED: &[&str] = &["aborted by the server"];

#[rustfmt::skip]
const FAULTS: [Fault; 17] = [
    // A connection that is closed at once may take the request or not.
    fails("refuse=0.5", false, &["connection failed", "stream cut short"], &["connection failed", "stream cut short"]),
    fails("http_429=0.5", false, &["HTTP 429"], &["HTTP 429"]),
    fails("http_500=0.5", false, &["HTTP 500"], &["HTTP 500"]),
    fails("http_503=0.5", false, &["HTTP 503"], &["HTTP 503"]),
    fails("reset=0.5", true, CUT, CUT),
    fails("cut=0.5", true, CUT, CUT),
    fails("malformed_sse=0.5", true, MALFORMED, MALFORMED),
    fails("garbage=0.5", true, MALFORMED, MALFORMED),
    fails("abort=0.5", true, ABORTED, ABORTED),
    fails("error_event=0.5", true, &["error event in stream"], &["error object as answer"]),
    fails("empty=0.5", true, &["empty answer"], &["empty answer"]),
    succeeds("slow_headers=0.1:600", ""),
    succeeds("stall=0.1:600", ""),
    succeeds("drip=0.02:1", ""),
    succeeds("wrong_usage=0.5", "longer than the 8 output tokens that max_tokens allows"),
    succeeds("no_usage=0.5", "answers were counted by the tokenizer, as the server counted none"),
    succeeds("zero_usage=0.5", "usage counts 0 output tokens although text came"),
];

/// How the load meets it.
#[derive(Clone, Copy, Debug)]
struct Load {
    shape: &'static str,
    stream: bool,
}

const LOADS: [Load; 6] = [
    Load::new("wave", true),
    Load::new("wave", false),
    Load::new("steady", true),
    Load::new("steady", false),
    Load::new("open", true),
    Load::new("open", false),
];

/// The result of a load.
struct Ran {
    code: Option<i32>,
    /// The output, errors last.
    text: String,
    took: Duration,
    record: RunRecord,
}

impl Load {
    const fn new(shape: &'static str, stream: bool) -> Load {
        Load { shape, stream }
    }

    /// A server that refuses may refuse the request that readiness sends, too: then there is no run, and it is
    /// tried again.
    fn run(self, engine: &Engine) -> Ran {
        const TRIES: usize = 12;
        let tried = (0..TRIES).find_map(|_| self.try_run(engine).ok());
        tried.unwrap_or_else(|| panic!("{self:?}: never ready"))
    }

    /// # Errors
    /// The output, if the server was not ready.
    fn try_run(self, engine: &Engine) -> Result<Ran, String> {
        let here = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(env!("CARGO_BIN_EXE_servemark"));
        for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("SERVEMARK_")) {
            command.env_remove(key);
        }
        let tokenizer = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/tokenizer");
        let begun = Instant::now();
        let output = command
            .args(["run", "--endpoint", engine.urls()[0].as_str()])
            .args(["--prompt", "25", "--max-tokens", &TOKENS.to_string()])
            .args(["--shape", self.shape])
            // Beside a stalled request an open loop goes on sending.
            .args(match self.shape {
                "open" => ["--rate", RATE],
                _ => ["--concurrency", CONCURRENCY],
            })
            .args(["--duration", "0.5", "--warm-up", "0.1", "--windows", "5"])
            .current_dir(here.path())
            .env("CRITERION_HOME", here.path())
            .env("SERVEMARK_STREAM", self.stream.to_string())
            .env("SERVEMARK_TOKENIZER_PATH", tokenizer)
            // The refused requests may be outside the load, and each request takes a connection.
            .env("SERVEMARK_MODEL_PATH", engine.model_name())
            .env("SERVEMARK_MODEL_HEADERS", r#"{"Connection": "close"}"#)
            .output()
            .expect("the command runs");
        let took = begun.elapsed();
        let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
        let text = text.concat();
        let level = match self.shape {
            "open" => format!("rate={RATE}"),
            _ => format!("c={CONCURRENCY}"),
        };
        let path = format!("servemark/run/25/{level}/new.json");
        let record = RunRecord::read(&here.path().join(path));
        if record.is_err() && text.contains("a request for the model") {
            return Err(text);
        }
        Ok(Ran {
            code: output.status.code(),
            took,
            record: record.unwrap_or_else(|error| panic!("{self:?}: {error}: {text}")),
            text,
        })
    }
}

impl Ran {
    fn completed(&self) -> impl Iterator<Item = (RequestRecord, Completion)> {
        self.record
            .requests
            .iter()
            .filter_map(|request| match &request.outcome {
                Outcome::Completed(completion) => Some((request.clone(), completion.clone())),
                Outcome::Failed(_) | Outcome::Blocked(_) => None,
            })
    }

    fn failed(&self) -> impl Iterator<Item = (RequestRecord, Failure)> {
        self.record
            .requests
            .iter()
            .filter_map(|request| match &request.outcome {
                Outcome::Failed(failure) => Some((request.clone(), failure.clone())),
                Outcome::Completed(_) | Outcome::Blocked(_) => None,
            })
    }

    /// Tokens that the server generated for a request; `None` where it did not begin it.
    fn generated(&self, engine: &Engine, request: &RequestRecord) -> Option<usize> {
        let prefix = self.record.request_id_prefix.as_ref().expect("ids");
        let id = format!("chatcmpl-{prefix}{:x}", request.index);
        Some(engine.truth(&id)?.choices[0].token_ns.len())
    }

    /// Medians over the answers (ms): E2EL, and TTFT where they are streamed.
    fn medians(&self) -> (f64, Option<f64>) {
        let summary = self.record.summary.as_ref().expect("figures");
        let ttft = summary.ttft_ms.as_ref().map(|ttft| ttft.p50);
        (summary.e2el_ms.as_ref().expect("latencies").p50, ttft)
    }
}

/// Returns whether a latency equals the latency of the same load without a fault. A request that waited for another's fault would
/// take 600 ms more and longer.
fn is_undisturbed(ms: f64, healthy_ms: f64) -> bool {
    ms < 3.0 * healthy_ms + 250.0
}

fn check(fault: &Fault, load: Load, engine: &Engine, healthy: &Ran) {
    let ran = load.run(engine);
    let case = format!(
        "{} under {load:?}, {:?}: {}",
        fault.inject, ran.took, ran.text
    );
    assert_eq!(ran.code, Some(0), "{case}");
    assert!(ran.took < MOST, "{case}");

    let mut completed = 0;
    for (request, completion) in ran.completed() {
        completed += 1;
        assert_eq!(ran.generated(engine, &request), Some(TOKENS), "{case}");
        let events = completion.content_ns.len();
        assert_eq!(events, if load.stream { TOKENS } else { 0 }, "{case}");
    }
    let summary = ran.record.summary.as_ref().expect("figures");
    assert_eq!(
        (completed > 0, summary.completed),
        (true, completed),
        "{case}"
    );
    let (ms, healthy_ms) = (ran.medians(), healthy.medians());
    assert!(
        is_undisturbed(ms.0, healthy_ms.0),
        "{ms:?}, {healthy_ms:?}: {case}"
    );
    let ttft = ms.1.zip(healthy_ms.1);
    assert!(
        ttft.is_none_or(|(ms, healthy)| is_undisturbed(ms, healthy)),
        "{ms:?}, {healthy_ms:?}: {case}"
    );

    let failed = Vec::from_iter(ran.failed());
    assert_eq!(summary.failed(), failed.len(), "{case}");
    match if load.stream {
        fault.streamed
    } else {
        fault.unstreamed
    } {
        Met::Succeeds(said) => {
            assert_eq!(failed.len(), 0, "{case}");
            assert!(ran.text.contains(said), "{said}: {case}");
        }
        Met::Fails(causes) => {
            assert!(!failed.is_empty(), "{case}");
            for (request, failure) in failed {
                let cause = failure.cause.to_string();
                assert!(causes.contains(&&*cause), "{cause}: {case}");
                let is_begun = ran.generated(engine, &request).is_some();
                assert_eq!(is_begun, fault.is_begun, "{cause}: {case}");
            }
        }
    }
}

/// Where every request fails the point does, and says why.
fn check_total(fault: &Fault) {
    let (Met::Fails(causes), (name, _)) = (fault.streamed, name_of(fault)) else {
        return;
    };
    if name == "refuse" {
        // The run would wait for the server to become ready.
        return;
    }
    let ran = LOADS[2].run(&engines::faults(&format!("{name}=1")));
    let case = format!("{name}=1: {}", ran.text);
    assert_eq!(ran.code, Some(1), "{case}");
    assert!(ran.text.contains("FAILED") && ran.took < MOST, "{case}");
    assert!(
        ran.record.summary.is_none() && ran.completed().count() == 0,
        "{case}"
    );
    let [counted] = &ran.record.failures[..] else {
        panic!("{:?}: {case}", ran.record.failures);
    };
    assert!(causes.contains(&&*counted.cause), "{case}");
    assert_eq!(counted.count, ran.failed().count(), "{case}");
}

fn name_of(fault: &Fault) -> (&str, &str) {
    fault.inject.split_once('=').expect("a name and a share")
}

#[test]
fn every_fault_is_counted_by_its_cause_and_disturbs_nothing_else() {
    let engine = engines::engine(|_| {});
    let healthy = LOADS.map(|load| load.run(&engine));
    for (load, ran) in LOADS.iter().zip(&healthy) {
        assert_eq!(
            (ran.code, ran.failed().count()),
            (Some(0), 0),
            "{load:?}: {}",
            ran.text
        );
    }
    let faults = Mutex::new(FAULTS.iter());
    let next = || faults.lock().expect("no panic holds it").next();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(fault) = next() {
                    let engine = engines::faults(fault.inject);
                    for (load, healthy) in LOADS.into_iter().zip(&healthy) {
                        check(fault, load, &engine, healthy);
                    }
                    check_total(fault);
                }
            });
        }
    });
}

#[test]
fn the_matrix_has_every_fault() {
    let error = "none=1"
        .parse::<Faults>()
        .expect_err("no such fault")
        .to_string();
    let (_, names) = error.split_once("the faults are ").expect("the names");
    let (names, _) = names.split_once(';').expect("their end");
    let known: BTreeSet<&str> = names.split(", ").collect();
    let here = FAULTS.iter().map(|fault| name_of(fault).0);
    assert_eq!(here.collect::<BTreeSet<_>>(), known, "{error}");
}
