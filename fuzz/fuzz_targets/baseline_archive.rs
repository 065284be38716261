#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| servemark::internals::fuzzing::baseline_archive(bytes));
