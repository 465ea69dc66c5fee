//! How many messages each nsqd may have in flight with us, of those that the consumer may have in all. Pure.

/// One nsqd, as seen since the last time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// The count that it has now.
    pub(crate) ready: u32,
    /// The most that it accepts.
    pub(crate) most: u32,
    pub(crate) in_flight: u32,
    /// Something came from it, or is in flight.
    pub(crate) active: bool,
    /// The higher, the longer ago it last had a share.
    pub(crate) waited: u32,
}

/// The counts to ask for, one for each. Nobody is given what is in flight elsewhere, so that the sum stays below the
/// limit while shares move; it takes another call to move all of it.
pub(crate) fn shares(limit: u32, loads: &[Load]) -> Vec<u32> {
    let mut wanted = wanted(limit, loads);
    let mut held: u32 = 0;
    for (load, wanted) in loads.iter().zip(&wanted) {
        held = held.saturating_add(load.ready.min(*wanted).max(load.in_flight));
    }
    let mut free = limit.saturating_sub(held);
    for (load, wanted) in loads.iter().zip(&mut wanted) {
        let now = load.ready.max(load.in_flight);
        if *wanted > now {
            let more = (*wanted - now).min(free);
            free -= more;
            *wanted = now + more;
        }
    }
    wanted
}

/// Where the counts should go: one for each nsqd, the rest for those that have messages; or, with more of them than
/// messages, one for those that waited longest.
fn wanted(limit: u32, loads: &[Load]) -> Vec<u32> {
    let mut wanted = vec![0; loads.len()];
    let count = u32::try_from(loads.len()).unwrap_or(u32::MAX);
    if count > limit {
        let mut order: Vec<usize> = (0..loads.len()).collect();
        order.sort_by_key(|index| std::cmp::Reverse(loads[*index].waited));
        for index in order.into_iter().take(usize::try_from(limit).unwrap_or(usize::MAX)) {
            wanted[index] = 1;
        }
        return wanted;
    }
    let everyone_idle = loads.iter().all(|load| !load.active);
    let mut rest = limit - count;
    let takers: Vec<usize> = (0..loads.len()).filter(|index| everyone_idle || loads[*index].active).collect();
    wanted.fill(1);
    for (place, index) in takers.iter().enumerate() {
        let left = u32::try_from(takers.len() - place).unwrap_or(u32::MAX);
        let share = rest.div_ceil(left).min(loads[*index].most.saturating_sub(1));
        wanted[*index] += share;
        rest -= share;
    }
    wanted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const IDLE: Load = Load { ready: 0, most: 2500, in_flight: 0, active: false, waited: 0 };
    const BUSY: Load = Load { active: true, ..IDLE };

    /// Repeated until nothing moves.
    fn settled(limit: u32, loads: &mut [Load]) -> Vec<u32> {
        for _ in 0..10 {
            let shares = shares(limit, loads);
            for (load, ready) in loads.iter_mut().zip(shares) {
                load.ready = ready;
            }
        }
        loads.iter().map(|load| load.ready).collect()
    }

    #[test]
    fn each_gets_one_and_those_with_messages_the_rest() {
        assert_eq!(settled(10, &mut [IDLE]), [10]);
        assert_eq!(settled(10, &mut [IDLE, IDLE]), [5, 5]);
        assert_eq!(settled(10, &mut [BUSY, BUSY, BUSY]), [4, 3, 3]);
        assert_eq!(settled(10, &mut [IDLE, BUSY, IDLE]), [1, 8, 1]);
        assert_eq!(settled(3, &mut [IDLE, BUSY, IDLE]), [1, 1, 1]);
        assert_eq!(settled(0, &mut [IDLE, BUSY]), [0, 0]);
        assert_eq!(settled(10, &mut [Load { most: 2, ..BUSY }, BUSY]), [2, 8]);
        assert!(shares(5, &[]).is_empty());
    }

    #[test]
    fn what_is_in_flight_elsewhere_is_not_given_twice() {
        let first = Load { ready: 9, in_flight: 9, ..BUSY };
        let second = Load { ready: 1, in_flight: 1, ..BUSY };
        assert_eq!(shares(10, &[first, second]), [5, 1]);
        assert_eq!(shares(10, &[Load { ready: 5, in_flight: 6, ..first }, second]), [5, 4]);
        assert_eq!(shares(10, &[Load { ready: 5, in_flight: 5, ..first }, second]), [5, 5]);
    }

    #[test]
    fn with_more_of_them_than_messages_they_take_turns() {
        let mut loads = [Load { waited: 3, ..IDLE }, Load { waited: 1, ..IDLE }, Load { waited: 2, ..IDLE }];
        assert_eq!(shares(2, &loads), [1, 0, 1]);
        loads[0] = Load { ready: 0, in_flight: 1, ..loads[0] };
        loads[0].waited = 0;
        assert_eq!(shares(2, &loads), [0, 1, 0], "the first is still at work; one turn is free");
    }

    proptest! {
        #[test]
        fn the_sum_stays_within_the_limit(
            limit in 0_u32..50,
            loads in prop::collection::vec((0_u32..20, 1_u32..30, any::<bool>(), 0_u32..9), 0..8),
        ) {
            let mut left = limit;
            let loads: Vec<Load> = loads.into_iter().map(|(ready, most, active, waited)| {
                let ready = ready.min(left).min(most);
                left -= ready;
                Load { ready, most, in_flight: ready / 2, active, waited }
            }).collect();
            let shares = shares(limit, &loads);
            let held: u32 = shares.iter().zip(&loads).map(|(share, load)| (*share).max(load.in_flight)).sum();
            prop_assert!(held <= limit, "{:?}", shares);
            prop_assert!(shares.iter().zip(&loads).all(|(share, load)| *share <= load.most));
        }
    }
}
