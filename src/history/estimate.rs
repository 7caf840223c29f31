//! The time of a handshake, smoothed: RFC 6298, section 2.

use std::time::Duration;

/// What RFC 6298 calls G: times are measured more finely, and no variation is taken to be less.
const GRANULARITY_US: u32 = 1_000;

/// SRTT and RTTVAR, in microseconds; 0: nothing was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Estimate {
    smoothed_us: u32,
    variation_us: u32,
}

impl Estimate {
    /// Takes in one more measurement.
    pub(super) fn add(&mut self, round_trip: Duration) {
        // The longest that fits is 71 minutes; none is of no length.
        let measured = u32::try_from(round_trip.as_micros()).unwrap_or(u32::MAX).max(1);
        *self = match self.smoothed_us {
            // "When the first RTT measurement R is made"
            0 => Estimate { smoothed_us: measured, variation_us: measured / 2 },
            // "RTTVAR <- (1 - beta) * RTTVAR + beta * |SRTT - R'|", then "SRTT <- (1 - alpha) * SRTT + alpha
            // * R'", with alpha = 1/8 and beta = 1/4.
            smoothed => Estimate {
                variation_us: weighted(self.variation_us, smoothed.abs_diff(measured), 4),
                smoothed_us: weighted(smoothed, measured, 8).max(1),
            },
        };
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        (self.smoothed_us != 0).then(|| Duration::from_micros(u64::from(self.smoothed_us)))
    }

    /// "RTO <- SRTT + max (G, K*RTTVAR)", with K = 4; without the lower bound of one second, which whoever
    /// uses it has to set.
    pub(super) fn retransmission(&self) -> Option<Duration> {
        let variation = self.variation_us.saturating_mul(4).max(GRANULARITY_US);
        Some(self.round_trip()? + Duration::from_micros(u64::from(variation)))
    }
}

/// The old value and the new one, which counts for one part of `parts`.
fn weighted(old: u32, new: u32, parts: u64) -> u32 {
    ((u64::from(old) * (parts - 1) + u64::from(new)) / parts) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    fn after(measurements: &[u64]) -> Estimate {
        let mut estimate = Estimate::default();
        measurements.iter().for_each(|&milliseconds| estimate.add(ms(milliseconds)));
        estimate
    }

    // RFC 6298, section 2.2.
    #[test]
    fn the_first_measurement_sets_both() {
        assert_eq!((after(&[]).round_trip(), after(&[]).retransmission()), (None, None));
        let first = after(&[100]);
        assert_eq!((first.round_trip(), first.retransmission()), (Some(ms(100)), Some(ms(300))));
    }

    // RFC 6298, section 2.3: the variation is taken before the mean has moved.
    #[test]
    fn later_ones_are_weighted() {
        let second = after(&[100, 180]);
        assert_eq!(second.round_trip(), Some(ms(110)));
        // 3/4 * 50 + 1/4 * 80 = 57.5
        assert_eq!(second.retransmission(), Some(ms(110) + Duration::from_micros(4 * 57_500)));
    }

    #[test]
    fn a_steady_path_comes_close_to_its_round_trip() {
        let steady = after(&[80; 60]);
        assert_eq!(steady.round_trip(), Some(ms(80)));
        assert_eq!(steady.retransmission(), Some(ms(81)));
    }

    #[test]
    fn no_measurement_is_too_short_or_too_long() {
        let mut estimate = Estimate::default();
        estimate.add(Duration::ZERO);
        assert_eq!(estimate.round_trip(), Some(Duration::from_micros(1)));
        estimate.add(Duration::MAX);
        estimate.add(Duration::MAX);
        assert!(estimate.retransmission() > estimate.round_trip());
    }
}
