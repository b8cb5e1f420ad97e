//! Calls with numbers only.

use super::{BUDGET, Guest, failure};
use crate::abi::run::*;
use crate::ffi::BridgeSlice;
use crate::outcome::BridgeCause;
use crate::run::*;
use crate::store::BridgeTimes;
use crate::typed::{Answer, BridgeAnswer};

/// Calls with these encoded arguments; the encoding of what comes back.
fn called_with(guest: &Guest, arguments: &[u8]) -> Result<Vec<u8>, BridgeCause> {
    let (function, mut run, mut why) = (guest.function(), guest.run(), failure());
    let slice = BridgeSlice { data: arguments.as_ptr(), size: arguments.len() };
    // SAFETY: function and arguments outlive the run.
    assert!(unsafe { bridge_run_call(&mut run, &BUDGET, &function, slice, &mut why) });
    while bridge_run_poll(&mut run, BridgeTimes::default()) != BridgePoll::Done {}
    let mut answer = BridgeAnswer::from(Answer::default());
    if !bridge_run_result(&mut run, &mut answer, &mut why) {
        return Err(why.cause);
    }
    // SAFETY: the answer lives until they are copied.
    let head = unsafe { BridgeSlice { data: answer.head.data, size: answer.head.size }.bytes() };
    Ok([&answer.number.bytes[..usize::from(answer.number.size)], head].concat())
}

#[test]
fn a_number_comes_back_as_it_went_and_nothing_else_goes_in() {
    let echoes: [(&str, &str, &[u8]); 12] = [
        ("bool", "i32", &[0, 1]),
        ("s8", "i32", &[1, 0x80]),
        ("u8", "i32", &[2, 0xff]),
        ("s16", "i32", &[3, 0, 0x80]),
        ("u16", "i32", &[4, 0xff, 0xff]),
        ("s32", "i32", &[5, 0, 0, 0, 0x80]),
        ("u32", "i32", &[6, 0xff, 0xff, 0xff, 0xff]),
        ("s64", "i64", &[7, 1, 0, 0, 0, 0, 0, 0, 0x80]),
        ("u64", "i64", &[8, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ("f32", "f32", &[9, 0, 0, 0x80, 0x7f]),
        ("f64", "f64", &[10, 1, 0, 0, 0, 0, 0, 0xf0, 0xbf]),
        ("char", "i32", &[11, 0xff, 0xff, 0x10, 0]),
    ];
    for (ty, core, encoded) in echoes {
        let guest = Guest::new(
            &format!(
                r#"(component
        (core module $m (func (export "run") (param {core}) (result {core}) local.get 0))
        (core instance $i (instantiate $m))
        (func (export "run") (param "n" {ty}) (result {ty}) (canon lift (core func $i "run"))))"#
            ),
            &[],
        );
        assert_eq!(called_with(&guest, encoded), Ok(encoded.to_vec()), "{ty}");
        let another_kind = [&[(encoded[0] + 1) % 12], &encoded[1..]].concat();
        let beginning = &encoded[..encoded.len() - 1];
        for malformed in [&[], beginning, &another_kind, &[encoded, &[0]].concat(), &[encoded, encoded].concat()] {
            assert_eq!(called_with(&guest, malformed), Err(BridgeCause::Value), "{ty} {malformed:?}");
        }
    }
}

#[test]
fn sixteen_numbers_go_in_each_in_its_place_and_a_seventeenth_goes_another_way() {
    for count in [16, 17] {
        // `run` answers its last parameter; with 17 they lie in memory.
        let parameters: String = (0..count).map(|n| format!(r#"(param "p{n}" u8)"#)).collect();
        let (core, last) = if count == 16 {
            ("(param i32) ".repeat(16), "(local.get 15)".to_owned())
        } else {
            ("(param i32)".to_owned(), "(i32.load8_u offset=16 (local.get 0))".to_owned())
        };
        let guest = Guest::new(
            &format!(
                r#"(component
        (core module $m (memory (export "mem") 1)
          (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 64)
          (func (export "run") {core} (result i32) {last}))
        (core instance $i (instantiate $m))
        (func (export "run") {parameters} (result u8)
          (canon lift (core func $i "run") (memory $i "mem") (realloc (func $i "realloc")))))"#
            ),
            &[],
        );
        let arguments: Vec<u8> = (0..count).flat_map(|n| [2, n]).collect();
        assert_eq!(called_with(&guest, &arguments), Ok(vec![2, count - 1]));
    }
}
