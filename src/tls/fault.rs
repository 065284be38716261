use std::error::Error;
use std::fmt;
use std::io;

use chrono::DateTime;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError};

/// Why a connection could not be made secure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TlsFault {
    /// The fault.
    pub what: String,
    /// How to fix it.
    pub hint: &'static str,
    /// Whether the server's certificate is at fault, which no waiting changes.
    pub is_certificate: bool,
}

impl fmt::Display for TlsFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.hint)
    }
}

const UNKNOWN_ISSUER: &str = "name a PEM file with the CA's certificate, or with the self-signed one, in CA_FILE; \
     INSECURE: true connects without verifying certificates";
const EXPIRED: &str =
    "renew it, or set this machine's clock; INSECURE: true connects without verifying certificates";
const OTHER_NAME: &str = "write a name in MODEL_ENDPOINTS that the certificate is for, or have it made for this one (subjectAltName); \
     INSECURE: true connects without verifying certificates";
const NOT_ACCEPTED: &str =
    "have another made for the server; INSECURE: true connects without verifying certificates";
const NO_ROOTS: &str = "install the system's CA certificates (ca-certificates), or name a PEM file in CA_FILE; \
     INSECURE: true connects without verifying certificates";
const PROTOCOL: &str = "does the server speak https? Else write http:// in MODEL_ENDPOINTS";

/// The fault of TLS in an error, if it is one.
pub(crate) fn fault(error: &(dyn Error + 'static)) -> Option<TlsFault> {
    of_library(causes(error).find_map(|cause| cause.downcast_ref::<rustls::Error>())?)
}

/// An error and its causes. I/O errors hide what they wrap from `source`.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error: &&'a (dyn Error + 'static)| {
        let error: &'a (dyn Error + 'static) = *error;
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        match wrapped {
            Some(inner) => Some(inner as &(dyn Error + 'static)),
            None => error.source(),
        }
    })
}

fn of_library(error: &rustls::Error) -> Option<TlsFault> {
    let certificate = |what: String, hint| TlsFault {
        what,
        hint,
        is_certificate: true,
    };
    Some(match error {
        rustls::Error::InvalidCertificate(error) => of_certificate(error),
        rustls::Error::NoCertificatesPresented => {
            certificate("the server shows no certificate".to_owned(), NOT_ACCEPTED)
        }
        rustls::Error::General(why) if why.starts_with("no certificate is trusted") => {
            certificate(why.clone(), NO_ROOTS)
        }
        rustls::Error::AlertReceived(AlertDescription::CertificateRequired) => certificate(
            "the server asks for a client's certificate".to_owned(),
            "servemark has none to show: let the server, or a gateway before it, do without",
        ),
        other => TlsFault {
            what: format!("no secure connection ({other})"),
            hint: PROTOCOL,
            is_certificate: false,
        },
    })
}

fn of_certificate(error: &CertificateError) -> TlsFault {
    let (what, hint) = match error {
        CertificateError::UnknownIssuer => (
            "its certificate is not trusted: it is self-signed, or its issuer is unknown here (a private CA)"
                .to_owned(),
            UNKNOWN_ISSUER,
        ),
        CertificateError::BadSignature => (
            "its certificate is not trusted: its issuer has the name of a trusted one, but another key"
                .to_owned(),
            UNKNOWN_ISSUER,
        ),
        other if is_ca_certificate(other) => (
            "its certificate is not trusted: it is self-signed, and marked as a CA's own".to_owned(),
            UNKNOWN_ISSUER,
        ),
        CertificateError::Expired => ("its certificate has expired".to_owned(), EXPIRED),
        CertificateError::ExpiredContext { not_after, .. } => (
            format!("its certificate has expired (on {})", date(*not_after)),
            EXPIRED,
        ),
        CertificateError::NotValidYet => ("its certificate is not valid yet".to_owned(), EXPIRED),
        CertificateError::NotValidYetContext { not_before, .. } => (
            format!("its certificate is not valid yet (only from {} on)", date(*not_before)),
            EXPIRED,
        ),
        CertificateError::NotValidForName => {
            ("its certificate is for another name".to_owned(), OTHER_NAME)
        }
        CertificateError::NotValidForNameContext {
            expected,
            presented,
        } => (
            format!(
                "its certificate is for another name: it is for {}, not for {}",
                names(presented),
                expected.to_str()
            ),
            OTHER_NAME,
        ),
        other => (format!("its certificate is not accepted ({other})"), NOT_ACCEPTED),
    };
    TlsFault {
        what,
        hint,
        is_certificate: true,
    }
}

/// Returns whether the server showed a certificate marked as a CA's. The verifier has no error variant for it.
pub(super) fn is_ca_certificate(error: &CertificateError) -> bool {
    matches!(error, CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity"))
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    DateTime::from_timestamp(seconds, 0).map_or("a date out of range".to_owned(), |date| {
        date.format("%Y-%m-%d").to_string()
    })
}

/// Names as a certificate holds them: `DnsName("localhost")`.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "no name at all".to_owned();
    }
    let bare = presented.iter().map(|name| {
        let inner = name.split_once('(').map_or(&**name, |(_, inner)| inner);
        inner.trim_end_matches(')').trim_matches('"')
    });
    Vec::from_iter(bare).join(", ")
}
