//! What is told of a workload: numbers by column, the median of several runs, and comparisons.

use std::time::Duration;

use crate::phase::Phase;

/// A figure of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Column {
    EventsPerSecond,
    DeliveriesPerSecond,
    CpuPerDelivery,
    AckP50,
    AckP99,
    DeliveredP50,
    DeliveredP99,
    BytesPerEvent,
    TransactionsPerEvent,
    PeakRss,
    RatioToBare,
}

impl Column {
    /// All, in the order in which they are printed: name for machines, head for people, decimals.
    pub(crate) const ALL: [(Self, &'static str, &'static str, usize); 11] = [
        (Self::EventsPerSecond, "events_per_second", "events/s", 0),
        (
            Self::DeliveriesPerSecond,
            "deliveries_per_second",
            "deliveries/s",
            0,
        ),
        (Self::CpuPerDelivery, "cpu_us_per_delivery", "CPU us/dlv", 1),
        (Self::AckP50, "ack_p50_ms", "ack p50 ms", 2),
        (Self::AckP99, "ack_p99_ms", "ack p99 ms", 2),
        (Self::DeliveredP50, "delivered_p50_ms", "dlvd p50 ms", 2),
        (Self::DeliveredP99, "delivered_p99_ms", "dlvd p99 ms", 2),
        (Self::BytesPerEvent, "bytes_per_event", "B/event", 0),
        (
            Self::TransactionsPerEvent,
            "transactions_per_event",
            "tx/event",
            4,
        ),
        (Self::PeakRss, "peak_rss_mib", "peak MiB", 1),
        (Self::RatioToBare, "ratio_to_bare", "to bare", 3),
    ];
}

/// The figures of one workload; `None` where one has no meaning or was not to be had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures([Option<f64>; Column::ALL.len()]);

impl Figures {
    /// What a phase comes to. `bare` is the rate of the forwarder in the same run.
    pub(crate) fn of(mut phase: Phase, bare: Option<f64>) -> Self {
        let events = count(phase.events);
        let seconds = phase.until_delivered.as_secs_f64();
        let rate = if phase.deliveries == 0 {
            events / phase.sending.as_secs_f64()
        } else {
            count(phase.deliveries) / seconds
        };
        // Without a delivery, what an event cost.
        let units = count(if phase.deliveries == 0 {
            phase.events
        } else {
            phase.deliveries
        });
        let mut figures = Self::default();
        let mut set = |column, value| figures.set(column, value);
        set(
            Column::EventsPerSecond,
            Some(events / phase.sending.as_secs_f64()),
        );
        set(
            Column::DeliveriesPerSecond,
            (phase.deliveries > 0).then(|| count(phase.deliveries) / seconds),
        );
        set(
            Column::CpuPerDelivery,
            Some(phase.used.cpu.as_secs_f64() * 1e6 / units),
        );
        set(Column::BytesPerEvent, Some(count(phase.used.written) / events));
        set(
            Column::TransactionsPerEvent,
            phase.commits.map(|commits| commits / events),
        );
        set(Column::PeakRss, Some(count(phase.used.peak_kib) / 1_024.0));
        set(Column::RatioToBare, Some(bare.map_or(1.0, |bare| rate / bare)));
        figures.set_latencies(&mut phase);
        figures
    }

    /// Takes the latencies of a phase, which may be another one: at a rate that the router is meant to keep.
    /// Sorts them where they are; a soak has millions.
    pub(crate) fn set_latencies(&mut self, phase: &mut Phase) {
        let (ack, delivered) = (&mut phase.acknowledged, &mut phase.delivered);
        self.set(Column::AckP50, percentile(ack, 0.50));
        self.set(Column::AckP99, percentile(ack, 0.99));
        self.set(Column::DeliveredP50, percentile(delivered, 0.50));
        self.set(Column::DeliveredP99, percentile(delivered, 0.99));
    }

    /// One of them.
    pub(crate) fn get(&self, column: Column) -> Option<f64> {
        self.0[column as usize]
    }

    pub(crate) fn set(&mut self, column: Column, value: Option<f64>) {
        self.0[column as usize] = value;
    }

    /// The middle of each figure over several runs.
    pub(crate) fn median(runs: &[Self]) -> Self {
        let mut median = Self::default();
        for (column, ..) in Column::ALL {
            let mut values: Vec<f64> = runs.iter().filter_map(|run| run.get(column)).collect();
            values.sort_unstable_by(f64::total_cmp);
            let middle = values.len() / 2;
            let value = match values.len() {
                0 => None,
                length if length % 2 == 0 => Some(f64::midpoint(values[middle - 1], values[middle])),
                _ => Some(values[middle]),
            };
            median.set(column, value);
        }
        median
    }

    /// Deliveries a second, or events where nothing is delivered.
    pub(crate) fn rate(&self) -> Option<f64> {
        self.get(Column::DeliveriesPerSecond)
            .or_else(|| self.get(Column::EventsPerSecond))
    }
}

/// What one workload is beside another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Comparison {
    /// Its rate, as a part of the other's.
    pub rate: f64,
    /// Its p99 from acknowledgement to delivery, likewise.
    pub delivered_p99: Option<f64>,
}

impl Comparison {
    /// Compares, where both have a rate.
    pub(crate) fn of(figures: &Figures, other: &Figures) -> Option<Self> {
        let p99 = |figures: &Figures| figures.get(Column::DeliveredP99).filter(|time| *time > 0.0);
        Some(Self {
            rate: figures.rate()? / other.rate()?,
            delivered_p99: p99(figures).zip(p99(other)).map(|(one, other)| one / other),
        })
    }
}

/// In milliseconds; none of no times.
fn percentile(times: &mut [Duration], at: f64) -> Option<f64> {
    times.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index, rounded down on purpose"
    )]
    let index = (count(times.len() as u64) * at) as usize;
    let time = times.get(index.min(times.len().checked_sub(1)?))?;
    Some(time.as_secs_f64() * 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
pub(crate) fn count(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_taken_figure_by_figure() {
        let run = |rate: f64, peak: Option<f64>| {
            let mut figures = Figures::default();
            figures.set(Column::DeliveriesPerSecond, Some(rate));
            figures.set(Column::PeakRss, peak);
            figures
        };
        let median = Figures::median(&[run(3.0, Some(9.0)), run(1.0, None), run(2.0, Some(7.0))]);
        assert_eq!(median.rate(), Some(2.0));
        assert_eq!(median.get(Column::PeakRss), Some(8.0));
        assert_eq!(median.get(Column::AckP99), None);
    }

    #[test]
    fn a_percentile_is_one_of_the_times() {
        let mut times: Vec<Duration> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(percentile(&mut times, 0.99), Some(100.0));
        assert_eq!(percentile(&mut times, 0.5), Some(51.0));
        assert_eq!(percentile(&mut [], 0.5), None);
    }

    #[test]
    fn columns_are_in_their_places() {
        for (place, (column, ..)) in Column::ALL.into_iter().enumerate() {
            assert_eq!(column as usize, place);
        }
    }
}
