//! Processes that are sent a signal.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::collections::VecDeque;
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, PipeReader, PipeWriter, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Longer than anything here takes; a test that waits so long has failed.
pub const NEVER: Duration = Duration::from_secs(20);

/// Cases that run at the same time: most of each is waiting.
const AT_A_TIME: usize = 4;

const SIGNALS: [(Signal, &str); 3] = [
    (Signal::SIGINT, "Ctrl-C"),
    (Signal::SIGTERM, "SIGTERM"),
    (Signal::SIGHUP, "SIGHUP"),
];

/// A process under way, and what it says on both of its streams.
pub struct Process {
    child: Child,
    lines: Receiver<String>,
    said: String,
}

impl Process {
    /// Starts it and listens to both of its streams.
    pub fn start(command: Command) -> Process {
        Process::start_with_stdout(command, Stdio::piped())
    }

    /// Starts it and listens to its standard error alone, unless `stdout` is a pipe of the process's own.
    pub fn start_with_stdout(mut command: Command, stdout: Stdio) -> Process {
        command.stdout(stdout).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        // It alone holds its end of a pipe.
        drop(command);
        let (sender, lines) = channel();
        let stdout = child
            .stdout
            .take()
            .map(|s| Box::new(s) as Box<dyn Read + Send>);
        let stderr = child
            .stderr
            .take()
            .map(|s| Box::new(s) as Box<dyn Read + Send>);
        for stream in stdout.into_iter().chain(stderr) {
            let sender = sender.clone();
            std::thread::spawn(move || {
                let lines = BufReader::new(stream).lines();
                for line in lines.map_while(Result::ok) {
                    // Nobody listens any more where the test has failed.
                    let _ = sender.send(line);
                }
            });
        }
        Process {
            child,
            lines,
            said: String::new(),
        }
    }

    /// Waits until it says this.
    pub fn until(&mut self, words: &str) {
        loop {
            match self.lines.recv_timeout(NEVER) {
                Ok(line) => {
                    self.said += &format!("{line}\n");
                    if line.contains(words) {
                        return;
                    }
                }
                Err(error) => {
                    let _ = self.child.kill();
                    panic!("{words:?} was not said ({error}):\n{}", self.said);
                }
            }
        }
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("it runs");
    }

    /// Its end, and all that it said.
    pub fn end(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("it ends");
        while let Ok(line) = self.lines.recv_timeout(NEVER) {
            self.said += &format!("{line}\n");
        }
        (status, std::mem::take(&mut self.said))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It has ended, unless the test has failed.
        let _ = self.child.kill();
    }
}

/// Whether this process was started to ignore SIGHUP, the signal of number one, and hands that on.
pub fn ignores_hang_up() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).expect("a mask") & 1 == 1)
}

pub fn signals() -> impl Iterator<Item = (Signal, &'static str)> {
    let is_heard = |signal: &(Signal, _)| signal.0 != Signal::SIGHUP || !ignores_hang_up();
    SIGNALS.into_iter().filter(is_heard)
}

/// Does something with every case, a few at a time.
pub fn each<C: Send>(cases: impl IntoIterator<Item = C>, check: impl Fn(C) + Sync) {
    let cases = Mutex::new(VecDeque::from_iter(cases));
    let next = || cases.lock().expect("no panic inside").pop_front();
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                while let Some(case) = next() {
                    check(case);
                }
            });
        }
    });
}

/// What `wait` gives; it may not take longer than [`NEVER`].
pub fn within<T: Send + 'static>(what: &str, wait: impl FnOnce() -> T + Send + 'static) -> T {
    let (sender, result) = channel();
    std::thread::spawn(move || sender.send(wait()));
    let result = result.recv_timeout(NEVER);
    result.unwrap_or_else(|error| panic!("{what}: {error}"))
}

/// A pipe that is full, and how many bytes are in it.
pub fn full_pipe() -> (PipeReader, PipeWriter, usize) {
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    let set = |flags| fcntl(&writer, FcntlArg::F_SETFL(flags)).expect("set");
    set(OFlag::O_NONBLOCK);
    let mut filled = 0;
    loop {
        match writer.write(&[b'.'; 512]) {
            Ok(written) => filled += written,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) => panic!("{error}"),
        }
    }
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).expect("set");
    (reader, writer, filled)
}
