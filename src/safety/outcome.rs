/// The result of checking a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckOutcome {
    /// The text may pass.
    Allowed,
    /// The text may not pass.
    Blocked {
        /// The worst category.
        category: String,
        /// Its severity.
        severity: u8,
    },
}
