//! What one thread counts of TLS and HTTP/2.

use bodega_telemetry::Counter;

use crate::http2::Misuse;
use crate::tls::handshake::Failed;

/// Counters that only their own thread adds to.
#[derive(Default)]
pub(crate) struct FrontMetrics {
    /// By version (1.2, 1.3) and whether the session was resumed.
    handshakes: [[Counter; 2]; 2],
    failures: [Counter; Failed::ALL.len()],
    misuses: [Counter; Misuse::ALL.len()],
}

impl FrontMetrics {
    pub(crate) fn handshake_done(&self, is_tls13: bool, resumed: bool) {
        self.handshakes[usize::from(is_tls13)][usize::from(resumed)].add(1);
    }

    pub(crate) fn handshake_failed(&self, failed: Failed) {
        self.failures[failed as usize].add(1);
    }

    pub(crate) fn misused(&self, misuse: Misuse) {
        self.misuses[misuse as usize].add(1);
    }

    pub(crate) fn misuses(&self, misuse: Misuse) -> u64 {
        self.misuses[misuse as usize].get()
    }

    pub(crate) fn handshakes(&self, is_tls13: bool, resumed: bool) -> u64 {
        self.handshakes[usize::from(is_tls13)][usize::from(resumed)].get()
    }

    pub(crate) fn handshake_failures(&self, failed: Failed) -> u64 {
        self.failures[failed as usize].get()
    }
}
