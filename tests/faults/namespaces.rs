//! Tests that start themselves again inside of Linux namespaces, where they may do what this machine forbids:
//! mount a disk, take an address. All of it goes with the namespace.

use std::process::Command;

/// Tells a test that it runs inside. Not `HOOKWAY_…`: those are settings to a router.
const INSIDE: &str = "FAULTS_INSIDE";

/// True where this process is inside already. Outside, runs the test of this whole name inside of these
/// namespaces (options of `unshare`) and with these variables, and has its end. Fails where there are none to
/// be had, and where not exactly this one test ran inside: what does not run shows nothing.
pub fn inside(test: &str, namespaces: &[&str], environment: &[(&str, &str)]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .args(namespaces)
        .arg(program)
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .envs(environment.iter().copied())
        .env(INSIDE, "1")
        .output()
        .expect("`unshare` of util-linux is needed for this test");
    let told = String::from_utf8_lossy(&output.stdout);
    print!("{told}");
    eprint!("{}", String::from_utf8_lossy(&output.stderr));
    let ended = output.status;
    assert!(
        ended.success(),
        "{test} failed inside of its namespaces ({ended}). If it says `Operation not permitted`: this machine \
         allows no user namespaces; run it as root, or set kernel.unprivileged_userns_clone=1 and \
         kernel.apparmor_restrict_unprivileged_userns=0"
    );
    assert!(
        one_passed(&told),
        "inside of the namespaces nothing ran under the name {test}; give `inside` the name that the test has"
    );
    false
}

/// Whether what the test program says is that one test ran, and passed. One that knows no test of this name is
/// as content as one that ran it.
fn one_passed(told: &str) -> bool {
    let mut results = told.lines().filter(|line| line.starts_with("test result: "));
    let one = results.next();
    one.is_some_and(|line| line.starts_with("test result: ok. 1 passed; 0 failed; 0 ignored;"))
        && results.next().is_none()
}

#[test]
fn control_a_name_that_no_test_has_is_noticed() {
    let program = std::env::current_exe().expect("this program has a path");
    let run = |test: &str| {
        let mut command = Command::new(&program);
        let output = command
            .args([test, "--exact", "--nocapture", "--test-threads=1"])
            .output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{test}: {}", output.status);
        one_passed(&String::from_utf8_lossy(&output.stdout))
    };
    assert!(run("extent::quick_unless_asked_otherwise"));
    assert!(
        !run("extent::quick_unless_asked"),
        "the check does not notice that nothing ran"
    );
}
