//! Endpoints behind TLS, as behind a gateway.
// Elsewhere the system's own store says what is trusted, and no file can.
#![cfg(target_os = "linux")]

mod engines;

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use servemark::engine::Engine;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

/// A gateway that speaks TLS and hands everything to the engine; its port, and its certificate (PEM).
fn gateway(runtime: &Runtime, engine: &Engine) -> (u16, String) {
    let certified = generate_simple_self_signed(["localhost".to_owned()]);
    let CertifiedKey { cert, signing_key } = certified.expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(signing_key.serialize_der().into());
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
    (port, cert.pem())
}

/// `servemark check` of the gateway, trusting the certificates in `trusted`.
fn check(port: u16, trusted: &Path) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_servemark"))
        .args(["check", "--endpoint", &format!("https://localhost:{port}")])
        .current_dir(trusted.parent().expect("a folder"))
        .env("SERVEMARK_READY_TIMEOUT", "5")
        .env("SSL_CERT_FILE", trusted)
        .env_remove("SSL_CERT_DIR")
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
