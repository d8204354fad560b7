//! The workloads, as data: what is sent, to how many subscriptions of which kind, and how it is driven.

/// One workload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workload {
    /// As it is asked for and printed.
    pub name: &'static str,
    /// How it is driven.
    pub drive: Drive,
    /// Events that are measured.
    pub events: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// What each of them runs.
    pub plugin: Plugin,
    /// Another workload of the same run: it gives the rate or is what this one is compared with.
    pub against: Option<&'static str>,
}

/// How a workload is driven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Drive {
    /// The bare forwarder instead of the router, over as many connections as the others.
    Bare,
    /// As fast as it goes, by the API, over so many connections.
    Closed {
        /// Of the generator.
        connections: usize,
    },
    /// As fast as it goes, by a source.
    Inbound,
    /// As fast as it goes, in a database that holds so many events already.
    Filled {
        /// Before the measurement.
        events: u64,
    },
    /// At half the rate of the workload that it is compared with, for so many seconds.
    Half {
        /// Of measurement.
        seconds: u64,
    },
    /// An endpoint for each subscription, each event for one of them. One of them may be dead.
    Endpoints {
        /// What the first endpoint does.
        first: First,
    },
    /// Due retries beside so many others that are pending.
    Retries {
        /// Deliveries that failed once and are due in hours.
        others: u64,
    },
    /// At half the rate for a long time; asked for by name only.
    Soak,
}

/// What the first of many endpoints does. What it gets is not counted, in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum First {
    /// It answers like the others.
    Answers,
    /// It takes requests and never answers.
    Hangs,
}

/// What a subscription runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Plugin {
    /// Nothing.
    None,
    /// The Slack plugin, its instance kept between events.
    Kept,
    /// The Slack plugin, a fresh instance for every event.
    Fresh,
}

const CLOSED: Drive = Drive::Closed { connections: 64 };

const fn workload(
    name: &'static str,
    drive: Drive,
    events: u64,
    subscriptions: u64,
    plugin: Plugin,
    against: Option<&'static str>,
) -> Workload {
    Workload {
        name,
        drive,
        events,
        subscriptions,
        plugin,
        against,
    }
}

/// The first of all: every other is divided by it.
pub(crate) const BARE: &str = "bare";

/// All there are, in the order in which they run: what others are compared with comes before them.
pub(crate) const ALL: [Workload; 15] = [
    workload(BARE, Drive::Bare, 60_000, 1, Plugin::None, None),
    // One connection with one event in flight: every event is a transaction of its own.
    workload(
        "ingest-single",
        Drive::Closed { connections: 1 },
        8_000,
        0,
        Plugin::None,
        None,
    ),
    workload("ingest", CLOSED, 100_000, 0, Plugin::None, Some("ingest-single")),
    workload("deliver", CLOSED, 60_000, 1, Plugin::None, None),
    workload(
        "inbound",
        Drive::Inbound,
        40_000,
        1,
        Plugin::None,
        Some("deliver"),
    ),
    workload("transform", CLOSED, 60_000, 1, Plugin::Kept, Some("deliver")),
    workload("isolated", CLOSED, 40_000, 1, Plugin::Fresh, Some("transform")),
    workload("fanout", CLOSED, 10_000, 10, Plugin::Kept, Some("deliver")),
    workload(
        "half",
        Drive::Half { seconds: 20 },
        0,
        1,
        Plugin::Kept,
        Some("transform"),
    ),
    workload(
        "slow-none",
        Drive::Endpoints {
            first: First::Answers,
        },
        60_000,
        100,
        Plugin::None,
        None,
    ),
    workload(
        "slow",
        Drive::Endpoints { first: First::Hangs },
        60_000,
        100,
        Plugin::None,
        Some("slow-none"),
    ),
    workload(
        "retry-few",
        Drive::Retries { others: 0 },
        50_000,
        25,
        Plugin::None,
        None,
    ),
    workload(
        "retry",
        Drive::Retries { others: 950_000 },
        50_000,
        25,
        Plugin::None,
        Some("retry-few"),
    ),
    workload(
        "big",
        Drive::Filled { events: 3_000_000 },
        60_000,
        1,
        Plugin::Kept,
        Some("transform"),
    ),
    workload("soak", Drive::Soak, 0, 1, Plugin::Kept, Some("transform")),
];

/// The workload of this name.
pub(crate) fn named(name: &str) -> Option<Workload> {
    ALL.into_iter().find(|workload| workload.name == name)
}

/// What is run where these are asked for: they, what they are compared with, and the forwarder.
pub(crate) fn plan(asked: &[String]) -> Vec<Workload> {
    let all = asked.is_empty();
    let wanted = |workload: &Workload| {
        if all {
            workload.drive != Drive::Soak
        } else {
            asked.iter().any(|name| name == workload.name)
        }
    };
    let mut names: Vec<&str> = ALL.iter().filter(|one| wanted(one)).map(|one| one.name).collect();
    names.push(BARE);
    let mut at = 0;
    while let Some(name) = names.get(at) {
        names.extend(named(name).and_then(|workload| workload.against));
        at += 1;
    }
    ALL.into_iter()
        .filter(|workload| names.contains(&workload.name))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_are_compared_with_runs_before_them() {
        for (place, workload) in ALL.iter().enumerate() {
            let before = |name: &str| ALL[..place].iter().any(|other| other.name == name);
            assert!(workload.against.is_none_or(before), "{}", workload.name);
        }
    }

    #[test]
    fn a_plan_has_what_its_workloads_need() {
        let names = |asked: &[&str]| -> Vec<&str> {
            let asked: Vec<String> = asked.iter().map(|name| (*name).to_owned()).collect();
            plan(&asked).into_iter().map(|workload| workload.name).collect()
        };
        assert_eq!(names(&["half"]), ["bare", "deliver", "transform", "half"]);
        assert_eq!(names(&["slow"]), ["bare", "slow-none", "slow"]);
        assert!(!names(&[]).contains(&"soak"));
        assert_eq!(names(&[]).len(), ALL.len() - 1);
    }

    #[test]
    fn the_documents_know_every_workload_and_every_column() {
        let page = include_str!("../../../docs/performance.md");
        let names = ALL.iter().map(|workload| workload.name);
        let columns = crate::figures::Column::ALL.iter().map(|(_, name, ..)| *name);
        for name in names.chain(columns) {
            assert!(
                page.contains(&format!("`{name}`")),
                "docs/performance.md does not name {name}"
            );
        }
    }
}
