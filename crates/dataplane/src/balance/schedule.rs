//! Smooth weighted round robin, computed in advance: 3 to 1 gives `a a b a`, never `a a a b`.

/// The longest schedule of few instances, but for one more place per instance that would otherwise never be chosen.
const MAX_PLACES: u64 = 1_000;
/// Of many, each has this many places on average.
const PLACES_EACH: u64 = 8;
/// Up to so many the schedule is the smoothest there is, computed in time that grows with their number times its length.
const FEW: usize = 100;

/// The order in which instances are proposed, as indices into `weights`. Weights are at least 1.
///
/// Weights are reduced by their greatest common divisor; where their sum is still above 1,000 they are scaled down to
/// that, so very uneven weights are kept to within a thousandth, and the smallest still gets a place. More than 100
/// instances get eight places on average instead, each spread evenly over the whole.
pub(super) fn smooth(weights: &[u32]) -> Vec<u32> {
    let shares = reduced(weights);
    if shares.len() > FEW {
        return spread(&shares);
    }
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

/// Each has its places at equal distances; who has most comes first where two want the same place.
fn spread(shares: &[i64]) -> Vec<u32> {
    let mut places: Vec<(f64, i64, u32)> = Vec::new();
    for (index, share) in (0..).zip(shares) {
        let distance = 1.0 / *share as f64;
        places.extend((0..*share).map(|turn| ((turn as f64 + 0.5) * distance, -share, index)));
    }
    places.sort_unstable_by(|left, right| {
        left.0.total_cmp(&right.0).then((left.1, left.2).cmp(&(right.1, right.2)))
    });
    places.into_iter().map(|(_, _, index)| index).collect()
}

fn reduced(weights: &[u32]) -> Vec<i64> {
    let divisor = weights.iter().fold(0, |divisor, weight| common_divisor(divisor, *weight)).max(1);
    let sum: u64 = weights.iter().map(|weight| u64::from(weight / divisor)).sum();
    let most = MAX_PLACES.max(if weights.len() > FEW { PLACES_EACH * weights.len() as u64 } else { 0 });
    let share = |weight: &u32| {
        let weight = u64::from(weight / divisor);
        let scaled = if sum > most { weight * most / sum } else { weight };
        scaled.max(1) as i64
    };
    weights.iter().map(share).collect()
}

fn common_divisor(left: u32, right: u32) -> u32 {
    if right == 0 { left } else { common_divisor(right, left % right) }
}
