//! Tests that start themselves again inside of Linux namespaces, where they may do what this machine forbids:
//! mount a disk, take an address. All of it goes with the namespace.

use std::process::Command;

/// Tells a test that it runs inside. Not `HOOKWAY_…`: those are settings to a router.
const INSIDE: &str = "FAULTS_INSIDE";

/// True where this process is inside already. Outside, runs the test of this whole name inside of these
/// namespaces (options of `unshare`) and with these variables, and has its end. Fails where there are none to
/// be had: what cannot run shows nothing.
pub fn inside(test: &str, namespaces: &[&str], environment: &[(&str, &str)]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("this program has a path");
    let ended = Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .args(namespaces)
        .arg(program)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .envs(environment.iter().copied())
        .env(INSIDE, "1")
        .status()
        .expect("`unshare` of util-linux is needed for this test");
    assert!(
        ended.success(),
        "{test} failed inside of its namespaces ({ended}). If it says `Operation not permitted`: this machine \
         allows no user namespaces; run it as root, or set kernel.unprivileged_userns_clone=1 and \
         kernel.apparmor_restrict_unprivileged_userns=0"
    );
    false
}
