use std::io;
use std::time::Duration;

use rustls::Error;

use rustls::CertificateError;

use super::*;

fn config(json: &str, folder: &Path) -> Settings {
    let source = crate::config::ConfigSource::File(folder.join("parameters.json"));
    Settings::from_parts(source, json, &|_| None).expect("a configuration")
}

fn certificate() -> rcgen::CertifiedKey<rcgen::KeyPair> {
    rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate")
}

#[test]
fn a_ca_file_is_found_beside_the_configuration_and_may_hold_several() {
    let folder = tempfile::tempdir().unwrap();
    let two = certificate().cert.pem() + &certificate().cert.pem();
    std::fs::write(folder.path().join("ca.pem"), &two).unwrap();
    let config = config(r#"{"CA_FILE": "ca.pem"}"#, folder.path());
    Tls::new(&config).expect("trusted");
    assert_eq!(
        read_certificates(&config.ca_file.unwrap()).unwrap().len(),
        2
    );
}

#[test]
fn an_unusable_ca_file_is_named_with_its_path_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let made = certificate();
    let broken = made.cert.pem().replace("MII", "AAA");
    for (name, bytes, reason) in [
        (
            "key.pem",
            made.signing_key.serialize_pem().into_bytes(),
            "holds no certificate",
        ),
        ("ca.der", made.cert.der().to_vec(), "holds no certificate"),
        ("empty.pem", Vec::new(), "holds no certificate"),
        (
            "broken.pem",
            broken.into_bytes(),
            "holds a certificate that cannot be used (number 1",
        ),
        (
            "cut.pem",
            made.cert.pem().as_bytes()[..200].to_vec(),
            "is no PEM file",
        ),
    ] {
        std::fs::write(folder.path().join(name), bytes).unwrap();
        let config = config(&format!(r#"{{"CA_FILE": "{name}"}}"#), folder.path());
        let text = Tls::new(&config).unwrap_err().to_string();
        assert!(text.contains(&format!("{name} {reason}")), "{name}: {text}");
        assert!(
            text.contains("CA_FILE") && text.contains("BEGIN CERTIFICATE"),
            "{text}"
        );
    }
    for (path, reason) in [("absent.pem", "does not exist"), (".", "cannot be read")] {
        let config = config(&format!(r#"{{"CA_FILE": "{path}"}}"#), folder.path());
        let text = Tls::new(&config).unwrap_err().to_string();
        assert!(text.contains(reason) && text.contains("CA_FILE"), "{text}");
    }
}

#[test]
fn a_fault_names_what_is_wrong_with_the_certificate_and_the_keys_that_help() {
    let at = |seconds| UnixTime::since_unix_epoch(Duration::from_secs(seconds));
    let (time, day) = (at(1_000_000_000), at(86_400));
    let name = ServerName::try_from("10.1.2.3").unwrap();
    for (error, what, key) in [
        (CertificateError::UnknownIssuer, "self-signed", "CA_FILE"),
        (CertificateError::BadSignature, "another key", "CA_FILE"),
        (CertificateError::Expired, "has expired", "INSECURE"),
        (
            CertificateError::ExpiredContext {
                time,
                not_after: day,
            },
            "has expired (on 1970-01-02)",
            "INSECURE",
        ),
        (
            CertificateError::NotValidYetContext {
                time,
                not_before: day,
            },
            "not valid yet (only from 1970-01-02 on)",
            "INSECURE",
        ),
        (
            CertificateError::NotValidForNameContext {
                expected: name,
                presented: vec![
                    "DnsName(\"localhost\")".to_owned(),
                    "IpAddress(127.0.0.1)".to_owned(),
                ],
            },
            "it is for localhost, 127.0.0.1, not for 10.1.2.3",
            "MODEL_ENDPOINTS",
        ),
        (CertificateError::Revoked, "not accepted", "INSECURE"),
    ] {
        // As the connectors hand it on.
        let wrapped = io::Error::other(io::Error::new(
            io::ErrorKind::InvalidData,
            Error::InvalidCertificate(error),
        ));
        let fault = fault(&wrapped).expect("a fault of TLS");
        let text = fault.to_string();
        assert!(fault.is_certificate, "{text}");
        assert!(text.contains(what) && text.contains(key), "{text}");
        assert!(!text.contains("speak https"), "{text}");
    }
    let other = io::Error::new(
        io::ErrorKind::InvalidData,
        Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType),
    );
    let other = fault(&other).expect("a fault of TLS");
    assert!(!other.is_certificate && other.hint.contains("write http://"));
    assert_eq!(fault(&io::Error::other("a reset")), None);
}
