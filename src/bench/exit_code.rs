//! Exit codes of a bench, beside 0 and a signal's 130, 143 or 129.

/// A point failed, or a result could not be written.
pub const POINT_FAILED: u8 = 1;

/// Nothing was measured: the configuration, the endpoints or the tokenizer are not usable.
pub const CANNOT_RUN: u8 = 2;
