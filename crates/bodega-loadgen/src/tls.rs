//! Handshakes, each with a certificate that is known beforehand, and the keys that they end with.
//!
//! What the server proves is not what is measured here: its certificate is compared byte by byte, its signature is
//! taken as it is, so that whoever asks costs less than the one who signs.
//! Key exchange and cipher are the same for every server: X25519 and AES-128-GCM.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::version::{TLS12, TLS13};
use rustls::{
    CipherSuite, ClientConfig, ClientConnection, DigitallySignedStruct, Error, ExtractedSecrets, NamedGroup,
    SignatureScheme,
};
use socket2::{Domain, Socket, Type};

/// Which version is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// What is the same for every handshake.
pub(crate) struct Tls {
    verifier: Arc<Known>,
    provider: Arc<CryptoProvider>,
}

impl Tls {
    /// Reads the one certificate that is expected.
    pub(crate) fn read(certificate: &str) -> Result<Self, String> {
        let certificate =
            CertificateDer::from_pem_file(certificate).map_err(|error| format!("{certificate}: {error}"))?;
        let mut provider = aws_lc_rs::default_provider();
        provider.cipher_suites.retain(|suite| {
            matches!(
                suite.suite(),
                CipherSuite::TLS13_AES_128_GCM_SHA256 | CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
            )
        });
        // With TLS 1.2 the other one names the curve of the certificate as well (RFC 8422 section 5.1.1).
        provider.kx_groups = vec![aws_lc_rs::kx_group::X25519, aws_lc_rs::kx_group::SECP256R1];
        Ok(Self { verifier: Arc::new(Known { certificate }), provider: Arc::new(provider) })
    }

    /// What a client may do; sessions are resumed only by those who share it.
    pub(crate) fn configuration(
        &self,
        version: Version,
        alpn: &str,
        resumption: Resumption,
    ) -> Result<Arc<ClientConfig>, String> {
        let version = match version {
            Version::Tls12 => &TLS12,
            Version::Tls13 => &TLS13,
        };
        let mut configuration = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_protocol_versions(&[version])
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(Arc::clone(&self.verifier) as Arc<dyn ServerCertVerifier>)
            .with_no_client_auth();
        configuration.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        configuration.resumption = resumption;
        configuration.enable_secret_extraction = true;
        Ok(Arc::new(configuration))
    }
}

/// Begins a connection by TLS.
pub(crate) fn begin(configuration: &Arc<ClientConfig>) -> Result<ClientConnection, String> {
    let name = ServerName::try_from("bench.example").map_err(|error| error.to_string())?;
    ClientConnection::new(Arc::clone(configuration), name).map_err(|error| error.to_string())
}

/// Fails unless the key exchange was the one that all servers are measured with.
pub(crate) fn check_key_exchange(connection: &ClientConnection) -> Result<(), String> {
    match connection.negotiated_key_exchange_group().map(|group| group.name()) {
        Some(NamedGroup::X25519) => Ok(()),
        other => Err(format!("a key exchange with {other:?}")),
    }
}

/// Connects from one of many addresses, so that neither ports nor what a server grants one client run out.
pub(crate) fn connect(port: u16, index: usize) -> io::Result<TcpStream> {
    const ADDRESSES: usize = 200;
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let source = Ipv4Addr::new(127, 1, 0, 1 + (index % ADDRESSES) as u8);
    socket.bind(&SocketAddr::from((source, 0)).into())?;
    socket.set_tcp_nodelay(true)?;
    socket.connect(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    Ok(socket.into())
}

/// Does a whole handshake, and returns its keys.
///
/// Not a byte behind the handshake is taken from the stream.
pub(crate) fn handshake(stream: &mut TcpStream, configuration: &Arc<ClientConfig>) -> Result<ExtractedSecrets, String> {
    let mut connection = begin(configuration)?;
    let mut record = Vec::new();
    loop {
        while connection.wants_write() {
            connection.write_tls(stream).map_err(|error| format!("handshake: {error}"))?;
        }
        if !connection.is_handshaking() {
            break;
        }
        read_record(stream, &mut record).map_err(|error| format!("handshake: {error}"))?;
        let mut unread = &record[..];
        while !unread.is_empty() {
            connection.read_tls(&mut unread).map_err(|error| format!("handshake: {error}"))?;
            connection.process_new_packets().map_err(|error| format!("handshake: {error}"))?;
        }
    }
    check_key_exchange(&connection)?;
    let agreed = connection.alpn_protocol().map(<[u8]>::to_vec);
    if agreed.as_ref() != configuration.alpn_protocols.first() {
        return Err(format!("the server speaks {}", String::from_utf8_lossy(&agreed.unwrap_or_default())));
    }
    connection.dangerous_extract_secrets().map_err(|error| error.to_string())
}

fn read_record(stream: &mut impl Read, record: &mut Vec<u8>) -> io::Result<()> {
    record.resize(5, 0);
    stream.read_exact(record)?;
    let length = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + length, 0);
    stream.read_exact(&mut record[5..])
}

/// Sends all of it on a stream that does not wait, waiting all the same: the server always reads.
pub(crate) fn send_all(stream: &mut impl Write, mut bytes: &[u8]) -> Result<(), String> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err("sending: nothing is taken".to_owned()),
            Ok(sent) => bytes = &bytes[sent..],
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
            Err(error) => return Err(format!("sending: {error}")),
        }
    }
    Ok(())
}

/// Takes exactly one certificate.
#[derive(Debug)]
struct Known {
    certificate: CertificateDer<'static>,
}

impl ServerCertVerifier for Known {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *certificate == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::General("another certificate than the one given".to_owned()))
        }
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}
