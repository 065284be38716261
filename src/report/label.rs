use super::style::{HEADING, LABEL, plain, styled};

/// A heading above figures, styled, with a label of what they may be mistaken for.
pub(super) fn heading(text: &str, simulated: Option<&str>, insecure: bool) -> String {
    styled(HEADING, text) + &shown(simulated, insecure)
}

/// The suffix of a heading above simulated figures, so that they are not mistaken for a GPU's, and above figures
/// of servers whose certificates were not verified.
pub(super) fn of(simulated: Option<&str>, insecure: bool) -> String {
    plain(&shown(simulated, insecure))
}

/// The same, styled.
pub(super) fn shown(simulated: Option<&str>, insecure: bool) -> String {
    let simulated = simulated.map(|preset| {
        let label = styled(LABEL, "**simulated**");
        format!(" — {label}: the embedded engine's figures (preset {preset}), not a GPU's")
    });
    let insecure = insecure.then(|| {
        let label = styled(LABEL, "**INSECURE**");
        format!(" — {label}: the servers' certificates were not verified")
    });
    [simulated, insecure].into_iter().flatten().collect()
}
