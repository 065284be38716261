//! Standard output and error that can fail: a pipe that nobody reads any more, a device that is full.
//!
//! `println!` and `eprintln!` panic where they cannot write, here as in Criterion and clap, and so end a
//! run whose results would be lost. A process that prints therefore calls [`relay`] first: its streams then
//! lead through a pipe to a thread that passes everything on and notes what could not be written. A
//! terminal is left alone, as colours and bars depend on it.
//!
//! - A reader that has gone (`… | head -1`) changes nothing: the process goes on, quietly, and exits with
//!   its own code.
//! - Any other failure of standard output (`> /dev/full`) ends the process with one line on standard error
//!   and exit code 2.

/// Relays what this process prints, until it exits. Does nothing the second time, and on systems other than
/// Unix.
pub fn relay() {
    #[cfg(unix)]
    unix::relay();
}

/// Waits until all that was printed so far has been passed on.
///
/// # Errors
/// The system's, where standard output could not be written; a reader that has gone is no error.
pub fn settle() -> std::io::Result<()> {
    #[cfg(unix)]
    unix::settle()?;
    Ok(())
}

#[cfg(unix)]
mod unix {
    use std::fs::File;
    use std::io::{self, ErrorKind, IsTerminal, PipeReader, Read, Write};
    use std::os::fd::{AsFd, OwnedFd};
    use std::os::unix::fs::MetadataExt;
    use std::sync::{Mutex, MutexGuard, Once, PoisonError};
    use std::thread::JoinHandle;

    use nix::errno::Errno;
    use nix::libc;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use nix::unistd::{dup2_stderr, dup2_stdout};

    /// Exit code where standard output could not be written.
    const CANNOT_PRINT: i32 = 2;

    static RELAY: Mutex<Option<Relay>> = Mutex::new(None);
    static AT_EXIT: Once = Once::new();

    /// Where the streams led before, and the threads that carry on to there.
    struct Relay {
        stdout: Option<OwnedFd>,
        stderr: Option<OwnedFd>,
        /// What standard output could not be given is reported; of standard error there is nowhere to.
        carries_stdout: Option<JoinHandle<io::Result<()>>>,
        carries_stderr: Option<JoinHandle<io::Result<()>>>,
    }

    fn lock() -> MutexGuard<'static, Option<Relay>> {
        RELAY.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn relay() {
        AT_EXIT.call_once(|| {
            // SAFETY: `at_exit` is an `extern "C"` function without arguments that never unwinds. Where it
            // cannot be registered, the streams stay as they are.
            if unsafe { libc::atexit(at_exit) } == 0 {
                // Without descriptors or threads the streams stay as they are, too.
                *lock() = Relay::start().ok();
            }
        });
    }

    pub fn settle() -> io::Result<()> {
        let mut relay = lock();
        let Some(running) = relay.take() else {
            return Ok(());
        };
        let settled = running.finish();
        *relay = Relay::start().ok();
        settled
    }

    /// Passes on what is still under way, however the process ends.
    extern "C" fn at_exit() {
        let Some(relay) = lock().take() else {
            return;
        };
        if let Err(error) = relay.finish() {
            // It leads again where it led before. `eprintln!` would panic where that is closed or full as well.
            let _ = writeln!(
                io::stderr(),
                "error: standard output cannot be written: {error}"
            );
            // SAFETY: ends the process; all streams have been passed on.
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
                carries_stdout: None,
                carries_stderr: None,
            };
            match relay.redirect() {
                Ok(()) => Ok(relay),
                Err(error) => relay.finish().and(Err(error)),
            }
        }

        fn redirect(&mut self) -> io::Result<()> {
            let mut is_shared = false;
            if let Some(original) = &self.stdout {
                // One pipe for both keeps the order of what goes to the same place.
                let same = |errors: &OwnedFd| is_same(original, errors);
                is_shared = self.stderr.as_ref().map_or(Ok(false), same)?;
                let (pipe, thread) = carry(original)?;
                self.carries_stdout = Some(thread);
                dup2_stdout(&pipe)?;
                if is_shared {
                    dup2_stderr(&pipe)?;
                }
            }
            if let (Some(original), false) = (&self.stderr, is_shared) {
                let (pipe, thread) = carry(original)?;
                self.carries_stderr = Some(thread);
                dup2_stderr(&pipe)?;
            }
            Ok(())
        }

        /// Lets the streams lead where they led before, once all is passed on.
        fn finish(self) -> io::Result<()> {
            // Into a pipe that is read this does not fail.
            let _ = io::stdout().flush();
            // The last writing ends of the pipes close, so the threads come to an end.
            if let Some(stdout) = &self.stdout {
                dup2_stdout(stdout)?;
            }
            if let Some(stderr) = &self.stderr {
                dup2_stderr(stderr)?;
            }
            let join = |thread: Option<JoinHandle<_>>| match thread.map(JoinHandle::join) {
                Some(Ok(carried)) => carried,
                // A thread that panicked has said so.
                Some(Err(_)) | None => Ok(()),
            };
            let printed = join(self.carries_stdout);
            let _ = join(self.carries_stderr);
            match printed {
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                printed => printed,
            }
        }
    }

    /// Starts a thread that writes to `to` what comes through the returned pipe.
    fn carry(to: &OwnedFd) -> io::Result<(io::PipeWriter, JoinHandle<io::Result<()>>)> {
        let (from, pipe) = io::pipe()?;
        let to = File::from(to.try_clone()?);
        let thread = std::thread::Builder::new()
            .name("servemark-stdio".into())
            .spawn(move || pass_on(from, to))?;
        Ok((pipe, thread))
    }

    /// Reads to the end in any case, so that whoever prints never waits and never fails.
    fn pass_on(mut from: PipeReader, mut to: File) -> io::Result<()> {
        let mut buffer = vec![0; 1 << 16];
        let mut passed_on = Ok(());
        loop {
            match from.read(&mut buffer) {
                Ok(0) => return passed_on,
                Ok(read) if passed_on.is_ok() => passed_on = write(&mut to, &buffer[..read]),
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return passed_on,
            }
        }
    }

    /// As `write_all`, but waits for a stream that another process has made non-blocking.
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

    /// Waits until the stream takes something again, or has failed.
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
