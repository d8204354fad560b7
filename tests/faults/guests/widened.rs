//! The control of the zoo: each limit widened as far as the configuration allows, and the same judge on
//! guests that meet this limit. None of them is stopped as the contract says then, so each must come out red;
//! one that does not shows that something else stops it, or that the judge would not notice.
//!
//! The stack has no setting that lets an endless recursion through, and the checks of imports, exports and
//! bytes have none at all.

use std::time::Duration;

use serde_json::json;

use super::zoo::zoo;
use super::{install, judge, ran_for};
use crate::daemon::Daemon;
use crate::support::Receiver;

/// How long a guest is waited for that should have been stopped within half a second.
const PATIENCE: Duration = Duration::from_secs(4);

/// Which of these are met as the contract says, with these settings.
async fn green(settings: &[&str], names: &[&'static str]) -> Vec<&'static str> {
    let router = Daemon::start(settings);
    let receiver = Receiver::start().await;
    let zoo = zoo();
    let (mut green, mut installed) = (Vec::new(), Vec::new());
    for name in names {
        let guest = zoo
            .iter()
            .find(|guest| guest.name == *name)
            .expect("it is in the zoo");
        let installing = install(&router, &receiver, guest, "event");
        match tokio::time::timeout(PATIENCE, installing).await {
            Ok(Ok(Some(subscription))) => installed.push((guest, subscription)),
            Ok(Ok(None)) => green.push(*name),
            // It is where the contract does not have it, or has not been stopped so far.
            Ok(Err(_)) | Err(_) => {}
        }
    }
    if installed.is_empty() {
        return green;
    }
    let event = router.send(&json!({"type": "a", "data": {"wave": 0}})).await;
    let waiting = tokio::time::Instant::now() + PATIENCE;
    for (guest, subscription) in &installed {
        let record = router.delivery(subscription, |delivery| ran_for(delivery, &event));
        if let Ok(delivery) = tokio::time::timeout_at(waiting, record).await
            && judge(guest.name, guest.ends, &delivery).is_none()
        {
            green.push(guest.name);
        }
    }
    green
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn control_with_wide_limits_the_zoo_is_not_contained() {
    const MINUTES: &[&str] = &[
        "plugins.transform_ms=1min",
        "plugins.configure_ms=1min",
        "plugins.describe_ms=1min",
    ];
    const MEMORY: &[&str] = &[
        "plugins.memory_bytes=1 GiB",
        "plugins.table_elements=1000000",
        "plugins.memories=16",
        "plugins.tables=64",
        "plugins.core_instances=200",
        "plugins.flattened_instances=10000",
        // The pool reserves address space for as much as all of them could have.
        "plugins.kept_instances=4",
        "plugins.transform_ms=10s",
    ];
    const OUTPUT: &[&str] = &[
        "plugins.output_bytes=64 MiB",
        "plugins.body_bytes=16 MiB",
        "plugins.requests=1000",
        "plugins.events=1000",
        "plugins.headers=256",
        "plugins.header_bytes=64 KiB",
        "plugins.reason_bytes=64 KiB",
        "plugins.log_lines=10000",
        "plugins.log_line_bytes=64 KiB",
        "plugins.transform_ms=10s",
    ];
    const HANDLES: &[&str] = &["plugins.resource_handles=100000", "plugins.transform_ms=10s"];
    // Whoever describes itself for ever keeps all others from being loaded, so it comes last.
    let of_time: &[&str] = &[
        "loops",
        "fills-for-ever",
        "logs-for-ever",
        "loops-after-return",
        "loops-in-configure",
        "loops-in-describe",
    ];
    let of_memory: &[&str] = &[
        "takes-all-memory",
        "takes-twice-what-it-may",
        "takes-all-of-a-table",
        "wants-a-gibibyte",
        "wants-two-memories",
        "wants-many-tables",
        "wants-a-large-table",
        "wants-many-instances",
    ];
    let of_output: &[&str] = &[
        "output-too-large",
        "thousand-empty-requests",
        "flood-of-events",
        "header-flood",
        "reason-of-a-mebibyte",
        "log-flood",
        "log-of-two-mebibytes",
    ];
    let of_handles: &[&str] = &["makes-a-thousand-resources"];
    let groups = [
        (MINUTES, of_time),
        (MEMORY, of_memory),
        (OUTPUT, of_output),
        (HANDLES, of_handles),
    ];
    let (mut red, mut still_green) = (0, Vec::new());
    for (settings, names) in groups {
        let green = green(settings, names).await;
        red += names.len() - green.len();
        still_green.extend(green);
    }
    println!("guests, control: {red} of the zoo with their limits widened, each red");
    assert!(
        still_green.is_empty(),
        "the judge would not notice: {still_green:?}"
    );
}
