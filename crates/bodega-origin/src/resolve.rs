//! From an origin's name to its addresses, asked again while running: an answer is used for at most `KEPT_FOR`.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

pub(crate) struct Resolver {
    host: String,
    port: u16,
    known: Mutex<Option<Known>>,
    /// Held while asking, so that a crowd asks once.
    asking: tokio::sync::Mutex<()>,
    /// The address that last answered, counted in the list: it is tried first.
    preferred: AtomicUsize,
}

#[derive(Clone)]
struct Known {
    until: Option<Instant>,
    addresses: Arc<[SocketAddr]>,
}

impl Resolver {
    /// `host` is a name or an address, the latter without brackets.
    pub(crate) fn new(host: &str, port: u16) -> Self {
        let literal = host.parse::<IpAddr>().ok();
        let known = literal.map(|address| Known { until: None, addresses: [SocketAddr::new(address, port)].into() });
        Self {
            host: host.to_owned(),
            port,
            known: Mutex::new(known),
            asking: tokio::sync::Mutex::new(()),
            preferred: AtomicUsize::new(0),
        }
    }

    /// All addresses of both families, the one that last answered first.
    ///
    /// # Errors
    /// In words, when the name has none or nobody could say.
    pub(crate) async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let addresses = self.known_or_asked().await?;
        let first = self.preferred.load(Ordering::Relaxed) % addresses.len().max(1);
        Ok(addresses[first..].iter().chain(&addresses[..first]).copied().collect())
    }

    /// Notes that `address` answered.
    pub(crate) fn prefer(&self, address: SocketAddr) {
        let known = self.known.lock();
        if let Some(at) = known.as_ref().and_then(|known| known.addresses.iter().position(|&other| other == address)) {
            self.preferred.store(at, Ordering::Relaxed);
        }
    }

    /// Makes the name have these addresses, for good.
    #[cfg(test)]
    pub(crate) fn know(&self, addresses: &[SocketAddr]) {
        *self.known.lock() = Some(Known { until: None, addresses: addresses.into() });
    }

    async fn known_or_asked(&self) -> Result<Arc<[SocketAddr]>, String> {
        if let Some(addresses) = self.still_known() {
            return Ok(addresses);
        }
        let _asking = self.asking.lock().await;
        if let Some(addresses) = self.still_known() {
            return Ok(addresses);
        }
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let mut addresses: Vec<SocketAddr> =
            found.map_err(|error| format!("could not be found: {}: {error}", self.host))?.collect();
        // In one order whatever the resolver's, so that the preferred address stays the same one.
        addresses.sort_unstable();
        addresses.dedup();
        let mut addresses = families_in_turn(&addresses);
        if addresses.is_empty() {
            return Err(format!("could not be found: {} has no address", self.host));
        }
        addresses.truncate(MAX_KEPT);
        let addresses: Arc<[SocketAddr]> = addresses.into();
        let until = Some(Instant::now() + KEPT_FOR);
        *self.known.lock() = Some(Known { until, addresses: Arc::clone(&addresses) });
        Ok(addresses)
    }

    fn still_known(&self) -> Option<Arc<[SocketAddr]>> {
        let known = self.known.lock();
        let known = known.as_ref()?;
        let expired = known.until.is_some_and(|until| Instant::now() >= until);
        (!expired).then(|| Arc::clone(&known.addresses))
    }
}

/// RFC 8305 section 4: the families alternate, so that one that leads nowhere holds nobody up for long.
fn families_in_turn(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let (first, second): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().partition(|address: &&SocketAddr| address.is_ipv6());
    let longer = first.len().max(second.len());
    (0..longer).flat_map(|at| [first.get(at), second.get(at)]).flatten().copied().collect()
}

const KEPT_FOR: Duration = Duration::from_secs(30);
/// Addresses of a name that are remembered.
const MAX_KEPT: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_asked_again_once_its_addresses_are_old() {
        let resolver = Resolver::new("localhost", 80);
        let listed: SocketAddr = "192.0.2.1:80".parse().unwrap();
        let kept_until =
            |until| *resolver.known.lock() = Some(Known { until: Some(until), addresses: [listed].into() });
        kept_until(Instant::now() + KEPT_FOR);
        assert_eq!(resolver.addresses().await.unwrap(), [listed]);
        kept_until(Instant::now());
        assert!(resolver.addresses().await.unwrap().iter().all(|address| address.ip().is_loopback()));
    }

    #[test]
    fn the_families_of_a_name_alternate() {
        let read = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        for (given, expected) in [
            (&[][..], &[][..]),
            (&["192.0.2.1:1", "192.0.2.2:1"], &["192.0.2.1:1", "192.0.2.2:1"]),
            (
                &["192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1", "[2001:db8::1]:1"],
                &["[2001:db8::1]:1", "192.0.2.1:1", "192.0.2.2:1", "192.0.2.3:1"],
            ),
        ] {
            assert_eq!(families_in_turn(&read(given)), read(expected));
        }
    }

    #[tokio::test]
    async fn the_address_that_answered_is_first_the_next_time() {
        let resolver = Resolver::new("many.example", 80);
        let addresses: Vec<SocketAddr> = (1..4).map(|n| SocketAddr::from(([192, 0, 2, n], 80))).collect();
        resolver.know(&addresses);
        assert_eq!(resolver.addresses().await.unwrap(), addresses);
        resolver.prefer(addresses[1]);
        assert_eq!(resolver.addresses().await.unwrap(), [addresses[1], addresses[2], addresses[0]]);
    }
}
