use std::process::ExitCode;

use servemark::config::Config;

pub fn run() -> anyhow::Result<ExitCode> {
    let config = Config::load()?;
    println!("configuration: {}\n", config.source);
    let report = servemark::check::check(&config)?;
    print!("{report}");
    Ok(match report.is_ready() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(1),
    })
}
