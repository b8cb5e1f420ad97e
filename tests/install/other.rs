//! Another Rust library in the same program: with a standard library, an allocator and panics of its own.

#[unsafe(no_mangle)]
pub extern "C" fn other_sum(n: u32) -> u64 {
    let words: Vec<String> = (0..n).map(|i| i.to_string()).collect();
    let caught = std::panic::catch_unwind(|| if n == 7 { panic!("seven") });
    words.iter().map(|word| word.len() as u64).sum::<u64>() + if caught.is_err() { 1000 } else { 0 }
}
