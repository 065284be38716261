//! Whom the client trusts: the platform's certificates, and what `CA_FILE` and `INSECURE` say beyond them.
//! And why a connection that should be secure is not, in words that say which key helps.

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

/// What `INSECURE` means, for every output.
pub(crate) const INSECURE: &str = "certificates are not verified, so anybody on the way can read the key and answer in the server's place";

/// How TLS connections are made: those of the load and those of all questions beside it.
#[derive(Clone, Debug)]
pub struct Tls(ClientConfig);

/// TLS could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// `CA_FILE` is no file of certificates.
    #[error("CA_FILE: {} {reason}. {hint}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to do.
        hint: &'static str,
    },
    /// The TLS library refuses its own settings.
    #[error("TLS could not be set up: {0}")]
    Library(#[from] rustls::Error),
}

impl Tls {
    /// Trusts what the platform trusts, `CA_FILE` beside it, or under `INSECURE` anybody.
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

    /// Trusts what the platform trusts.
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

/// The certificates of a PEM file, each one that can be trusted.
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

/// The platform's own judgement, with the certificates of `CA_FILE` beside its own.
#[derive(Debug)]
struct Trusting {
    /// Why there is none, where the machine has not one certificate: plain HTTP needs none.
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
            // What `openssl req -x509` makes is marked as a CA's, which no server may show. Its dates were
            // checked before that; whom it is for was not.
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

/// `INSECURE`: whatever certificate is shown.
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
