//! Two figures of a list of times.

use std::time::Duration;

/// The time that 99 of 100 keep to.
pub fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    let place = (times.len() * 99).div_ceil(100).saturating_sub(1);
    times[place]
}

/// The one in the middle.
pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn the_figures_are_what_they_are_called() {
    let times: Vec<_> = (1..=200).map(Duration::from_millis).collect();
    assert_eq!(p99(times.clone()), Duration::from_millis(198));
    assert_eq!(median(times), Duration::from_millis(101));
}
