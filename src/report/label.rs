/// The suffix of a heading above simulated figures, so that they are not mistaken for a GPU's, and above figures
/// of servers whose certificates were not verified.
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
