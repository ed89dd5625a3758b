//! A new connection to an origin: name, a race of its addresses, TLS, all within the connect timeout.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bodega_semantics::Reason;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use crate::connection::Connection;
use crate::failure::{Failure, Stage, seconds};
use crate::origins::Origin;
use crate::stream::Stream;

/// Connects to `origin`.
///
/// # Errors
/// Always with `Stage::Unsent`, or `Stage::Final` where trying again cannot help.
pub(crate) async fn connect(origin: &Origin) -> Result<Box<Connection>, Failure> {
    let deadline = Instant::now() + origin.settings.limits.connect_timeout;
    let addresses = match timeout_at(deadline, origin.resolver.addresses()).await {
        Ok(Ok(addresses)) => addresses,
        Ok(Err(what)) => return Err(Failure::new(Reason::OriginName, Stage::Unsent, what)),
        Err(_) => return Err(too_slow(origin, Reason::OriginName, "could not be found")),
    };
    let (tcp, peer) = connect_tcp(origin, &addresses, deadline).await?;
    // Heads are written whole, so there is nothing that Nagle's algorithm could join. If the option cannot be set,
    // the connection is only slower.
    let _ = tcp.set_nodelay(true);
    origin.resolver.prefer(peer);
    let stream = match &origin.tls {
        None => Stream::Plain(tcp),
        Some(Err(what)) => return Err(Failure::new(Reason::OriginTls, Stage::Final, what.as_str())),
        Some(Ok(tls)) => {
            let connector = TlsConnector::from(Arc::clone(tls));
            let name = ServerName::try_from(origin.endpoint.host.clone()).map_err(|_| {
                Failure::new(Reason::OriginTls, Stage::Final, "has a host that no certificate can name")
            })?;
            match timeout_at(deadline, connector.connect(name, tcp)).await {
                Ok(Ok(tls)) => Stream::Tls(Box::new(tls)),
                Ok(Err(error)) => return Err(tls_failure(&error).with_peer(peer)),
                Err(_) => {
                    return Err(
                        too_slow(origin, Reason::OriginTimeout, "did not finish the TLS handshake").with_peer(peer)
                    );
                }
            }
        }
    };
    Ok(Box::new(Connection::new(stream, peer, origin.settings.limits.first_byte_timeout)))
}

/// Races the addresses: the next one sets off when the last has failed, or has been silent for `HEAD_START`, and the
/// first connection wins. RFC 8305 section 5; what is still under way then is given up.
async fn connect_tcp(
    origin: &Origin,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), Failure> {
    let mut last = Failure::new(Reason::OriginName, Stage::Unsent, "has no address");
    let mut waiting = addresses.iter().copied().take(MAX_ADDRESSES);
    let mut racing = JoinSet::new();
    let mut newest = None;
    loop {
        if let Some(address) = waiting.next() {
            racing.spawn(async move { (address, TcpStream::connect(address).await) });
            newest = Some(address);
        } else if racing.is_empty() {
            return Err(last);
        }
        let patience = if waiting.len() == 0 { deadline } else { deadline.min(Instant::now() + HEAD_START) };
        match timeout_at(patience, racing.join_next()).await {
            Ok(Some(Ok((address, Ok(tcp))))) => return Ok((tcp, address)),
            Ok(Some(Ok((address, Err(error))))) => {
                last = Failure::new(Reason::OriginConnect, Stage::Unsent, refusal(&error)).with_peer(address);
            }
            // Tasks that connect neither panic nor are stopped, and one is always under way.
            Ok(Some(Err(_)) | None) => {}
            Err(_) if Instant::now() < deadline => {}
            Err(_) => {
                last = too_slow(origin, Reason::OriginConnect, "did not accept a connection");
                return Err(Failure { peer: newest, ..last });
            }
        }
    }
}

fn refusal(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused the connection".to_owned(),
        _ => format!("could not be connected to: {error}"),
    }
}

/// A certificate that does not verify will not verify the next time either; a handshake cut short might.
fn tls_failure(error: &io::Error) -> Failure {
    let is_verdict = error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
    let stage = if is_verdict { Stage::Final } else { Stage::Unsent };
    Failure::new(Reason::OriginTls, stage, format!("failed the TLS handshake: {error}"))
}

fn too_slow(origin: &Origin, reason: Reason, what: &str) -> Failure {
    Failure::new(reason, Stage::Unsent, format!("{what} within {}", seconds(origin.settings.limits.connect_timeout)))
}

/// RFC 8305 section 8: the recommended delay between two attempts.
const HEAD_START: Duration = Duration::from_millis(250);
/// A name may have any number of addresses; this many are worth a try.
const MAX_ADDRESSES: usize = 8;
