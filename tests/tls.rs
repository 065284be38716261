//! Endpoints behind TLS, as behind a gateway.
// Elsewhere the system's own store says what is trusted, and no file can.
#![cfg(target_os = "linux")]

mod engines;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedKey, DnType, IsCa, Issuer, KeyPair,
    date_time_ymd, generate_simple_self_signed,
};
use servemark::internals::engine::Engine;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A gateway that speaks TLS with a certificate of its own making and hands everything to the engine; its port, and
/// its certificate (PEM).
fn gateway(runtime: &Runtime, engine: &Engine) -> (u16, String) {
    let certified = generate_simple_self_signed(["localhost".to_owned()]);
    let CertifiedKey { cert, signing_key } = certified.expect("a certificate");
    let port = gateway_with(runtime, engine, &cert, &signing_key);
    (port, cert.pem())
}

/// The same with this certificate.
fn gateway_with(runtime: &Runtime, engine: &Engine, cert: &Certificate, key: &KeyPair) -> u16 {
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .expect("a TLS server");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let backend = engine.urls()[0].socket_addrs(|| None).expect("an address")[0];
    let listener = runtime
        .block_on(TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let port = listener.local_addr().expect("an address").port();
    runtime.spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                // A client that does not trust the certificate leaves.
                let Ok(mut client) = acceptor.accept(client).await else {
                    return;
                };
                let mut server = TcpStream::connect(backend).await.expect("the engine");
                // Either side may end without a goodbye.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    port
}

/// `servemark check` of the gateway, trusting the certificates in `trusted`.
fn check(port: u16, trusted: &Path) -> (Option<i32>, String) {
    let folder = trusted.parent().expect("a folder");
    let trusted = trusted.to_str().expect("UTF-8");
    servemark(&["check"], port, folder, &[("SSL_CERT_FILE", trusted)])
}

/// A command against the gateway on a machine that trusts one authority, of others.
fn servemark(
    arguments: &[&str],
    port: u16,
    folder: &Path,
    env: &[(&str, &str)],
) -> (Option<i32>, String) {
    let others = folder.join("others.pem");
    std::fs::write(&others, made("elsewhere.example", named_otherwise).0.pem()).expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_servemark"))
        .args(arguments)
        .args(["--endpoint", &format!("https://localhost:{port}")])
        .current_dir(folder)
        .env("CRITERION_HOME", folder)
        .env("SERVEMARK_READY_TIMEOUT", "60")
        .env("SSL_CERT_FILE", others)
        .env_remove("SSL_CERT_DIR")
        .envs(env.iter().copied())
        .output()
        .expect("the command runs");
    let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
    (output.status.code(), text.concat())
}

#[test]
fn questions_and_load_go_through_tls_to_a_server_that_the_system_trusts() {
    let runtime = Runtime::new().expect("a runtime");
    let engine = engines::engine(|_| {});
    let (port, certificate) = gateway(&runtime, &engine);
    let folder = tempfile::tempdir().expect("a folder");
    let trusted = folder.path().join("trusted.pem");
    std::fs::write(&trusted, certificate).expect("written");
    let (code, text) = check(port, &trusted);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("usage sent"), "{text}");

    // Another certificate for the same name.
    let (_, stranger) = gateway(&runtime, &engine);
    std::fs::write(&trusted, stranger).expect("written");
    let (code, text) = check(port, &trusted);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("certificate"), "{text}");
}

/// A certificate for `name`, changed so and signed by itself.
fn made(name: &str, change: impl FnOnce(&mut CertificateParams)) -> (Certificate, KeyPair) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
    change(&mut params);
    (params.self_signed(&key).expect("a certificate"), key)
}

fn named_otherwise(params: &mut CertificateParams) {
    let name = DnType::CommonName;
    params.distinguished_name.push(name, "another authority");
}

/// A short run, after which there are a table and records.
const RUN: [&str; 11] = [
    "run",
    "--concurrency",
    "1",
    "--max-tokens",
    "4",
    "--duration",
    "0.3",
    "--warm-up",
    "0.1",
    "--windows",
    "2",
];

#[test]
fn a_ca_file_makes_self_signed_and_private_certificates_trusted() {
    let (runtime, engine) = (Runtime::new().expect("a runtime"), engines::engine(|_| {}));
    let folder = tempfile::tempdir().expect("a folder");
    let ca_key = KeyPair::generate().expect("a key");
    let mut ca = CertificateParams::new([]).expect("no name");
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_cert = ca.self_signed(&ca_key).expect("a CA");
    let leaf_key = KeyPair::generate().expect("a key");
    let leaf = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    let leaf = leaf
        .signed_by(&leaf_key, &Issuer::from_params(&ca, &ca_key))
        .expect("a certificate");
    let (own, own_key) = made("localhost", |_| {});
    // A certificate as `openssl req -x509` makes it.
    let (marked, marked_key) = made("localhost", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    for (what, cert, key, trusted) in [
        ("a private CA's", &leaf, &leaf_key, ca_cert.pem()),
        ("self-signed", &own, &own_key, own.pem()),
        (
            "self-signed and marked as a CA's",
            &marked,
            &marked_key,
            marked.pem(),
        ),
    ] {
        let port = gateway_with(&runtime, &engine, cert, key);
        std::fs::write(folder.path().join("ca.pem"), trusted).expect("written");
        let (code, text) = servemark(&["check"], port, folder.path(), &[]);
        assert_eq!(code, Some(1), "{what}: {text}");
        for said in ["self-signed", "CA_FILE", "INSECURE: true"] {
            assert!(text.contains(said), "{what}: {said}: {text}");
        }
        assert!(!text.contains("speak https"), "{what}: {text}");
        let trusting = [("SERVEMARK_CA_FILE", "ca.pem")];
        let (code, text) = servemark(&RUN, port, folder.path(), &trusting);
        assert_eq!(code, Some(0), "{what}: {text}");
        assert!(!text.contains("INSECURE"), "{what}: {text}");
    }
}

#[test]
fn the_fault_of_a_certificate_is_named_at_once_and_insecure_goes_on_loudly() {
    let (runtime, engine) = (Runtime::new().expect("a runtime"), engines::engine(|_| {}));
    let folder = tempfile::tempdir().expect("a folder");
    let cases = [
        (
            "has expired (on 2020-02-03)",
            made("localhost", |params| {
                params.not_before = date_time_ymd(2019, 1, 2);
                params.not_after = date_time_ymd(2020, 2, 3);
            }),
        ),
        (
            "not valid yet (only from 2090-01-02 on)",
            made("localhost", |params| {
                params.not_before = date_time_ymd(2090, 1, 2);
                params.not_after = date_time_ymd(2091, 1, 2);
            }),
        ),
        (
            "it is for gpu7.example, not for localhost",
            made("gpu7.example", |_| {}),
        ),
        (
            "it is for gpu7.example, not for localhost",
            made("gpu7.example", |params| {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }),
        ),
    ];
    for (said, (cert, key)) in cases {
        let port = gateway_with(&runtime, &engine, &cert, &key);
        std::fs::write(folder.path().join("ca.pem"), cert.pem()).expect("written");
        let trusting = [("SERVEMARK_CA_FILE", "ca.pem")];
        for arguments in [&["check"][..], &RUN] {
            let (code, text) = servemark(arguments, port, folder.path(), &trusting);
            assert!(matches!(code, Some(1 | 2)), "{text}");
            assert!(
                text.contains(said) && text.contains("INSECURE: true"),
                "{said}: {text}"
            );
            assert!(!text.contains("speak https"), "{text}");
        }
        let (code, text) = servemark(&RUN, port, folder.path(), &[("SERVEMARK_INSECURE", "true")]);
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("INSECURE"), "{text}");
    }
}

#[test]
fn a_machine_without_any_trusted_certificate_loads_plain_http_and_says_what_https_wants() {
    let (runtime, engine) = (Runtime::new().expect("a runtime"), engines::engine(|_| {}));
    let folder = tempfile::tempdir().expect("a folder");
    let nobody = folder.path().join("none.pem");
    let check = |url: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_servemark"))
            .args(["check", "--endpoint", url])
            .current_dir(folder.path())
            .env("SSL_CERT_FILE", &nobody)
            .env_remove("SSL_CERT_DIR")
            .output()
            .expect("the command runs");
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stdout).into_owned(),
        )
    };
    let (code, text) = check(engine.urls()[0].as_str());
    assert_eq!(code, Some(0), "{text}");
    let (port, _) = gateway(&runtime, &engine);
    let (code, text) = check(&format!("https://localhost:{port}"));
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains("ca-certificates") && text.contains("CA_FILE"),
        "{text}"
    );
}

#[test]
fn insecure_is_shown_wherever_figures_are() {
    let (runtime, engine) = (Runtime::new().expect("a runtime"), engines::engine(|_| {}));
    let folder = tempfile::tempdir().expect("a folder");
    let (port, _) = gateway(&runtime, &engine);
    let insecure = [("SERVEMARK_INSECURE", "true")];
    let (code, text) = servemark(&RUN, port, folder.path(), &insecure);
    assert_eq!(code, Some(0), "{text}");
    let said = "**INSECURE**: the servers' certificates were not verified";
    assert!(text.contains(said), "the table: {text}");
    assert!(
        text.contains("INSECURE: certificates are not verified"),
        "before the load: {text}"
    );
    let (_, text) = servemark(&["check"], port, folder.path(), &insecure);
    assert!(
        text.contains("INSECURE: certificates are not verified"),
        "{text}"
    );
    let command = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_servemark"))
            .args(arguments)
            .current_dir(folder.path())
            .env("CRITERION_HOME", folder.path())
            .output()
            .expect("the command runs");
        let text = [output.stdout, output.stderr].map(|b| String::from_utf8_lossy(&b).into_owned());
        text.concat()
    };
    assert!(command(&["results"]).contains(said));
    assert!(command(&["results", "--format", "csv"]).contains("certificates not verified"));
    assert!(command(&["results", "--format", "json"]).contains("\"INSECURE\":true"));
    let exported = command(&["results", "--format", "vllm"]);
    assert!(
        exported.contains("(INSECURE: certificates not verified)"),
        "{exported}"
    );
    command(&["baseline", "save", "unverified"]);
    assert!(command(&["baseline", "show", "unverified"]).contains(said));
    assert!(command(&["compare", "unverified", "new"]).contains(said));
    command(&["report"]);
    let page = std::fs::read_to_string(folder.path().join("servemark/index.html"));
    assert!(page.expect("a page").contains("INSECURE"));
    // Against a run that verified them, that is a difference.
    let (port, certificate) = gateway(&runtime, &engine);
    std::fs::write(folder.path().join("ca.pem"), certificate).expect("written");
    let trusting = [("SERVEMARK_CA_FILE", "ca.pem")];
    let (code, text) = servemark(&RUN, port, folder.path(), &trusting);
    assert_eq!(code, Some(0), "{text}");
    let compared = command(&["compare", "unverified", "new"]);
    assert!(compared.contains("INSECURE: true → false"), "{compared}");
}
