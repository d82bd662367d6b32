//! The order of an epoch.

use harness_datasets::epoch_order;
use proptest::prelude::*;

proptest! {
    #[test]
    fn an_order_is_a_permutation(n in 0..3000u32, seed: u64, epoch: u64) {
        let mut order = epoch_order(n, seed, epoch);
        prop_assert_eq!(&order, &epoch_order(n, seed, epoch));
        order.sort_unstable();
        prop_assert_eq!(order, (0..n).collect::<Vec<_>>());
    }

    #[test]
    fn orders_differ_between_epochs_and_seeds(n in 30..200u32, seed: u64, epoch: u64) {
        // Two of at least 30! orders are equal by chance never.
        let order = epoch_order(n, seed, epoch);
        prop_assert_ne!(&order, &epoch_order(n, seed, epoch.wrapping_add(1)));
        prop_assert_ne!(&order, &epoch_order(n, seed.wrapping_add(1), epoch));
    }
}

#[test]
fn the_order_never_changes() {
    // From an independent implementation of ChaCha8, Lemire's draw and the shuffle.
    let rows: [(u32, u64, u64, [u32; 10]); 4] = [
        (10, 0, 1, [8, 1, 4, 6, 3, 2, 0, 7, 9, 5]),
        (1437, 0, 1, [287, 788, 1239, 427, 880, 169, 775, 1429, 468, 520]),
        (60_000, 0, 1, [42478, 58661, 25971, 16184, 4962, 244, 32071, 28105, 58401, 5235]),
        (60_000, 3, 200, [38398, 54621, 10724, 44888, 53123, 34453, 39934, 10001, 36941, 25451]),
    ];
    for (n, seed, epoch, first) in rows {
        assert_eq!(epoch_order(n, seed, epoch)[..10], first, "n {n}, seed {seed}, epoch {epoch}");
    }
}

#[test]
fn every_order_of_three_comes_up_equally_often() {
    let mut counts = std::collections::BTreeMap::new();
    for epoch in 0..6000 {
        *counts.entry(epoch_order(3, 0, epoch)).or_insert(0) += 1;
    }
    // Five standard deviations of a binomial count around 1000.
    assert_eq!(counts.len(), 6);
    assert!(counts.values().all(|count| (856..=1144).contains(count)), "{counts:?}");
}
