//! The `servemark` command.
#![deny(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    servemark::cli::main()
}
