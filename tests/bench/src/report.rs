//! What is printed: a table and what follows from it for people, an array of objects for machines.

use serde_json::{Map, Value, json};

use crate::driver::{Flatness, Outcome};
use crate::figures::{Column, Comparison, Figures};
use crate::workload::Workload;

/// One line.
pub(crate) struct Row {
    /// What was run.
    pub workload: Workload,
    /// What it came to.
    pub outcome: Outcome,
}

/// Prints the rows for people.
pub(crate) fn print_table(rows: &[Row]) {
    let mut head = format!("{:<14}", "workload");
    for (_, _, title, _) in Column::ALL {
        head.push_str(&format!(" {title:>12}"));
    }
    println!("{head}");
    for row in rows {
        let mut line = format!("{:<14}", row.workload.name);
        for (column, _, _, decimals) in Column::ALL {
            let value = row.outcome.figures.get(column);
            let shown = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"));
            line.push_str(&format!(" {shown:>12}"));
        }
        println!("{line}");
    }
    println!();
    for row in rows {
        if let (Some(other), Some(comparison)) = (row.workload.against, compared(row, rows)) {
            let p99 = comparison.delivered_p99.map_or_else(String::new, |p99| {
                format!(", {p99:.2} of its p99 from acknowledgement to delivery")
            });
            println!(
                "{} has {:.3} of the rate of {other}{p99}",
                row.workload.name, comparison.rate
            );
        }
        if let Some(flat) = &row.outcome.flatness {
            println!("{}: {}", row.workload.name, told(flat));
        }
    }
    println!(
        "\nack: from sending (in an open loop: from when it was due) to the 202; dlvd: from the 202 to the \
         arrival. Every event has a random id. Without deliveries, CPU is per event."
    );
}

/// Prints the rows for machines.
pub(crate) fn print_json(rows: &[Row]) {
    let objects: Vec<Value> = rows.iter().map(|row| object(row, rows)).collect();
    println!("{}", Value::from(objects));
}

fn object(row: &Row, rows: &[Row]) -> Value {
    let mut object = Map::new();
    object.insert("workload".to_owned(), row.workload.name.into());
    for (column, name, ..) in Column::ALL {
        object.insert(name.to_owned(), row.outcome.figures.get(column).map(round).into());
    }
    if let (Some(other), Some(comparison)) = (row.workload.against, compared(row, rows)) {
        let against = json!({
            "workload": other,
            "rate_ratio": round(comparison.rate),
            "delivered_p99_ratio": comparison.delivered_p99.map(round),
        });
        object.insert("against".to_owned(), against);
    }
    if let Some(flat) = &row.outcome.flatness {
        let flat = json!({
            "seconds": round(flat.seconds),
            "mib_per_ten_minutes": round(flat.mib_per_ten_minutes),
            "resident_mib": [round(flat.resident_mib.0), round(flat.resident_mib.1)],
            "descriptors": [flat.descriptors.0, flat.descriptors.1],
            "threads": [flat.threads.0, flat.threads.1],
        });
        object.insert("flatness".to_owned(), flat);
    }
    object.into()
}

fn compared(row: &Row, rows: &[Row]) -> Option<Comparison> {
    let other = row.workload.against?;
    let other: &Figures = rows
        .iter()
        .find(|row| row.workload.name == other)
        .map(|row| &row.outcome.figures)?;
    Comparison::of(&row.outcome.figures, other)
}

fn told(flat: &Flatness) -> String {
    format!(
        "{:+.2} MiB per ten minutes over {:.0} s ({:.1} to {:.1} MiB), {} to {} descriptors, {} to {} threads",
        flat.mib_per_ten_minutes,
        flat.seconds,
        flat.resident_mib.0,
        flat.resident_mib.1,
        flat.descriptors.0,
        flat.descriptors.1,
        flat.threads.0,
        flat.threads.1,
    )
}

/// Four decimals: a transaction is shared by hundreds of events.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}
