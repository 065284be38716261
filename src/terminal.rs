//! What the terminal on stderr can show: bars that are drawn again and again, or plain lines only.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a bar is drawn.
pub(crate) const DRAWN_EVERY: Duration = Duration::from_millis(200);

/// Whether bars are drawn at all: on a terminal that can, unless `CI` is set. All else gets plain
/// lines.
pub(crate) fn draws() -> bool {
    let set = |name: &str| std::env::var(name).is_ok_and(|value| !value.is_empty());
    let off = |value: String| value == "false" || value == "0";
    let ci = set("CI") && !std::env::var("CI").is_ok_and(off);
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    !ci && !dumb && console::user_attended_stderr()
}

/// Where bars are drawn: on stderr, or nowhere.
pub(crate) fn target() -> ProgressDrawTarget {
    match draws() {
        true => ProgressDrawTarget::stderr(),
        false => ProgressDrawTarget::hidden(),
    }
}

/// Turns until it is dropped, with what is waited for beside it. Draws nothing where nothing is drawn.
pub(crate) struct Spinner(ProgressBar);

impl Spinner {
    /// Starts to turn.
    pub fn start(message: &str) -> Spinner {
        let bar = ProgressBar::with_draw_target(None, target());
        bar.set_style(style("{spinner:.cyan} {wide_msg}"));
        bar.set_message(message.to_owned());
        bar.enable_steady_tick(DRAWN_EVERY);
        Spinner(bar)
    }

    /// Says something else from now on.
    pub fn say(&self, message: String) {
        self.0.set_message(message);
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar's form; indicatif's own where it does not understand `template`.
pub(crate) fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Empties the line that the cursor is in: Criterion leaves one that it means to write again.
pub(crate) fn clear_line() {
    // A terminal that is gone shows nothing, cleared or not.
    let _ = console::Term::stderr().clear_line();
}

/// `2 min 05 s`, `40 s`: a time rounded up to seconds.
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
    fn what_is_captured_is_never_drawn_on() {
        // stderr of a test under a runner is no terminal, or CI is set; both mean hidden bars.
        if !console::user_attended_stderr() {
            assert!(!draws() && target().is_hidden());
        }
    }
}
