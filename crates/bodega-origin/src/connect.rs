//! A new connection to an origin: name, addresses in turn, TLS, all within the connect timeout.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bodega_semantics::Reason;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
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

/// Tries the addresses in turn, each for its share of the time that is left.
async fn connect_tcp(
    origin: &Origin,
    addresses: &[SocketAddr],
    deadline: Instant,
) -> Result<(TcpStream, SocketAddr), Failure> {
    let mut last = Failure::new(Reason::OriginName, Stage::Unsent, "has no address");
    for (n_tried, &address) in addresses.iter().enumerate() {
        let left = deadline.saturating_duration_since(Instant::now());
        let n_left = u32::try_from(addresses.len() - n_tried).unwrap_or(u32::MAX);
        let share = Instant::now() + left / n_left;
        last = match timeout_at(share, TcpStream::connect(address)).await {
            Ok(Ok(tcp)) => return Ok((tcp, address)),
            Ok(Err(error)) => Failure::new(Reason::OriginConnect, Stage::Unsent, refusal(&error)).with_peer(address),
            Err(_) => too_slow(origin, Reason::OriginConnect, "did not accept a connection").with_peer(address),
        };
    }
    Err(last)
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
