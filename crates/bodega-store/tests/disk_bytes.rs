//! Whatever bytes are on disk, reading them ends well.

mod checks;

/// Bytes in no order, of which every length has its turn.
fn inputs() -> impl Iterator<Item = Vec<u8>> {
    let mut state = 1_u64;
    (0..4000_usize).map(move |at| {
        (0..at % 700)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                // Small numbers are what lengths are made of.
                if state >> 62 == 0 { (state >> 33) as u8 } else { (state >> 33) as u8 & 3 }
            })
            .collect()
    })
}

#[test]
fn any_bytes_are_a_record_or_none() {
    inputs().for_each(|bytes| checks::record(&bytes));
}

#[test]
fn any_bytes_are_a_segment() {
    inputs().for_each(|bytes| checks::segment(&bytes));
}
