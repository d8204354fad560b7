//! What is printed: a table for people, an array of objects for machines.

use std::time::Duration;

use serde_json::json;

use crate::workload::Result;

/// One line of the report.
pub(crate) struct Row {
    workload: &'static str,
    events_per_second: f64,
    deliveries_per_second: f64,
    cpu_us_per_delivery: f64,
    ack_p50_ms: f64,
    ack_p99_ms: f64,
    delivered_p50_ms: f64,
    delivered_p99_ms: f64,
    bytes_per_event: f64,
    peak_rss_mib: f64,
    ratio_to_bare: f64,
}

impl Row {
    /// Sums a result up; `bare` is the forwarder's of the same run.
    pub(crate) fn new(mut result: Result, bare: &Result) -> Self {
        let events = count(result.events);
        // Without a delivery, what an event cost.
        let units = count(result.deliveries.max(result.events));
        let rate = |result: &Result| {
            count(result.deliveries.max(result.events)) / result.until_delivered.as_secs_f64()
        };
        Self {
            workload: result.workload,
            events_per_second: events / result.sending.as_secs_f64(),
            deliveries_per_second: count(result.deliveries) / result.until_delivered.as_secs_f64(),
            cpu_us_per_delivery: result.cpu.as_secs_f64() * 1e6 / units,
            ratio_to_bare: rate(&result) / rate(bare),
            ack_p50_ms: percentile(&mut result.acknowledged, 0.50),
            ack_p99_ms: percentile(&mut result.acknowledged, 0.99),
            delivered_p50_ms: percentile(&mut result.delivered, 0.50),
            delivered_p99_ms: percentile(&mut result.delivered, 0.99),
            bytes_per_event: count(result.written) / events,
            peak_rss_mib: count(result.peak_kib) / 1_024.0,
        }
    }
}

/// Prints the rows.
pub(crate) fn print(rows: &[Row], as_json: bool) {
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| {
                json!({
                    "workload": row.workload,
                    "events_per_second": row.events_per_second.round(),
                    "deliveries_per_second": row.deliveries_per_second.round(),
                    "cpu_us_per_delivery": round(row.cpu_us_per_delivery),
                    "ack_p50_ms": round(row.ack_p50_ms),
                    "ack_p99_ms": round(row.ack_p99_ms),
                    "delivered_p50_ms": round(row.delivered_p50_ms),
                    "delivered_p99_ms": round(row.delivered_p99_ms),
                    "bytes_per_event": row.bytes_per_event.round(),
                    "peak_rss_mib": round(row.peak_rss_mib),
                    "ratio_to_bare": round(row.ratio_to_bare),
                })
            })
            .collect();
        println!("{}", serde_json::Value::from(rows));
        return;
    }
    println!(
        "{:<10} {:>9} {:>12} {:>11} {:>9} {:>9} {:>11} {:>11} {:>8} {:>8} {:>8}",
        "workload",
        "events/s",
        "deliveries/s",
        "CPU us/dlv",
        "ack p50",
        "ack p99",
        "dlvrd p50",
        "dlvrd p99",
        "B/event",
        "peak MiB",
        "to bare"
    );
    for row in rows {
        println!(
            "{:<10} {:>9.0} {:>12.0} {:>11.1} {:>6.2} ms {:>6.2} ms {:>8.2} ms {:>8.2} ms {:>8.0} {:>8.1} {:>8.2}",
            row.workload,
            row.events_per_second,
            row.deliveries_per_second,
            row.cpu_us_per_delivery,
            row.ack_p50_ms,
            row.ack_p99_ms,
            row.delivered_p50_ms,
            row.delivered_p99_ms,
            row.bytes_per_event,
            row.peak_rss_mib,
            row.ratio_to_bare,
        );
    }
    println!(
        "delivered: from sending the event to its arrival; `ingest` has no delivery, its CPU is per event"
    );
}

fn percentile(times: &mut [Duration], at: f64) -> f64 {
    times.sort_unstable();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index, rounded down on purpose"
    )]
    let index = (count(times.len() as u64) * at) as usize;
    times
        .get(index.min(times.len().saturating_sub(1)))
        .map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

fn round(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

#[expect(clippy::cast_precision_loss, reason = "counts here are far below 2^52")]
fn count(number: u64) -> f64 {
    number as f64
}
