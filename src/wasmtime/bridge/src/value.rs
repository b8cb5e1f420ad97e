//! Component values as one compact, self-describing encoding, little-endian.
//!
//! ```text
//! value  = tag:u8 body
//! 0 bool u8 | 1 s8 | 2 u8 | 3 s16 | 4 u16 | 5 s32 | 6 u32 | 7 s64 | 8 u64 | 9 f32 | 10 f64 | 11 char u32
//! 12 string text | 13 list u32 n, n values | 14 list<u8> u32 n, n bytes | 15 record u32 n, n (text, value)
//! 16 tuple u32 n, n values | 17 variant text, u8 has, value? | 18 enum text | 19 option u8 has, value?
//! 20 result u8 ok, u8 has, value? | 21 flags u32 n, n text | 22 handle u64
//! text   = u32 n, n bytes of UTF-8
//! ```

use crate::limits::BridgeLimit;
use crate::outcome::{BridgeCause, Failure};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use wasmtime::ValRaw;
use wasmtime::component::{ResourceAny, Val};

/// Component types nest at most this deep when Wasmtime validates them (`MAX_TYPE_SIZE` bounds their size).
const DEPTH_MAX: u32 = 100;

fn malformed() -> Failure {
    Failure::new(BridgeCause::Value, "malformed value encoding")
}

fn unsupported(what: &str) -> Failure {
    Failure::new(BridgeCause::Value, format!("{what} cannot cross into C++"))
}

/// Handles of this run's resources: C++ knows them by number. The guest decides how many it hands out, so what is alive
/// is bounded.
#[derive(Default)]
pub struct Handles {
    live: HashMap<u64, ResourceAny>,
    pub live_max: u64,
}

/// No number is used twice in a process, so that a handle of one instance is none of another's.
static NEXT_HANDLE: AtomicU64 = AtomicU64::new(1);

impl Handles {
    fn push(&mut self, resource: ResourceAny) -> Result<u64, Failure> {
        if self.live.len() as u64 >= self.live_max {
            return Err(Failure::new(BridgeLimit::Handles, "more handles than granted"));
        }
        let number = NEXT_HANDLE.fetch_add(1, Relaxed);
        self.live.insert(number, resource);
        Ok(number)
    }

    pub fn get(&self, number: u64) -> Option<ResourceAny> {
        self.live.get(&number).copied()
    }

    pub fn take(&mut self, number: u64) -> Option<ResourceAny> {
        self.live.remove(&number)
    }
}

pub struct Reader<'a> {
    rest: &'a [u8],
    /// The numbers met so far.
    handles: Vec<u64>,
}

impl<'a> Reader<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, handles: Vec::new() }
    }

    pub fn done(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Failure> {
        if self.rest.len() < n {
            return Err(malformed());
        }
        let (head, tail) = self.rest.split_at(n);
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Failure> {
        let mut out = [0; N];
        out.copy_from_slice(self.take(N)?);
        Ok(out)
    }

    pub fn u8(&mut self) -> Result<u8, Failure> {
        Ok(self.take(1)?[0])
    }

    pub fn u32(&mut self) -> Result<u32, Failure> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, Failure> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub fn text(&mut self) -> Result<String, Failure> {
        let n = self.u32()? as usize;
        String::from_utf8(self.take(n)?.to_vec()).map_err(|_| malformed())
    }

    /// The bytes of a string (12) or list<u8> (14) as they lie in the message.
    pub fn borrowed(&mut self, tag: u8) -> Result<&'a [u8], Failure> {
        if self.u8()? != tag {
            return Err(malformed());
        }
        let n = self.u32()? as usize;
        self.take(n)
    }

    /// The one core value that a number, bool or character is.
    pub fn flat(&mut self, tag: u8) -> Result<ValRaw, Failure> {
        if self.u8()? != tag {
            return Err(malformed());
        }
        Ok(match tag {
            0 => ValRaw::u32((self.u8()? != 0).into()),
            1 => ValRaw::i32((self.u8()? as i8).into()),
            2 => ValRaw::u32(self.u8()?.into()),
            3 => ValRaw::i32(i16::from_le_bytes(self.array()?).into()),
            4 => ValRaw::u32(u16::from_le_bytes(self.array()?).into()),
            5 => ValRaw::i32(i32::from_le_bytes(self.array()?)),
            6 => ValRaw::u32(self.u32()?),
            7 | 8 => ValRaw::u64(self.u64()?),
            9 => ValRaw::f32(self.u32()?),
            10 => ValRaw::f64(self.u64()?),
            11 => ValRaw::u32(char::from_u32(self.u32()?).ok_or_else(malformed)?.into()),
            _ => return Err(malformed()),
        })
    }

    pub fn end(&self) -> Result<(), Failure> {
        if self.done() { Ok(()) } else { Err(malformed()) }
    }

    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Result<T, Failure>) -> Result<Vec<T>, Failure> {
        let n = self.u32()? as usize;
        // Every element takes at least a byte, so a forged count cannot reserve more than the message holds.
        let mut out = Vec::with_capacity(n.min(self.rest.len()));
        for _ in 0..n {
            out.push(one(self)?);
        }
        Ok(out)
    }

    pub fn value(&mut self, handles: &Handles) -> Result<Val, Failure> {
        self.nested(handles, 0)
    }

    fn boxed(&mut self, handles: &Handles, depth: u32) -> Result<Option<Box<Val>>, Failure> {
        Ok(if self.u8()? != 0 { Some(Box::new(self.nested(handles, depth)?)) } else { None })
    }

    fn nested(&mut self, handles: &Handles, depth: u32) -> Result<Val, Failure> {
        if depth > DEPTH_MAX {
            return Err(malformed());
        }
        let next = depth + 1;
        Ok(match self.u8()? {
            0 => Val::Bool(self.u8()? != 0),
            1 => Val::S8(self.u8()? as i8),
            2 => Val::U8(self.u8()?),
            3 => Val::S16(i16::from_le_bytes(self.array()?)),
            4 => Val::U16(u16::from_le_bytes(self.array()?)),
            5 => Val::S32(i32::from_le_bytes(self.array()?)),
            6 => Val::U32(self.u32()?),
            7 => Val::S64(i64::from_le_bytes(self.array()?)),
            8 => Val::U64(u64::from_le_bytes(self.array()?)),
            9 => Val::Float32(f32::from_bits(self.u32()?)),
            10 => Val::Float64(f64::from_bits(u64::from_le_bytes(self.array()?))),
            11 => Val::Char(char::from_u32(self.u32()?).ok_or_else(malformed)?),
            12 => Val::String(self.text()?),
            13 => Val::List(self.many(|r| r.nested(handles, next))?),
            14 => {
                let n = self.u32()? as usize;
                Val::List(self.take(n)?.iter().map(|&byte| Val::U8(byte)).collect())
            }
            15 => Val::Record(self.many(|r| Ok((r.text()?, r.nested(handles, next)?)))?),
            16 => Val::Tuple(self.many(|r| r.nested(handles, next))?),
            17 => Val::Variant(self.text()?, self.boxed(handles, next)?),
            18 => Val::Enum(self.text()?),
            19 => Val::Option(self.boxed(handles, next)?),
            20 => {
                let ok = self.u8()? != 0;
                let payload = self.boxed(handles, next)?;
                Val::Result(if ok { Ok(payload) } else { Err(payload) })
            }
            21 => Val::Flags(self.many(Self::text)?),
            22 => {
                let number = self.u64()?;
                let unknown = || Failure::new(BridgeCause::UnknownHandle, "no such handle");
                self.handles.push(number);
                Val::Resource(handles.get(number).ok_or_else(unknown)?)
            }
            _ => return Err(malformed()),
        })
    }
}

pub fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn put_boxed(out: &mut Vec<u8>, value: Option<&Val>, handles: &mut Handles) -> Result<(), Failure> {
    out.push(value.is_some() as u8);
    value.map_or(Ok(()), |value| put(out, value, handles))
}

fn put_count(out: &mut Vec<u8>, tag: u8, n: usize) {
    out.push(tag);
    out.extend_from_slice(&(n as u32).to_le_bytes());
}

pub fn put(out: &mut Vec<u8>, value: &Val, handles: &mut Handles) -> Result<(), Failure> {
    macro_rules! number {
        ($tag:literal, $n:expr) => {{
            out.push($tag);
            out.extend_from_slice(&$n.to_le_bytes());
        }};
    }
    match value {
        Val::Bool(b) => out.extend_from_slice(&[0, *b as u8]),
        Val::S8(n) => number!(1, n),
        Val::U8(n) => number!(2, n),
        Val::S16(n) => number!(3, n),
        Val::U16(n) => number!(4, n),
        Val::S32(n) => number!(5, n),
        Val::U32(n) => number!(6, n),
        Val::S64(n) => number!(7, n),
        Val::U64(n) => number!(8, n),
        Val::Float32(n) => number!(9, n.to_bits()),
        Val::Float64(n) => number!(10, n.to_bits()),
        Val::Char(c) => number!(11, (*c as u32)),
        Val::String(s) => {
            out.push(12);
            put_text(out, s);
        }
        Val::List(items) if matches!(items.first(), Some(Val::U8(_))) => {
            put_count(out, 14, items.len());
            out.extend(items.iter().map(|item| if let Val::U8(byte) = item { *byte } else { 0 }));
        }
        Val::List(items) => {
            put_count(out, 13, items.len());
            items.iter().try_for_each(|item| put(out, item, handles))?;
        }
        Val::Record(fields) => {
            put_count(out, 15, fields.len());
            for (name, field) in fields {
                put_text(out, name);
                put(out, field, handles)?;
            }
        }
        Val::Tuple(items) => {
            put_count(out, 16, items.len());
            items.iter().try_for_each(|item| put(out, item, handles))?;
        }
        Val::Variant(name, payload) => {
            out.push(17);
            put_text(out, name);
            put_boxed(out, payload.as_deref(), handles)?;
        }
        Val::Enum(name) => {
            out.push(18);
            put_text(out, name);
        }
        Val::Option(payload) => {
            out.push(19);
            put_boxed(out, payload.as_deref(), handles)?;
        }
        Val::Result(result) => {
            out.extend_from_slice(&[20, result.is_ok() as u8]);
            let (Ok(payload) | Err(payload)) = result;
            put_boxed(out, payload.as_deref(), handles)?;
        }
        Val::Flags(names) => {
            put_count(out, 21, names.len());
            names.iter().for_each(|name| put_text(out, name));
        }
        Val::Resource(resource) => {
            let number = handles.push(*resource)?;
            number!(22, number);
        }
        Val::Map(_) => return Err(unsupported("a map")),
        Val::Future(_) => return Err(unsupported("a future")),
        Val::Stream(_) => return Err(unsupported("a stream")),
        Val::ErrorContext(_) => return Err(unsupported("an error-context")),
        Val::FixedLengthList(_) => return Err(unsupported("a fixed-length list")),
    }
    Ok(())
}

/// Values one after another, and the numbers of all handles in them in the order in which they come.
pub struct Decoded {
    pub values: Vec<Val>,
    pub handles: Vec<u64>,
}

/// Decodes until the bytes end.
pub fn decode_all(bytes: &[u8], handles: &Handles) -> Result<Decoded, Failure> {
    let mut reader = Reader::new(bytes);
    let mut values = Vec::new();
    while !reader.done() {
        values.push(reader.value(handles)?);
    }
    Ok(Decoded { values, handles: reader.handles })
}

pub fn encode_all(values: &[Val], handles: &mut Handles) -> Result<Vec<u8>, Failure> {
    let mut out = Vec::new();
    values.iter().try_for_each(|value| put(&mut out, value, handles))?;
    Ok(out)
}
