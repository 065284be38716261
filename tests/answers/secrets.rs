//! A server, or a proxy before it, that repeats what it was sent: no secret reaches what is said or written.

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::cargo_bench::CargoBench;
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
fn keys_and_headers_repeated_by_a_server_are_hidden_everywhere() {
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

/// A user name and a password, as a header has them.
const BASIC: &str = "Basic YWxpY2UtNDcxMTpodW50ZXIyLTQ3MTEtc2VjcmV0";
const USER: &str = "alice-4711";
const PASSWORD: &str = "hunter2-4711-secret";

/// [`API_KEY`] in base64.
const KEY_IN_BASE64: &str = "c2stYW5zd2Vycy00NzExLXNlY3JldA==";

/// Secrets that must not appear anywhere. The last are shared by several cases.
const MARKS: [&str; 7] = [
    API_KEY,
    TENANT,
    COOKIE,
    PASSWORD,
    "YWxpY2UtNDcxM",
    "c2stYW5zd2Vyc",
    "4711-secret",
];

/// Runs a command and looks for marks in all that it says, in the files below `directory`, and in the command lines
/// of all processes while it runs; its exit code and what it said.
fn watched(mut command: Command, directory: &Path) -> (Option<i32>, String) {
    command
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let shown = format!("{command:?}");
    let mut child = command.spawn().expect("the command runs");
    let streams: [Box<dyn Read + Send>; 2] = [
        Box::new(child.stdout.take().expect("a pipe")),
        Box::new(child.stderr.take().expect("a pipe")),
    ];
    let readers = streams.map(|mut stream| {
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).expect("readable");
            String::from_utf8_lossy(&bytes).into_owned()
        })
    });
    let status = loop {
        for line in command_lines() {
            assert!(
                !MARKS.iter().any(|mark| line.contains(mark)),
                "{shown}: {line}"
            );
        }
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let said = readers.map(|reader| reader.join().expect("read")).concat();
    for mark in MARKS {
        assert!(!said.contains(mark), "{mark}: {shown}: {said}");
        for (path, bytes) in files(directory) {
            let text = String::from_utf8_lossy(&unpacked(&path, bytes)).into_owned();
            assert!(!text.contains(mark), "{mark} in {path} after {shown}");
        }
    }
    (status.code(), said)
}

/// Of every process, where the system tells them.
fn command_lines() -> Vec<String> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let line = |process: std::fs::DirEntry| std::fs::read(process.path().join("cmdline")).ok();
    let lines = processes.filter_map(line);
    lines
        .map(|line| String::from_utf8_lossy(&line).into_owned())
        .collect()
}

/// Returns the content of an archive; other files unchanged.
fn unpacked(path: &str, bytes: Vec<u8>) -> Vec<u8> {
    if !path.ends_with(".tar.gz") {
        return bytes;
    }
    let mut archive = Vec::new();
    let mut gz = flate2::read::GzDecoder::new(&*bytes);
    gz.read_to_end(&mut archive).expect("an archive");
    assert!(!archive.is_empty());
    archive
}

#[test]
fn no_command_tells_a_secret_to_anybody_but_the_server() {
    let headers = serde_json::json!({
        "X-Tenant": TENANT,
        "Cookie": format!("session={COOKIE}; theme=dark"),
        "X-Proxy-Authorization": BASIC,
    });
    let here = Here::with(&serde_json::json!({"MODEL_HEADERS": headers}).to_string());
    let directory = here.0.path();
    let echo = format!(
        "Bearer {API_KEY} {KEY_IN_BASE64} {TENANT} session={COOKIE} {BASIC} {USER}:{PASSWORD} password {PASSWORD}"
    );
    let error = format!(r#"{{"error":{{"message":"no {echo}"}}}}"#);
    let refused = Answer::whole("400 Bad Request", &error);
    let sound = Scripted::start(vec![good(), refused.clone()]);
    let failing = Scripted::start(vec![refused.clone()]);
    let see = |arguments: &[&str], expected: &[i32]| {
        let (code, said) = watched(here.prepared(arguments), directory);
        assert!(
            code.is_some_and(|code| expected.contains(&code)),
            "{arguments:?}: {code:?}: {said}"
        );
        said
    };
    let run = |url: &str, expected: i32| {
        let point =
            "--concurrency 2 --max-tokens 2 --prompt 25 --duration 0.3 --warm-up 0.1 --windows 3";
        let arguments = [
            &["run", "--endpoint", url][..],
            &Vec::from_iter(point.split(' ')),
        ];
        see(&arguments.concat(), &[expected])
    };
    assert!(run(sound.url(), 0).contains("<hidden>"));
    see(&["baseline", "save", "kept"], &[0]);
    see(
        &["baseline", "export", "kept.tar.gz", "--name", "kept"],
        &[0],
    );
    see(&["baseline", "list"], &[0]);
    see(&["baseline", "show", "kept"], &[0]);
    see(&["baseline", "rename", "kept", "other"], &[0]);
    see(&["baseline", "import", "kept.tar.gz"], &[0]);
    for format in ["table", "csv", "markdown", "json", "vllm"] {
        see(
            &[
                "results",
                "kept",
                "--format",
                format,
                "--output",
                &format!("out-{format}"),
            ],
            &[0],
        );
    }
    run(sound.url(), 0);
    see(&["compare", "kept", "new"], &[0]);
    let gate = [
        "gate",
        "--baseline",
        "kept",
        "--junit",
        "gate.xml",
        "--markdown",
        "gate.md",
    ];
    see(&gate, &[0, 1, 2]);
    see(&["report", "--single-file", "report.html"], &[0]);
    see(
        &[
            "fit",
            "servemark/run/25/c=2/new.json",
            "--output",
            "fitted.json",
        ],
        &[0, 1, 2],
    );
    see(&["check", "--endpoint", sound.url()], &[0, 1]);
    assert!(run(failing.url(), 1).contains("<hidden>"));
    see(&["check", "--endpoint", failing.url()], &[1]);
    see(&gate, &[2]);
    see(&["report", "--output", "pages"], &[0]);
    see(&["baseline", "delete", "other"], &[0]);
    // Errors in the configuration itself.
    for (key, value) in [
        (
            "SERVEMARK_MODEL_HEADERS",
            format!(r#"{{"X-Tenant": "{TENANT}""#),
        ),
        (
            "SERVEMARK_MODEL_HEADERS",
            format!(r#"{{"X-Tenant": ["{TENANT}"]}}"#),
        ),
        ("SERVEMARK_MODEL_HEADERS", format!(r#"["{TENANT}"]"#)),
        (
            "SERVEMARK_MODEL_ENDPOINTS",
            format!("http://u:{PASSWORD}@h:1"),
        ),
        (
            "SERVEMARK_MODEL_ENDPOINTS",
            format!("http://127.0.0.1:1/?key={PASSWORD}"),
        ),
        ("OPENAI_API_KEY", format!("{API_KEY} {API_KEY}")),
    ] {
        let mut command = here.prepared(&["run", "--prompt", "25"]);
        command
            .env(key, &value)
            .env("SERVEMARK_READY_TIMEOUT", "0.2");
        let (code, said) = watched(command, directory);
        assert_eq!(code, Some(2), "{key}={value}: {said}");
    }
}

#[test]
fn no_bench_tells_a_secret_of_a_deployment_or_of_a_load() {
    let chat = CargoBench::one_point();
    let refused = Answer::whole("400 Bad Request", &format!("no Bearer {API_KEY}"));
    let server = Scripted::start(vec![good(), refused]);
    let short = [
        "--bench",
        "--noplot",
        "--warm-up-time",
        "0.1",
        "--measurement-time",
        "0.3",
    ];
    let mut command = chat.command(chat.executable());
    command
        .args(short)
        .env("OPENAI_API_KEY", API_KEY)
        .env("SERVEMARK_MODEL_ENDPOINTS", server.url())
        .env("SERVEMARK_MAX_NEW_TOKENS", "2");
    let (_, said) = watched(command, chat.results());
    assert!(
        said.contains("HTTP 400, first: no Bearer <hidden>"),
        "{said}"
    );
    // A server that prints what it was started with; its own log, which is its own, lies elsewhere.
    let deployments = CargoBench::new("deployments");
    let elsewhere = tempfile::tempdir().expect("a temporary directory");
    let print = "echo tenant=$TENANT_TOKEN key=$OPENAI_API_KEY port={port}; exit 3";
    let listed = serde_json::json!([{
        "name": "printing", "command": ["sh", "-c", print], "env": {"TENANT_TOKEN": TENANT},
    }]);
    let config = elsewhere.path().join("parameters.json");
    let parameters = serde_json::json!({"DEPLOYMENTS": listed, "CONCURRENT_LEVELS": [2]});
    std::fs::write(&config, parameters.to_string()).expect("a writable directory");
    let mut command = deployments.command(deployments.executable());
    command
        .args(short)
        .env("OPENAI_API_KEY", API_KEY)
        .env("SERVEMARK_CONFIG", &config)
        .env("SERVEMARK_PROMPT_KEYS", "25");
    let nothing_of_it = tempfile::tempdir().expect("a temporary directory");
    let (code, said) = watched(command, nothing_of_it.path());
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("tenant=<hidden> key=<hidden>"), "{said}");
    for (path, bytes) in files(deployments.results()) {
        let text = String::from_utf8_lossy(&bytes);
        let is_log = path.ends_with("printing-0.log");
        assert_eq!(text.contains(TENANT), is_log, "{path}: {text}");
    }
}

/// Panics where it is started for that, in a process of its own.
#[test]
fn a_panic_tells_no_secret() {
    const CHILD: &str = "ANSWERS_PANICS";
    if std::env::var_os(CHILD).is_some() {
        servemark::internals::panics::hide_secrets();
        panic!("the server said: your key {API_KEY} is wrong");
    }
    let mut command = Command::new(std::env::current_exe().expect("this test"));
    command
        .args(["--exact", "secrets::a_panic_tells_no_secret", "--nocapture"])
        .env("OPENAI_API_KEY", API_KEY)
        .env(CHILD, "1");
    let nothing = tempfile::tempdir().expect("a temporary directory");
    let (code, said) = watched(command, nothing.path());
    assert_eq!(code, Some(101), "{said}");
    assert!(said.contains("your key <hidden> is wrong"), "{said}");
    assert!(
        said.contains("stack backtrace:") && said.contains("secrets.rs"),
        "{said}"
    );
}

#[test]
fn a_models_name_steers_no_terminal_and_is_sent_as_it_is() {
    let name = "odd\u{1b}[2J\u{1b}]0;title\u{7}\u{202e}model";
    let (here, server) = (Here::new(), Scripted::start_as(name, vec![good()]));
    let (code, mut said) = here.run(&server, "2");
    assert_eq!(code, Some(0), "{said}");
    for arguments in [
        &["results"][..],
        &["results", "--format", "csv"],
        &["check", "--endpoint", server.url()],
        &["baseline", "save", "kept"],
        &["baseline", "show", "kept"],
        &["compare", "kept", "new"],
    ] {
        said += &super::said(&here.command(arguments)).1;
    }
    assert!(said.contains("odd [2J ]0;title model"), "{said}");
    assert!(!said.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{said:?}");
    for (path, bytes) in files(here.0.path()) {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(
            !text.contains("u001b") && !text.contains('\u{1b}'),
            "{path}"
        );
    }
    let bodies = server.bodies();
    let sent = |body: &String| {
        let body: serde_json::Value = serde_json::from_str(body).expect("JSON");
        body["model"] == name
    };
    assert!(!bodies.is_empty() && bodies.iter().all(sent), "{bodies:?}");
}
