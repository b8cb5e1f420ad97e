//! Errors and frames: what they are told by, and what is told.

use super::{BUDGET, Guest, LIFT, but, core, message};
use crate::limits::BridgeLimit;
use crate::outcome::{BridgeCause, BridgeFailure, Failure, PINNED};
use wasmtime::Trap;

#[test]
fn traps_have_the_names_that_cpp_gives_them() {
    let names = include_str!("../../../../base/trap.cpp");
    let of_cpp: Vec<_> = names.lines().filter_map(|l| l.split_once("string_view{\"")?.1.split_once('"')).collect();
    let mut of_wasmtime = Vec::new();
    while let Some(trap) = Trap::from_u8(of_wasmtime.len() as u8) {
        let mut name = String::new();
        for c in format!("{trap:?}").chars() {
            if c.is_uppercase() && !name.is_empty() {
                name.push('_');
            }
            name.extend(c.to_lowercase());
        }
        of_wasmtime.push(name);
    }
    let of_cpp: Vec<_> = of_cpp.iter().map(|(name, _)| *name).collect();
    let (ours, own) = of_cpp.split_at(of_wasmtime.len());
    assert_eq!(ours, of_wasmtime);
    assert_eq!(own, ["canonical_abi", "host", "unknown_handle", "handle_type", "handle_in_use", "stream_misuse"]);
}

/// The texts for misuse of handles and streams are provoked in misuse.rs.
#[test]
fn every_pinned_text_is_what_wasmtime_says() {
    let provoke = |wat: &str, limit: BridgeLimit, most: u64| {
        let (_, end) = Guest::new(wat, &[]).call(&but(BUDGET, limit, most), 100);
        let why = end.expect("it ends within its fuel").0;
        assert_eq!(why, limit, "{wat}");
    };
    let answer = "i32.const 1";
    let plain = |fields: &str| core(&format!(r#"{fields} (func (export "run") (result i32) {answer})"#), LIFT);
    provoke(&plain("(memory 1)"), BridgeLimit::Memories, 0);
    provoke(&plain("(table 1 funcref)"), BridgeLimit::Tables, 0);
    provoke(&plain(""), BridgeLimit::Instances, 0);
    let big = core(
        r#"(memory (export "mem") 1) (func (export "run") (result i32) (i32.store (i32.const 20) (i32.const 6000)) i32.const 16)"#,
        r#"(result (list string)) (canon lift (core func $i "run") (memory $i "mem"))"#,
    );
    provoke(&big, BridgeLimit::HostBuffer, 1000);
    let flood = r#"(component (type $r (resource (rep i32))) (core func $new (canon resource.new $r))
        (core module $m (import "" "new" (func $n (param i32) (result i32)))
          (func (export "run") (result i32) (loop $l (drop (call $n (i32.const 1))) (br $l)) i32.const 1))
        (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
        (func (export "run") (result s32) (canon lift (core func $i "run"))))"#;
    provoke(flood, BridgeLimit::Handles, 50);
    let lend = PINNED.iter().filter(|(_, why)| *why == BridgeLimit::Handles).count();
    assert_eq!(lend, 2, "the second text, for lending, is provoked through C++ where handles are passed in");
}

#[test]
fn want_of_a_thread_is_the_systems_and_no_bug() {
    // No address space holds such a stack.
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(1).thread_stack_size(usize::MAX / 2);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| drop(builder.build()))).unwrap_err();
    let why = BridgeFailure::from(Failure::from_panic(panic));
    assert_eq!(why.cause, BridgeCause::Os, "{}", message(&why));
}

#[test]
fn a_frame_has_the_name_its_author_wrote_and_a_hostile_one_stays_short() {
    let readable = crate::outcome::readable;
    assert_eq!(readable("_ZN5hello4main17h0123456789abcdefE"), "hello::main");
    assert_eq!(readable("_RNvCskwGfYPst2Cb_5hello4main"), "hello::main");
    assert_eq!(readable("main"), "main");
    // A name in the form of Rust's that unfolds to 2^20 pieces: each back reference doubles what is before it.
    let mut doubled = "_RIC1a".to_owned();
    let mut at = doubled.len() - 2;
    doubled.push('p');
    for _ in 0..20 {
        let here = doubled.len() - 2;
        let back = base_62(at);
        doubled.push_str(&format!("TB{back}B{back}E"));
        at = here;
    }
    doubled.push('E');
    let unfolded = readable(&doubled);
    assert_eq!((unfolded.len(), &unfolded[..10]), (256, "a::<_, (_,"));
    assert_eq!(readable(&"ü".repeat(1000)), "ü".repeat(128));
}

/// A back reference's place as Rust's mangling writes it.
fn base_62(place: usize) -> String {
    let digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ".as_bytes();
    let mut text = String::new();
    let mut rest = place.checked_sub(1);
    while let Some(n) = rest {
        text.insert(0, char::from(digits[n % 62]));
        rest = (n >= 62).then_some(n / 62);
    }
    text + "_"
}
