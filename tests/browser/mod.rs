//! Chromium without a window, as a judge of pages on the disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// A Chromium that can be started.
pub struct Browser {
    program: &'static str,
}

/// Observations of a page.
#[derive(Debug)]
pub struct Shown {
    /// Messages of its console.
    pub console: Vec<String>,
    /// Its network requests.
    pub requests: Vec<String>,
    /// Pixels that it is wide, whatever the window is.
    pub width: u64,
    /// Plots that take room.
    pub plots: usize,
    /// Texts of plots that reach beyond them.
    pub cut: Vec<String>,
    /// Height of the smallest letters in them (pixels).
    pub smallest_text: f64,
}

const PROBE: &str = include_str!("probe.html");

/// Options that keep Chromium from background activity.
const ALONE: [&str; 10] = [
    "--headless",
    // Containers have no user namespaces, in which it shuts itself in.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    // Lets the probe look into the page in its frame.
    "--allow-file-access-from-files",
];

impl Browser {
    /// The Chromium of this machine.
    ///
    /// # Panics
    /// Where there is none in CI; elsewhere it says that the test is left out.
    pub fn find() -> Option<Browser> {
        let starts = |program: &&&str| {
            let mut command = Command::new(program);
            command
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            command.status().is_ok_and(|status| status.success())
        };
        let known = ["chromium", "chromium-browser", "google-chrome"];
        let found = known.iter().find(starts).map(|program| Browser { program });
        if found.is_none() {
            assert!(
                std::env::var_os("CI").is_none(),
                "there is no chromium: .ci/run installs it"
            );
            eprintln!("skipped: there is no chromium on this machine");
        }
        found
    }

    /// Opens a page in a frame of this width.
    pub fn show(&self, page: &Path, width: u64) -> Shown {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let probe = directory.path().join("probe.html");
        let address = format!("file://{}", page.display()).replace('=', "%3D");
        let html = PROBE
            .replace("PAGE", &address)
            .replace("WIDTH", &width.to_string());
        fs::write(&probe, html).expect("writable");
        let log = directory.path().join("net.json");
        let output = self.run(&probe, directory.path(), &log);
        let (dom, messages) = (text(&output.stdout), text(&output.stderr));
        let seen = dom
            .split("<pre id=\"seen\">")
            .nth(1)
            .and_then(|rest| rest.split('<').next());
        let seen: Value = seen
            .and_then(|seen| serde_json::from_str(seen).ok())
            .unwrap_or_else(|| panic!("nothing was seen: {dom}\n{messages}"));
        let console = messages.lines().filter(|line| line.contains("CONSOLE"));
        Shown {
            console: console.map(str::to_owned).collect(),
            requests: requests(&log),
            width: seen["width"].as_u64().expect("a width"),
            plots: seen["plots"].as_u64().expect("a count") as usize,
            cut: serde_json::from_value(seen["cut"].clone()).expect("a list"),
            smallest_text: seen["smallest_text"].as_f64().expect("a height"),
        }
    }

    fn run(&self, page: &Path, profile: &Path, log: &Path) -> Output {
        let option = |name: &str, path: PathBuf| format!("--{name}={}", path.display());
        Command::new(self.program)
            .args(ALONE)
            .args([
                "--enable-logging=stderr",
                "--v=0",
                "--window-size=1300,1000",
            ])
            .arg(option("user-data-dir", profile.join("profile")))
            .arg(option("log-net-log", log.to_owned()))
            .arg("--dump-dom")
            .arg(format!("file://{}", page.display()))
            .output()
            .expect("chromium starts")
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Addresses on a network that a page asked for, from Chromium's log of them, an event a line. What it asks
/// for of its own accord has no origin.
fn requests(log: &Path) -> Vec<String> {
    let log = fs::read_to_string(log).expect("a log");
    let events = log.lines().map(|line| line.trim_end_matches(','));
    let events = events.filter_map(|event| serde_json::from_str::<Value>(event).ok());
    let of_a_page = |event: Value| {
        let params = event.get("params")?;
        let initiator = params.get("initiator")?.as_str()?;
        let url = params.get("url")?.as_str()?;
        let local = ["file:", "data:", "blob:"]
            .iter()
            .any(|scheme| url.starts_with(scheme));
        (initiator != "not an origin" && !local).then(|| url.to_owned())
    };
    events.filter_map(of_a_page).collect()
}
