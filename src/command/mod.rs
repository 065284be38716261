//! One file per subcommand: its arguments, and what it prints.

pub mod check;
pub mod engine;
pub mod fit;
