//! The certificates the client trusts: the platform's, plus `CA_FILE`, or any with `INSECURE`.
//! TLS errors are explained with the key that fixes them.

mod fault;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use rustls_platform_verifier::Verifier;

use crate::config::Settings;

pub(crate) use fault::fault;
use fault::is_ca_certificate;

/// The warning about `INSECURE` in every output.
pub(crate) const INSECURE: &str = "certificates are not verified, so anybody on the way can read the key and answer in the server's place";

/// The TLS settings of all connections: of the load, and of all other requests.
#[derive(Clone, Debug)]
pub struct Tls(ClientConfig);

/// TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// `CA_FILE` is not a readable file of certificates.
    #[error("CA_FILE: {} {reason}. {hint}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
        /// How to fix it.
        hint: &'static str,
    },
    /// The TLS library refuses its own settings.
    #[error("TLS could not be set up: {0}")]
    Library(#[from] rustls::Error),
}

impl Tls {
    /// Trusts the platform's certificates and `CA_FILE`, or with `INSECURE` any certificate.
    ///
    /// # Errors
    /// [`TlsError::CaFile`] if `CA_FILE` cannot be read or holds no certificate.
    pub fn new(config: &Settings) -> Result<Tls, TlsError> {
        let extra = match &config.ca_file {
            Some(path) => read_certificates(path)?,
            None => Vec::new(),
        };
        Tls::with(extra, config.insecure)
    }

    /// Trusts the platform's certificates.
    ///
    /// # Errors
    /// [`TlsError::Library`] if TLS cannot be set up at all.
    pub fn platform() -> Result<Tls, TlsError> {
        Tls::with(Vec::new(), false)
    }

    fn with(extra: Vec<CertificateDer<'static>>, insecure: bool) -> Result<Tls, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier: Arc<dyn ServerCertVerifier> = match insecure {
            true => Arc::new(Unverified(provider.clone())),
            false => Arc::new(Trusting {
                platform: Verifier::new_with_extra_roots(extra.iter().cloned(), provider.clone())
                    .map_err(|error| error.to_string()),
                extra,
                provider: provider.clone(),
            }),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(verifier)
            .with_no_client_auth();
        Ok(Tls(config))
    }

    /// The settings, for a connector.
    pub(crate) fn client_config(&self) -> ClientConfig {
        self.0.clone()
    }
}

/// Reads the certificates of a PEM file and checks that each can be trusted.
fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let wrong = |reason: String, hint| TlsError::CaFile {
        path: path.to_owned(),
        reason,
        hint,
    };
    const FORM: &str = "Give the CA's certificate, or the server's self-signed one, in PEM form: \
        text with the line -----BEGIN CERTIFICATE-----";
    let bytes = std::fs::read(path).map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => "does not exist".to_owned(),
            _ => format!("cannot be read ({error})"),
        };
        wrong(
            reason,
            "Give the path of a readable PEM file, or remove the key",
        )
    })?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| wrong(format!("is no PEM file ({error})"), FORM))?;
    if certificates.is_empty() {
        return Err(wrong("holds no certificate".to_owned(), FORM));
    }
    let mut store = RootCertStore::empty();
    for (at, certificate) in certificates.iter().enumerate() {
        store.add(certificate.clone()).map_err(|error| {
            let reason = format!(
                "holds a certificate that cannot be used (number {}: {error})",
                at + 1
            );
            wrong(reason, FORM)
        })?;
    }
    Ok(certificates)
}

/// The platform's verifier, with the certificates of `CA_FILE` added.
#[derive(Debug)]
struct Trusting {
    /// An error on a machine without certificates, which plain HTTP does not need.
    platform: Result<Verifier, String>,
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let platform = self.platform.as_ref().map_err(|why| {
            rustls::Error::General(format!("no certificate is trusted here: {why}"))
        })?;
        let judged =
            platform.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        match judged {
            // `openssl req -x509` marks its certificates as a CA's, which no server may show. The verifier
            // has checked the dates by then, but not the name.
            Err(rustls::Error::InvalidCertificate(error))
                if is_ca_certificate(&error) && self.extra.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// `INSECURE`: accepts any certificate.
#[derive(Debug)]
struct Unverified(Arc<CryptoProvider>);

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
