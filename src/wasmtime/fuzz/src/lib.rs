//! Bytes and texts of components that nobody has looked at. The scan ends, within its limits, and finds the same again.

use airssys_wasm_scan::{Ended, LoadLimit, Patience, Scan, scan};
use wast::Wat;
use wast::parser::ParseBuffer;

/// In the order of the table of load limits.
const MOST: Scan = Scan {
    figures: [20, 100, 100, 100, 1_000, 10_000, 1_000, 100, 100, 10, 10, 100_000, 16 << 20],
    concurrency: false,
};

fn scanned(bytes: &[u8]) {
    let (mut found, mut again) = (Scan::default(), Scan::default());
    let outcome = scan(bytes, &MOST, Patience::ENDLESS, &mut found);
    assert_eq!(outcome, scan(bytes, &MOST, Patience::ENDLESS, &mut again));
    assert_eq!((found.figures, found.concurrency), (again.figures, again.concurrency));
    match outcome {
        Ok(footprint) => {
            assert!(found.figures.iter().zip(MOST.figures).all(|(found, most)| *found <= most), "{found:?}");
            assert!(footprint.instances <= found[LoadLimit::Instances], "{footprint:?}");
        }
        Err(Ended::Limit { limit, found }) => {
            assert!(found > MOST[limit], "{limit:?} at {found}")
        }
        Err(Ended::Malformed { offset, .. }) => assert!(offset <= bytes.len() as u64, "{offset}"),
        Err(stopped) => panic!("{stopped:?}"),
    }
}

/// # Safety
/// `data` points at `size` readable bytes, as libFuzzer gives them.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn LLVMFuzzerTestOneInput(data: *const u8, size: usize) -> i32 {
    // SAFETY: the caller's promise above; without bytes the pointer is not looked at.
    let bytes = if size == 0 { &[] } else { unsafe { std::slice::from_raw_parts(data, size) } };
    scanned(bytes);
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(tokens) = ParseBuffer::new(text)
        && let Ok(mut parsed) = wast::parser::parse::<Wat>(&tokens)
        && let Ok(bytes) = parsed.encode()
    {
        scanned(&bytes);
    }
    0
}
