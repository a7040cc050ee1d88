//! Names for projects whose maker gives none: three words, easy to say over the telephone.

use loopd_types::Rng;

const FIRST: [&str; 16] = [
    "amber", "brisk", "calm", "clear", "eager", "fair", "gentle", "green", "keen", "lucky", "merry", "noble", "quick",
    "quiet", "steady", "sunny",
];
const SECOND: [&str; 16] = [
    "coral", "copper", "desert", "forest", "golden", "harbour", "island", "lake", "maple", "meadow", "mountain",
    "ocean", "river", "silver", "valley", "willow",
];
const THIRD: [&str; 16] = [
    "crane", "dolphin", "eagle", "falcon", "finch", "fox", "gazelle", "heron", "ibis", "kite", "lark", "otter",
    "robin", "sparrow", "swift", "zebra",
];

/// `quiet-river-heron`
pub fn three_words(rng: &dyn Rng) -> String {
    let mut bytes = [0u8; 3];
    rng.fill(&mut bytes);
    let pick = |words: &[&'static str; 16], byte: u8| words[usize::from(byte % 16)];
    format!("{}-{}-{}", pick(&FIRST, bytes[0]), pick(&SECOND, bytes[1]), pick(&THIRD, bytes[2]))
}
