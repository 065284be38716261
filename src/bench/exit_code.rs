//! Exit codes of a bench, beside 0 and a signal's 130, 143 or 129.

use crate::interrupt::Interrupt;
use crate::stdio;

/// A point failed, or a result could not be written.
pub const POINT_FAILED: u8 = 1;

/// Nothing was measured: the configuration, the endpoints or the tokenizer are not usable.
pub const CANNOT_RUN: u8 = 2;

/// Standard output cannot be written.
const CANNOT_PRINT: u8 = 2;

/// The code once all that was printed is read: a signal's if one has come by then, else this one.
pub fn after_printing(interrupt: &Interrupt, code: u8) -> u8 {
    if let Err(error) = stdio::flush() {
        eprintln!("error: standard output cannot be written: {error}");
        return CANNOT_PRINT;
    }
    interrupt.exit_code().unwrap_or(code)
}
