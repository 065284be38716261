/// What follows a heading above figures of the embedded engine, so that nobody takes them for a GPU's.
pub(super) fn simulated(preset: Option<&str>) -> String {
    match preset {
        Some(preset) => format!(
            " — **simulated**: the embedded engine's figures (preset {preset}), not a GPU's"
        ),
        None => String::new(),
    }
}
