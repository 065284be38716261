//! The `servemark engine` as a process of its own, so that its CPU and memory are its alone.

use std::error::Error;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A running engine; killed when dropped.
pub struct EngineProcess {
    pub child: Child,
    /// `http://127.0.0.1:<port>/`.
    pub url: String,
}

impl Drop for EngineProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl EngineProcess {
    /// Starts one replica on a free port; returns when it accepts connections.
    pub fn start(options: &[&str]) -> Result<EngineProcess, Box<dyn Error>> {
        let mut child = Command::new(env!("CARGO_BIN_EXE_servemark"))
            .args(["engine", "--port", "0"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no stdout")?;
        BufReader::new(stdout).read_line(&mut line)?;
        if line.is_empty() {
            return Err("the engine did not start".into());
        }
        let url = line.trim().to_owned();
        Ok(EngineProcess { child, url })
    }
}

/// Host and port of an engine's URL.
pub fn address(url: &str) -> &str {
    url.trim_start_matches("http://").trim_end_matches('/')
}
