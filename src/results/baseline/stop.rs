//! Steps of a change of baselines at which tests simulate a killed process or a full disk.

#[cfg(not(test))]
use super::error::BaselineError;

/// The next operation on a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Writes a directory or a file's content, which needs space.
    Write,
    /// Creates an empty file.
    Mark,
    /// Renames a file, which needs no space.
    Rename,
    /// Removes a file.
    Remove,
}

/// Called before each step; does nothing except in tests.
#[cfg(not(test))]
pub(super) fn before(_: Step) -> Result<(), BaselineError> {
    Ok(())
}

#[cfg(test)]
pub(super) use injected::{Injected, before, with};

#[cfg(test)]
mod injected {
    use std::cell::Cell;
    use std::io;
    use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

    use super::super::error::BaselineError;
    use super::Step;

    /// What goes wrong.
    #[derive(Clone, Copy, Debug)]
    pub enum Injected {
        /// The process ends before this step, counted from 0.
        Killed(usize),
        /// From this step on nothing can be written any more.
        DiskFull(usize),
    }

    /// What the thread unwinds with, past everything that a killed process would not do either.
    struct Killed;

    thread_local! {
        static INJECTED: Cell<Option<Injected>> = const { Cell::new(None) };
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub fn before(step: Step) -> Result<(), BaselineError> {
        let at = STEPS.replace(STEPS.get() + 1);
        match INJECTED.get() {
            Some(Injected::Killed(last)) if at == last => resume_unwind(Box::new(Killed)),
            Some(Injected::DiskFull(first)) if at >= first && step == Step::Write => {
                Err(BaselineError::File {
                    path: format!("step {at}"),
                    error: io::ErrorKind::StorageFull.into(),
                })
            }
            _ => Ok(()),
        }
    }

    /// Does something with this going wrong; `None` where it was killed, and how many steps it took.
    pub fn with<T>(injected: Injected, action: impl FnOnce() -> T) -> (Option<T>, usize) {
        INJECTED.set(Some(injected));
        STEPS.set(0);
        let result = catch_unwind(AssertUnwindSafe(action));
        INJECTED.set(None);
        let result = match result {
            Ok(result) => Some(result),
            Err(panic) if panic.is::<Killed>() => None,
            Err(panic) => resume_unwind(panic),
        };
        (result, STEPS.get())
    }
}
