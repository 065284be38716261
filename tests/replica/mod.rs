//! Simulated servers that are processes of their own, so that they can be killed and stopped.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use servemark::internals::config::EndpointUrl;
use servemark::internals::endpoint::{Http, ServerMetrics};

/// A simulated server; killed when dropped.
pub struct Replica {
    pub child: Child,
    pub url: String,
}

impl Replica {
    /// On any free port.
    pub fn start() -> Replica {
        Replica::at("0")
    }

    pub fn at(port: &str) -> Replica {
        let mut child = Command::new(env!("CARGO_BIN_EXE_servemark"))
            .args(["engine", "--port", port])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("an engine");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let url = lines.next().expect("a line").expect("an address");
        Replica { child, url }
    }

    /// Kills it and starts another in its place, after `meanwhile`.
    pub fn replace(&mut self, meanwhile: impl FnOnce()) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
        meanwhile();
        let port = self.url.trim_end_matches('/').rsplit(':').next();
        *self = Replica::at(port.expect("a port"));
    }

    /// Requests that it has answered.
    pub fn successes(&self) -> f64 {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let http = Http::new(reqwest::Client::new(), Default::default());
        let url = EndpointUrl::parse(&self.url).expect("an address");
        let metrics = runtime.block_on(ServerMetrics::scrape(&http, &url));
        let counters = metrics.expect("the engine's /metrics").counters;
        counters.request_success_total.unwrap_or(0.0)
    }

    /// Waits until it has answered so many more requests of a run, which may not end meanwhile.
    pub fn wait_for_more(&self, requests: f64, run: &mut Child) {
        let before = self.successes();
        while self.successes() < before + requests {
            let ended = run.try_wait().expect("its state");
            assert_eq!(ended, None, "the run is over before its time");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that runs.
pub fn signal(child: &Child, signal: Signal) {
    let pid = Pid::from_raw(child.id().try_into().expect("an id"));
    kill(pid, signal).expect("it runs");
}
