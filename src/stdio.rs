//! Standard output and error that can fail: a pipe without a reader, a full device.
//!
//! `println!` and `eprintln!` panic if they cannot write, here and in Criterion and clap. That would end a run and lose
//! its results. A process that prints therefore calls [`relay`] first: its streams then lead through a pipe to a thread
//! that forwards everything and records failed writes. A terminal is not relayed, as colours and bars depend on it.
//!
//! - If the reader is gone (`… | head -1`), the process continues silently and exits with its own code.
//! - Any other failure of standard output (`> /dev/full`) ends the process with one line on standard error
//!   and exit code 2.

/// Relays what this process prints, until it exits. The second call does nothing, nor does one on systems other than
/// Unix.
pub fn relay() {
    #[cfg(unix)]
    unix::relay();
}

/// Waits until everything printed so far has been forwarded.
///
/// # Errors
/// The error of the system if standard output could not be written. A reader that is gone is not an error.
pub fn flush() -> std::io::Result<()> {
    #[cfg(unix)]
    unix::flush()?;
    Ok(())
}

/// From now on the end of the process waits only a moment for a reader that is slow.
pub(crate) fn hurry() {
    #[cfg(unix)]
    unix::hurry();
}

/// Redirects output to `/dev/null` if its terminal is gone, such as after a hang-up: failed prints would otherwise lose
/// the results.
pub(crate) fn detach_lost_terminal() {
    #[cfg(unix)]
    // Without a descriptor the streams stay as they are.
    let _ = unix::detach_lost_terminal();
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, ErrorKind, IsTerminal, PipeReader, Read, Write};
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc::channel;
    use std::sync::{Mutex, MutexGuard, Once, PoisonError};
    use std::thread::JoinHandle;
    use std::time::Duration;

    use nix::errno::Errno;
    use nix::libc;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::unistd::{dup2_stderr, dup2_stdout};

    /// Exit code if standard output could not be written.
    const CANNOT_PRINT: i32 = 2;

    static RELAY: Mutex<Option<Relay>> = Mutex::new(None);
    static AT_EXIT: Once = Once::new();

    /// Whether the end of the process waits only a [`MOMENT`] for its output to be read.
    static HURRIES: AtomicBool = AtomicBool::new(false);

    /// Enough for a reader that reads.
    const MOMENT: Duration = Duration::from_millis(500);

    /// The original streams, and the threads that forward to them.
    struct Relay {
        stdout: Option<OwnedFd>,
        stderr: Option<OwnedFd>,
        /// Failed writes to standard output are reported on standard error; those to standard error cannot be.
        stdout_thread: Option<JoinHandle<io::Result<()>>>,
        stderr_thread: Option<JoinHandle<io::Result<()>>>,
    }

    fn lock() -> MutexGuard<'static, Option<Relay>> {
        RELAY.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[expect(
        unsafe_code,
        reason = "Criterion and clap end the process themselves: only `atexit` can still forward what was printed, and \
                  no safe wrapper of it exists"
    )]
    pub fn relay() {
        AT_EXIT.call_once(|| {
            // SAFETY: `at_exit` is an `extern "C"` function without arguments that never unwinds. If it cannot be
            // registered, the streams stay as they are.
            if unsafe { libc::atexit(at_exit) } == 0 {
                // Without descriptors or threads, too, the streams stay as they are.
                *lock() = Relay::start().ok();
            }
        });
    }

    pub fn flush() -> io::Result<()> {
        // Not locked meanwhile: a process that is told to end does not wait for a slow reader.
        let Some(running) = lock().take() else {
            return Ok(());
        };
        let flushed = running.finish();
        *lock() = Relay::start().ok();
        flushed
    }

    pub fn hurry() {
        HURRIES.store(true, Ordering::Relaxed);
    }

    /// Terminals are not relayed, so a character device that is not a terminal now was one before.
    pub fn detach_lost_terminal() -> io::Result<()> {
        let is_lost = |stream: &dyn AsFd, is_terminal: bool| -> io::Result<bool> {
            let kind = File::from(stream.as_fd().try_clone_to_owned()?).metadata()?;
            Ok(!is_terminal && kind.file_type().is_char_device())
        };
        let null = File::options().write(true).open("/dev/null")?;
        let (stdout, stderr) = (io::stdout(), io::stderr());
        if is_lost(&stdout, stdout.is_terminal())? {
            dup2_stdout(&null)?;
        }
        if is_lost(&stderr, stderr.is_terminal())? {
            dup2_stderr(&null)?;
        }
        Ok(())
    }

    /// Forwards the rest of the output, however the process ends.
    #[expect(
        unsafe_code,
        reason = "`std::process::exit` must not be called while the process exits, but the exit code must change"
    )]
    extern "C" fn at_exit() {
        let Some(relay) = lock().take() else {
            return;
        };
        let finished = match HURRIES.load(Ordering::Relaxed) {
            true => relay.finish_within(MOMENT),
            false => relay.finish(),
        };
        if let Err(error) = finished {
            // Stderr is the original stream again. `eprintln!` would panic if it is closed or full as well.
            let _ = writeln!(
                io::stderr(),
                "error: standard output cannot be written: {error}"
            );
            // SAFETY: ends the process; all output has been forwarded.
            unsafe { libc::_exit(CANNOT_PRINT) }
        }
    }

    impl Relay {
        fn start() -> io::Result<Relay> {
            let (stdout, stderr) = (io::stdout(), io::stderr());
            let relayed = |is_terminal: bool, stream: &dyn AsFd| match is_terminal {
                true => Ok(None),
                false => stream.as_fd().try_clone_to_owned().map(Some),
            };
            let mut relay = Relay {
                stdout: relayed(stdout.is_terminal(), &stdout)?,
                stderr: relayed(stderr.is_terminal(), &stderr)?,
                stdout_thread: None,
                stderr_thread: None,
            };
            match relay.redirect() {
                Ok(()) => Ok(relay),
                Err(error) => relay.finish().and(Err(error)),
            }
        }

        fn redirect(&mut self) -> io::Result<()> {
            let mut is_shared = false;
            if let Some(original) = &self.stdout {
                // A shared pipe keeps the order of output to the same destination.
                let same = |errors: &OwnedFd| is_same(original, errors);
                is_shared = self.stderr.as_ref().map_or(Ok(false), same)?;
                let (pipe, thread) = forward(original)?;
                self.stdout_thread = Some(thread);
                dup2_stdout(&pipe)?;
                if is_shared {
                    dup2_stderr(&pipe)?;
                }
            }
            if let (Some(original), false) = (&self.stderr, is_shared) {
                let (pipe, thread) = forward(original)?;
                self.stderr_thread = Some(thread);
                dup2_stderr(&pipe)?;
            }
            Ok(())
        }

        /// Like [`Relay::finish`], but gives up after this time: a print that waits for the reader holds the stream.
        fn finish_within(self, time: Duration) -> io::Result<()> {
            let (sender, finished) = channel();
            let finishing = std::thread::Builder::new().spawn(move || sender.send(self.finish()));
            match finishing {
                Ok(_) => finished.recv_timeout(time).unwrap_or(Ok(())),
                Err(_) => Ok(()),
            }
        }

        /// Restores the original streams once everything is forwarded.
        fn finish(self) -> io::Result<()> {
            // Writing to a pipe with a reader does not fail.
            let _ = io::stdout().flush();
            // The last writing ends of the pipes close, so the threads come to an end.
            if let Some(stdout) = &self.stdout {
                dup2_stdout(stdout)?;
            }
            if let Some(stderr) = &self.stderr {
                dup2_stderr(stderr)?;
            }
            let join = |thread: Option<JoinHandle<_>>| match thread.map(JoinHandle::join) {
                Some(Ok(written)) => written,
                // A panic of the thread has been printed.
                Some(Err(_)) | None => Ok(()),
            };
            let printed = join(self.stdout_thread);
            let _ = join(self.stderr_thread);
            match printed {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                printed => printed,
            }
        }
    }

    /// Starts a thread that forwards the returned pipe to `to`.
    fn forward(to: &OwnedFd) -> io::Result<(io::PipeWriter, JoinHandle<io::Result<()>>)> {
        let (from, pipe) = io::pipe()?;
        let to = File::from(to.try_clone()?);
        let thread = std::thread::Builder::new()
            .name("servemark-stdio".into())
            .spawn(move || copy(from, to))?;
        Ok((pipe, thread))
    }

    /// Always reads to the end, so that printing never blocks and never fails.
    fn copy(mut from: PipeReader, mut to: File) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        let mut written = Ok(());
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return written,
                Ok(read) if written.is_ok() => written = write(&mut to, &buffer[..read]),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return written,
            }
        }
    }

    /// Like `write_all`, but waits for a stream that another process has made non-blocking.
    fn write(to: &mut File, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match to.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => wait_for(to)?,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Waits until the stream can be written again, or has failed.
    fn wait_for(to: &File) -> io::Result<()> {
        let mut stream = [PollFd::new(to.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut stream, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether two descriptors lead to the same file, pipe or device.
    fn is_same(one: &OwnedFd, other: &OwnedFd) -> io::Result<bool> {
        let metadata = |fd: &OwnedFd| File::from(fd.try_clone()?).metadata();
        let (one, other) = (metadata(one)?, metadata(other)?);
        Ok((one.dev(), one.ino()) == (other.dev(), other.ino()))
    }
}
