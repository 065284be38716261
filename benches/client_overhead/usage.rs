//! CPU time and memory of this process.

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::Result;

/// User and system time so far (s).
pub fn cpu_s() -> Result<(f64, f64)> {
    let usage = getrusage(UsageWho::RUSAGE_SELF)?;
    let seconds = |time: nix::sys::time::TimeVal| time.num_microseconds() as f64 * 1e-6;
    Ok((seconds(usage.user_time()), seconds(usage.system_time())))
}

/// Greatest resident memory so far (bytes).
pub fn peak_memory_bytes() -> Result<u64> {
    // Linux's `ru_maxrss` begins at what the starting process had: growth below that would not be seen.
    if let Ok(status) = std::fs::read_to_string("/proc/self/status") {
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.strip_suffix("kB"))
            .ok_or("/proc/self/status states no VmHWM")?;
        return Ok(peak.trim().parse::<u64>()? * 1024);
    }
    // In kilobytes, but for macOS.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Ok(getrusage(UsageWho::RUSAGE_SELF)?.max_rss() as u64 * unit)
}
