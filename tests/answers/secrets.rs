//! A server, or a proxy before it, that repeats what it was sent: no secret reaches what is said or written.

use std::path::Path;

use super::scripted::{Answer, Scripted};
use super::{API_KEY, DONE, Here, LAST, TOKEN, finishing, good, said};

const TENANT: &str = "tenant-4711-secret";
const COOKIE: &str = "sid-4711-secret";

/// Every file under `directory` but the user's own configuration, and its contents.
fn files(directory: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let read = |path: std::path::PathBuf| match path.is_dir() {
        true if path.ends_with("fixtures") => Vec::new(),
        true => files(&path),
        false => vec![(
            path.display().to_string(),
            std::fs::read(&path).expect("a file"),
        )],
    };
    paths.flat_map(read).collect()
}

#[test]
fn what_a_server_repeats_of_keys_and_headers_is_hidden_everywhere() {
    let here = Here::with(&format!(
        r#"{{"MODEL_HEADERS": {{"X-Tenant": "{TENANT}", "Cookie": "session={COOKIE}; theme=dark"}}}}"#
    ));
    let echo = format!("Bearer {API_KEY} {TENANT} session={COOKIE}");
    let error = format!(r#"{{"error":{{"message":"no {echo}","echo":"{API_KEY}"}}}}"#);
    // The key lies across the place where a message is cut.
    let far = format!("{} {echo}", "x".repeat(285));
    let answers = [
        Answer::whole("400 Bad Request", &error),
        Answer::whole("401 Unauthorized", &error),
        Answer::whole(
            "407 Proxy Authentication Required",
            &format!("<html>{echo}</html>"),
        ),
        Answer::whole(
            "500 Internal Server Error",
            &format!("GET / HTTP/1.1\r\n{echo}"),
        ),
        Answer::whole("502 Bad Gateway", &far),
        Answer::whole(
            &format!("307 Temporary Redirect\r\nLocation: http://u:{API_KEY}@h/{TENANT}"),
            "",
        ),
        Answer::whole(&format!("200 OK\r\nContent-Encoding: {API_KEY}"), &error),
        Answer::json(&error),
        Answer::json(&format!(r#"{{"choices": "{echo}"}}"#)),
        Answer::json(&format!(r#""{echo}""#)),
        Answer::events([&*error, DONE]),
        Answer::events([TOKEN, &finishing(&format!("\"{API_KEY}\"")), DONE]),
        Answer::events([TOKEN, &format!("{{broken {echo}"), DONE]),
        Answer::events([
            LAST,
            &format!(r#"{{"usage": "{echo}"}}"#),
            &format!(r#"{{"error": "{far}"}}"#),
        ]),
        Answer::stream([format!("event: error\ndata: {echo}\n\n")]),
    ];
    let mut said_in_all = String::new();
    for answer in answers {
        let server = Scripted::start(vec![good(), answer]);
        let (_, text) = here.run(&server, "2");
        assert!(text.contains("failed"), "half of the requests fail: {text}");
        said_in_all.push_str(&text);
        for arguments in [
            &["report"][..],
            &["results"],
            &["baseline", "save", "kept", "--force"],
        ] {
            said_in_all.push_str(&said(&here.command(arguments)).1);
        }
        let written = files(here.0.path());
        assert!(written.iter().any(|(path, _)| path.ends_with("new.json")));
        for secret in [API_KEY, TENANT, COOKIE, "-4711-"] {
            assert!(!said_in_all.contains(secret), "{secret}: {said_in_all}");
            for (path, bytes) in &written {
                let text = String::from_utf8_lossy(bytes);
                assert!(!text.contains(secret), "{secret} in {path}");
            }
        }
    }
    assert!(said_in_all.contains("<hidden>"), "{said_in_all}");
}
