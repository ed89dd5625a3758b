//! How TLS is spoken: versions, certificates, tickets, client certificates, and what is offered inside.

use std::sync::Arc;

use bodega_snapshot::options::{ClientAuth, EdgeOptions, TlsOptions};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

use crate::server::StartError;
use crate::tls::certificates::Certificates;

/// How this edge's TLS listeners speak.
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) certificates: Arc<Certificates>,
}

/// One configuration for all threads, so that a ticket that one gave is taken by the others; `None` without certificates.
pub(crate) fn configure(options: &EdgeOptions) -> Result<Option<Tls>, StartError> {
    let tls = &options.tls;
    if tls.certificates.is_empty() {
        return Ok(None);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let setting = |error: &dyn std::fmt::Display| StartError::Setting(format!("tls: {error}"));
    let certificates = Certificates::load(Arc::clone(&provider), &tls.certificates, tls.strict_names)
        .map_err(|error| setting(&error))?;
    let certificates = Arc::new(certificates);
    let versions: &[&rustls::SupportedProtocolVersion] =
        if tls.allows_tls12 { rustls::ALL_VERSIONS } else { &[&rustls::version::TLS13] };
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(versions)
        .map_err(|error| setting(&error))?;
    let builder = match verifier(tls, provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::clone(&certificates) as _);
    config.alpn_protocols = if options.http2 { vec![HTTP2.to_vec(), HTTP1.to_vec()] } else { vec![HTTP1.to_vec()] };
    // Tickets hold a session on the client's side: nothing is kept here for connections that have ended.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(|error| setting(&error))?;
    Ok(Some(Tls { config: Arc::new(config), certificates }))
}

fn verifier(
    tls: &TlsOptions,
    provider: Arc<rustls::crypto::CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, StartError> {
    let (Some(path), true) = (&tls.client_ca, tls.client_auth != ClientAuth::Off) else { return Ok(None) };
    let wrong = |error: &dyn std::fmt::Display| StartError::Setting(format!("tls_client_ca {path}: {error}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(&error))? {
        roots.add(certificate.map_err(|error| wrong(&error))?).map_err(|error| wrong(&error))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if tls.client_auth == ClientAuth::Optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map(Some).map_err(|error| wrong(&error))
}

/// The names of protocols in ALPN (RFC 7301; RFC 9113 section 3.1).
pub(crate) const HTTP2: &[u8] = b"h2";
const HTTP1: &[u8] = b"http/1.1";
