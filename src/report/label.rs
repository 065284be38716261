/// What follows a heading above figures of the embedded engine, so that nobody takes them for a GPU's, and above
/// those of servers whose certificates were not verified.
pub(super) fn of(simulated: Option<&str>, insecure: bool) -> String {
    let simulated = match simulated {
        Some(preset) => format!(
            " — **simulated**: the embedded engine's figures (preset {preset}), not a GPU's"
        ),
        None => String::new(),
    };
    match insecure {
        true => simulated + " — **INSECURE**: the servers' certificates were not verified",
        false => simulated,
    }
}
