//! Keys given on the command line.

use super::keys::Key;

/// The value of a key from an option of a command. It overrides the environment and the file.
///
/// Not `Debug`, as an address may hold a key.
#[derive(Clone)]
pub struct Flag {
    /// The key.
    pub key: &'static Key,
    /// The option's name (`--concurrency`), for messages.
    pub option: &'static str,
    /// A valid value of the option, for messages.
    pub example: &'static str,
    /// The value, in the syntax of the key's variable.
    pub value: String,
}

impl Flag {
    /// The flag of an option, where the option was given.
    pub fn given(
        key: &'static Key,
        option: &'static str,
        example: &'static str,
        value: Option<String>,
    ) -> Option<Flag> {
        value.map(|value| Flag {
            key,
            option,
            example,
            value,
        })
    }
}
