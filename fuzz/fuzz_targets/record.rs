#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| servemark::internals::fuzzing::record(bytes));
