//! Which networks a behavior serves.

use std::net::IpAddr;

use ipnet::IpNet;

/// Allow and deny lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// If not empty, only these.
    pub allow: Vec<IpNet>,
    /// Never these.
    pub deny: Vec<IpNet>,
}

impl Networks {
    /// Whether a client at `address` is served. Denied networks count first.
    #[inline]
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        if self.allow.is_empty() && self.deny.is_empty() {
            return true;
        }
        // An IPv4 client on an IPv6 socket is still an IPv4 client.
        let address = address.to_canonical();
        !self.deny.iter().any(|network| network.contains(&address))
            && (self.allow.is_empty() || self.allow.iter().any(|network| network.contains(&address)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deny_goes_before_allow_and_an_empty_allow_list_allows_all() {
        let networks = |allow: &[&str], deny: &[&str]| Networks {
            allow: allow.iter().map(|text| text.parse().unwrap()).collect(),
            deny: deny.iter().map(|text| text.parse().unwrap()).collect(),
        };
        for (networks, address, allowed) in [
            (networks(&[], &[]), "192.0.2.1", true),
            (networks(&["10.0.0.0/8"], &[]), "10.1.2.3", true),
            (networks(&["10.0.0.0/8"], &[]), "::ffff:10.1.2.3", true),
            (networks(&["10.0.0.0/8"], &[]), "192.0.2.1", false),
            (networks(&["10.0.0.0/8"], &["10.1.0.0/16"]), "10.1.2.3", false),
            (networks(&[], &["2001:db8::/32"]), "2001:db8::1", false),
            (networks(&[], &["10.0.0.0/8"]), "::ffff:10.1.2.3", false),
            (networks(&["10.0.0.0/8"], &[]), "2001:db8::1", false),
        ] {
            assert_eq!(networks.allows(address.parse().unwrap()), allowed, "{networks:?} {address}");
        }
    }
}
