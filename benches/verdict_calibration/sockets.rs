//! placeholder until the bench can run A/B
pub const VARIABLE: &str = "SERVEMARK_CALIBRATE_SOCKETS";
pub fn run() -> i32 {
    0
}
pub fn compare(_: crate::virtual_runs::Conditions, _: bool) -> crate::Result<String> {
    Ok(String::new())
}
