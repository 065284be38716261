//! Panic messages without secrets: a message may quote a server or a configuration.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::Write;
use std::panic::PanicHookInfo;
use std::sync::Once;

use crate::redact::{self, Secrets};

/// Installs a panic hook that prints panics as usual, but without secrets. Secrets of the environment are hidden at
/// once, secrets of a configuration from its first use. The second call does nothing.
pub fn hide_secrets() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        redact::learn(Secrets::default());
        std::panic::set_hook(Box::new(|panic| {
            // `eprintln!` would panic again if stderr cannot be written.
            let _ = std::io::stderr().write_all(message(panic).as_bytes());
        }));
    });
}

fn message(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let location = panic
        .location()
        .map_or("an unknown location".to_owned(), ToString::to_string);
    let payload = panic.payload();
    let message = payload.downcast_ref::<&str>().copied();
    let message = message.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let message = redact::hide(message.unwrap_or("(no message)"));
    let mut text = format!("\nthread '{name}' panicked at {location}:\n{message}\n");
    let backtrace = Backtrace::capture();
    match backtrace.status() {
        BacktraceStatus::Captured => text += &format!("stack backtrace:\n{backtrace}\n"),
        _ => {
            text +=
                "note: run with `RUST_BACKTRACE=1` environment variable to display a backtrace\n"
        }
    }
    text
}
