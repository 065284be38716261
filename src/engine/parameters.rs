/// The name of the first parameter that is negative or not a finite number.
pub(super) fn first_invalid(parameters: &[(&'static str, f64)]) -> Option<&'static str> {
    let invalid = |(_, value): &&(&str, f64)| !value.is_finite() || *value < 0.0;
    parameters.iter().find(invalid).map(|(name, _)| *name)
}
