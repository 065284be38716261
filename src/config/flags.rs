//! Keys given on a command line.

use super::error::{ConfigError, Origin, Problem};
use super::keys::Key;

/// The value of a key as an option of a command gives it: it wins over the environment and the file.
///
/// Not `Debug`, as an address may hold a key.
#[derive(Clone)]
pub struct Flag {
    /// The key.
    pub key: &'static Key,
    /// The option's name (`--concurrency`), for messages.
    pub option: &'static str,
    /// A right value of the option, for messages.
    pub example: &'static str,
    /// The value, in the form of the key's variable.
    pub value: String,
}

/// Names the options, in place of the variables that they stand for, where their values are at fault.
pub(super) fn blame(flags: &[Flag], error: ConfigError) -> ConfigError {
    let blamed = |problem: Problem| {
        let at_fault = flags.iter().find(|flag| {
            matches!(&problem.origin, Origin::Variable(name) if *name == flag.key.variable())
        });
        match at_fault {
            None => problem,
            Some(flag) => Problem {
                origin: Origin::Option(flag.option.to_owned()),
                mend: format!("For example: {} {}", flag.option, flag.example),
                ..problem
            },
        }
    };
    match error {
        ConfigError::Invalid { problems } => ConfigError::Invalid {
            problems: problems.into_iter().map(blamed).collect(),
        },
        other => other,
    }
}
