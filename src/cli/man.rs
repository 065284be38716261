use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Command;
use clap_mangen::Man;

const EXAMPLES: &str = "\
Examples:
  servemark man | man -l -
  servemark man --output ~/.local/share/man/man1
      servemark.1, and a page for each command, such as servemark-run.1";

#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    /// Directory for this page and the pages of all commands [default: this page to stdout]
    #[arg(long, value_name = "DIR")]
    output: Option<PathBuf>,
}

pub fn run(arguments: Arguments, command: Command) -> anyhow::Result<ExitCode> {
    match &arguments.output {
        Some(directory) => {
            let cannot = || format!("{}: the pages cannot be written", directory.display());
            std::fs::create_dir_all(directory).with_context(cannot)?;
            clap_mangen::generate_to(command, directory).with_context(cannot)?;
            eprintln!("wrote {}", directory.join("servemark.1").display());
        }
        None => {
            let mut page = Vec::new();
            Man::new(command).render(&mut page)?;
            print!("{}", String::from_utf8_lossy(&page));
        }
    }
    Ok(ExitCode::SUCCESS)
}
