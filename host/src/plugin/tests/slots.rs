//! More instances than the pool has slots.

use super::*;

#[tokio::test]
async fn who_finds_no_slot_is_told_so_and_the_next_one_has_it() {
    let limits = PluginLimits {
        threads: 1,
        kept_instances: 1,
        ..patient()
    };
    let House { runtime, .. } = house(limits);
    let plugin = load(&runtime, "").await.unwrap();
    let limits = &runtime.0.limits;
    let made = || Instance::new(&plugin.pre, limits, limits.for_configure());
    let mut held: Vec<_> = (0..2).map(|_| made()).collect();
    assert!(held.iter().all(Result::is_ok));
    for _ in 0..3 {
        let Err(stillborn) = made() else {
            panic!("there are two slots");
        };
        assert_eq!(
            stillborn.fault.kind,
            FaultKind::Unavailable,
            "{}",
            stillborn.fault
        );
        assert!(stillborn.fault.detail.contains("limit"), "{}", stillborn.fault);
    }
    held.pop();
    assert!(made().is_ok());
    drop(held);
    // And through the door: who runs has a slot, however often it is used.
    for _ in 0..10 {
        assert!(runtime.run(call(&plugin, 1)).await.result.is_ok());
    }
}
