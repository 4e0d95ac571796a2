//! Smooth weighted round robin, computed in advance: 3 to 1 gives `a a b a`, never `a a a b`.

/// The longest schedule, but for one more place per instance that would otherwise never be chosen.
const MAX_PLACES: u64 = 1_000;

/// The order in which instances are proposed, as indices into `weights`. Weights are at least 1.
///
/// Weights are reduced by their greatest common divisor; where their sum is still above 1,000 they are scaled down to
/// that, so very uneven weights are kept to within a thousandth, and the smallest still gets a place.
pub(super) fn smooth(weights: &[u32]) -> Vec<u32> {
    let shares = reduced(weights);
    let total: i64 = shares.iter().sum();
    let mut credits = vec![0; shares.len()];
    (0..total).filter_map(|_| next(&shares, &mut credits, total)).collect()
}

/// Everyone earns its share, the richest is chosen and pays for all; the first wins a tie.
fn next(shares: &[i64], credits: &mut [i64], total: i64) -> Option<u32> {
    let mut chosen: Option<(usize, i64)> = None;
    for (index, (credit, share)) in credits.iter_mut().zip(shares).enumerate() {
        *credit += share;
        if chosen.is_none_or(|(_, most)| *credit > most) {
            chosen = Some((index, *credit));
        }
    }
    let (index, _) = chosen?;
    if let Some(credit) = credits.get_mut(index) {
        *credit -= total;
    }
    u32::try_from(index).ok()
}

fn reduced(weights: &[u32]) -> Vec<i64> {
    let divisor = weights.iter().fold(0, |divisor, weight| common_divisor(divisor, *weight)).max(1);
    let sum: u64 = weights.iter().map(|weight| u64::from(weight / divisor)).sum();
    let share = |weight: &u32| {
        let weight = u64::from(weight / divisor);
        let scaled = if sum > MAX_PLACES { weight * MAX_PLACES / sum } else { weight };
        scaled.max(1) as i64
    };
    weights.iter().map(share).collect()
}

fn common_divisor(left: u32, right: u32) -> u32 {
    if right == 0 { left } else { common_divisor(right, left % right) }
}
