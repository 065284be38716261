//! Progress display on stderr: bars on a terminal, plain lines elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Interval at which a bar is drawn.
pub(crate) const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// Whether bars are drawn: on a capable terminal, unless `CI` is set. Otherwise progress is plain lines.
pub(crate) fn draws() -> bool {
    let set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    let off = |value: String| value == "false" || value == "0";
    let ci = set("CI") && !std::env::var("CI").is_ok_and(off);
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    !ci && !dumb && console::user_attended_stderr()
}

/// The draw target of bars: stderr, or hidden.
pub(crate) fn target() -> ProgressDrawTarget {
    match draws() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    }
}

/// A spinner with a message, shown until it is dropped. Hidden where bars are not drawn.
pub(crate) struct Spinner(ProgressBar);

impl Spinner {
    /// Starts the spinner.
    pub fn start(message: &str) -> Spinner {
        let bar = ProgressBar::with_draw_target(None, target());
        bar.set_style(style("{spinner:.cyan} {wide_msg}"));
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(DRAWN_EVERY);
        Spinner(bar)
    }

    /// Replaces the message.
    pub fn set_message(&self, message: String) {
        self.0.set_message(message);
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// The style of a bar; indicatif's default if `template` is invalid.
pub(crate) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Clears the line of the cursor: Criterion leaves one there that it would overwrite.
pub(crate) fn clear_line() {
    // An error means that the terminal is gone.
    let _ = console::Term::stderr().clear_line();
}

/// Formats a time, rounded up to seconds: `2 min 05 s`, `40 s`.
pub(crate) fn minutes(time: Duration) -> String {
    let seconds = time.as_secs_f64().ceil() as u64;
    match seconds / 60 {
        0 => format!("{seconds} s"),
        minutes => format!("{minutes} min {:02} s", seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_left_are_rounded_up_to_seconds() {
        assert_eq!(minutes(Duration::from_millis(39_100)), "40 s");
        assert_eq!(minutes(Duration::from_secs(125)), "2 min 05 s");
    }

    #[test]
    fn captured_output_has_no_bars() {
        // Under a test runner stderr is not a terminal, or CI is set; both hide bars.
        if !console::user_attended_stderr() {
            assert!(!draws() && target().is_hidden());
        }
    }
}
