use std::process::ExitCode;

use clap::Command;
use clap_complete::Shell;

const EXAMPLES: &str = "\
Examples:
  servemark completions bash > ~/.local/share/bash-completion/completions/servemark
  servemark completions zsh > ~/.zfunc/_servemark
      with ~/.zfunc in fpath
  servemark completions fish > ~/.config/fish/completions/servemark.fish";

#[derive(clap::Args)]
#[command(after_long_help = EXAMPLES)]
pub struct Arguments {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(arguments: Arguments, mut command: Command) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "servemark", &mut script);
    print!("{}", String::from_utf8_lossy(&script));
    Ok(ExitCode::SUCCESS)
}
