//! What became of a request, and why: the one vocabulary of log line, metric label, `Cache-Status`, stats and tests.
//! `ALL` lists and `name` strings here are the source; `tests/architecture` compares the others with them.

macro_rules! vocabulary {
    ($(#[$meta:meta])* $enum:ident { $($(#[$doc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum $enum { $($(#[$doc])* $variant,)* }

        impl $enum {
            /// Every value, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The name used in logs, metrics, headers, stats and scenario files.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The value with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }
    };
}

vocabulary! {
    /// What became of a request.
    Outcome {
        /// Answered from the store without asking the origin.
        Hit = "hit",
        /// Answered from the store although stale.
        Stale = "stale",
        /// Asked the origin, which confirmed the stored answer (304).
        Revalidated = "revalidated",
        /// Asked the origin for the whole answer.
        Miss = "miss",
        /// Read along with a fill that another request had begun.
        Collapsed = "collapsed",
        /// Forwarded without looking into or writing to the store.
        Pass = "pass",
        /// Answered by a redirect the configuration names.
        Redirect = "redirect",
        /// Answered by a fixed answer the configuration names, or by the edge for itself.
        Answer = "answer",
        /// Not served: malformed, not allowed, or over a limit.
        Refused = "refused",
        /// Could not be served: the origin failed and nothing stored could stand in.
        Error = "error",
    }
}

vocabulary! {
    /// Why the outcome was what it was.
    Reason {
        /// A stored answer was fresh.
        Fresh = "fresh",
        /// The same, and on disk.
        FreshOnDisk = "fresh-on-disk",
        /// A stored answer was fresh, and old enough to be validated while it is used.
        EarlyRefresh = "early-refresh",
        /// Nothing was stored under this URL.
        UriMiss = "uri-miss",
        /// Something was stored under this URL, for other request fields.
        VaryMiss = "vary-miss",
        /// The stored answer had expired.
        Expired = "expired",
        /// The stored answer must be validated before each use.
        MustRevalidate = "must-revalidate",
        /// The edge may have missed invalidations, and the policy is strict about that.
        NotLevel = "not-level",
        /// The stored answer had been invalidated.
        Invalidated = "invalidated",
        /// The client asked for a validated answer, and is heeded.
        RequestDirective = "request-directive",
        /// The method is not one that is answered from the store.
        Method = "method",
        /// The body is longer than the behavior keeps answers to, or there is no room to hold it.
        BodyLimit = "body-limit",
        /// The body has another type than its behavior reads, or a content coding.
        BodyType = "body-type",
        /// The body is to be JSON, and is none.
        BodyNotJson = "body-not-json",
        /// The body is JSON in which an object names a member twice.
        BodyDuplicateName = "body-duplicate-name",
        /// The body is JSON with a number that a double does not hold exactly.
        BodyNumber = "body-number",
        /// The body is JSON that is nested too deeply.
        BodyNesting = "body-nesting",
        /// The policy stores nothing.
        PolicyNone = "policy-none",
        /// The request carries fields that name a user and are outside the key.
        UserRequest = "user-request",
        /// A fill of the same key turned out private or uncacheable.
        Uncacheable = "uncacheable",
        /// A client that may say so had the URL forgotten.
        Purge = "purge",
        /// A client wanted a URL forgotten by an edge that is told by a control process what to forget.
        FollowsControl = "follows-control",
        /// The answer has more tags than can be kept, or one that no selector can name, and is not stored.
        Tags = "tags",
        /// The answer contradicts the extension of its path, and is not stored.
        Deception = "deception",
        /// A part of what was asked for was stored, and the rest was not.
        Range = "range",
        /// Stale while another request revalidates.
        WhileRevalidate = "while-revalidate",
        /// Stale because the origin failed.
        IfError = "if-error",
        /// The configuration answers.
        Configured = "configured",
        /// The head or the body was malformed.
        Malformed = "malformed",
        /// The path holds dot segments, or an escape that is none.
        UnsafePath = "unsafe-path",
        /// The host is not one this edge serves.
        UnknownHost = "unknown-host",
        /// No behavior matches this path and method.
        NoBehavior = "no-behavior",
        /// The client's network is not allowed.
        Network = "network",
        /// The behavior is for those who present a token, and none was presented.
        TokenMissing = "token-missing",
        /// The token that was presented is none that the edge knows.
        TokenUnknown = "token-unknown",
        /// The distribution is for HTTPS alone, and the client came without.
        ViewerProtocol = "viewer-protocol",
        /// `Max-Forwards` lets the request go no further: the edge answers for itself.
        MaxForwards = "max-forwards",
        /// A method that a gateway refuses (CONNECT, TRACE).
        MethodRefused = "method-refused",
        /// A protocol upgrade was asked for.
        Upgrade = "upgrade",
        /// A size, time or count was over its limit.
        Limit = "limit",
        /// The request came round to this edge again.
        Loop = "loop",
        /// `only-if-cached` and nothing usable stored.
        OnlyIfCached = "only-if-cached",
        /// The precondition of the request was false.
        Precondition = "precondition",
        /// No connection to the origin could be made.
        OriginConnect = "origin-connect",
        /// The origin's name could not be resolved.
        OriginName = "origin-name",
        /// The TLS handshake with the origin failed.
        OriginTls = "origin-tls",
        /// The origin did not answer in time.
        OriginTimeout = "origin-timeout",
        /// The origin's answer was malformed.
        OriginMalformed = "origin-malformed",
        /// The origin broke off.
        OriginBroken = "origin-broken",
        /// The origin's connections and queue were full.
        OriginBusy = "origin-busy",
        /// What is stored has to be confirmed, and more of that waits for the origin than may.
        OriginPaced = "origin-paced",
        /// The origin had failed several times in a row and was not asked.
        OriginDown = "origin-down",
        /// The client went away or did not read.
        ClientGone = "client-gone",
        /// A defect of the edge itself.
        Internal = "internal",
    }
}

vocabulary! {
    /// Where the answer came from, as the latency metric labels it.
    Level {
        /// The memory tier.
        L1 = "l1",
        /// The disk tier.
        L2 = "l2",
        /// The origin.
        Miss = "miss",
        /// Neither: redirects, fixed answers, refusals.
        None = "none",
    }
}

impl Outcome {
    /// The level that latency of this outcome is counted under.
    #[must_use]
    pub const fn level(self, reason: Reason) -> Level {
        match self {
            Self::Hit if matches!(reason, Reason::FreshOnDisk) => Level::L2,
            Self::Hit | Self::Stale => Level::L1,
            Self::Revalidated | Self::Miss | Self::Collapsed | Self::Pass | Self::Error => Level::Miss,
            Self::Redirect | Self::Answer | Self::Refused => Level::None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_token_of_its_own_and_reads_back() {
        let names = |names: Vec<&'static str>| {
            for (at, name) in names.iter().enumerate() {
                let is_plain =
                    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
                assert!(!name.is_empty() && is_plain, "{name}");
                assert!(!names[at + 1..].contains(name), "{name}");
            }
        };
        names(Outcome::ALL.iter().map(|value| value.name()).collect());
        names(Reason::ALL.iter().map(|value| value.name()).collect());
        names(Level::ALL.iter().map(|value| value.name()).collect());
        assert!(Outcome::ALL.iter().all(|value| Outcome::from_name(value.name()) == Some(*value)));
        assert!(Reason::ALL.iter().all(|value| Reason::from_name(value.name()) == Some(*value)));
        assert_eq!(Reason::from_name("Fresh"), None);
    }

    #[test]
    fn what_came_from_the_store_is_a_hit_of_a_level() {
        for outcome in Outcome::ALL {
            let is_hit = matches!(outcome, Outcome::Hit | Outcome::Stale);
            assert_eq!(outcome.level(Reason::Fresh) == Level::L1, is_hit, "{}", outcome.name());
        }
        assert_eq!(Outcome::Hit.level(Reason::FreshOnDisk), Level::L2);
    }
}
