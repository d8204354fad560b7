//! What the parts of the hot path cost, one by one: matching, signing, a plugin's run, a batch in the store.
//! `cargo bench --package hookway` prints it. The whole path is the business of `cargo xtask bench`.

#![allow(missing_docs, reason = "the macros of the harness write functions without")]

use criterion::{Criterion, criterion_group, criterion_main};
use hookway::digest::Digest;
use std::hint::black_box;

fn digests(criterion: &mut Criterion) {
    let data = vec![b'x'; 1_024];
    criterion.bench_function("digest of 1 KiB", |bencher| {
        bencher.iter(|| Digest::of(black_box(&data)));
    });
}

criterion_group!(parts, digests);
criterion_main!(parts);
