//! Choices from a random generator whose seed is part of a case.

use fastrand::Rng;

/// One of `choices`, each as likely as its weight.
pub fn weighted<T: Clone>(rng: &mut Rng, choices: &[(u32, T)]) -> T {
    let total = choices.iter().map(|(weight, _)| weight).sum();
    let mut point = rng.u32(0..total);
    for (weight, choice) in choices {
        if point < *weight {
            return choice.clone();
        }
        point -= weight;
    }
    unreachable!("the point lies below the sum of the weights")
}

/// One of `choices`, each as likely as the others.
pub fn one_of<T: Clone>(rng: &mut Rng, choices: &[T]) -> T {
    choices[rng.usize(0..choices.len())].clone()
}

/// True in `percent` of a hundred cases.
pub fn percent(rng: &mut Rng, percent: u32) -> bool {
    rng.u32(0..100) < percent
}

/// A number that depends on every bit of what it is made of, and on nothing else: the same on every machine
/// (FNV-1a).
pub fn mix(seed: u64, parts: &[&[u8]]) -> u64 {
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(PRIME);
    seed.to_le_bytes().into_iter().for_each(&mut take);
    for part in parts {
        part.len().to_le_bytes().into_iter().for_each(&mut take);
        part.iter().copied().for_each(&mut take);
    }
    hash
}
