//! The calls that go through `TypedFunc`, without Wasmtime's dynamic values: bytes, which are not copied piece by piece,
//! and numbers, for which dynamic values cost more than the call.

use crate::ffi::BridgeBytes;
use crate::outcome::{BridgeCause, Failure, Stopped};
use crate::store::{BridgePhase, Data};
use crate::value::Reader;
use std::cell::Cell;
use std::mem::MaybeUninit;
use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, LowerContext};
use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{ComponentNamedList, ComponentType, Func, Lift, Lower, Type, TypedFunc};
use wasmtime::{Result, Store, ValRaw, bail};

pub enum Typed {
    Bytes(ByteCall),
    Numbers(NumberCall),
}

impl Typed {
    pub fn of(ty: &ComponentFunc) -> Option<Self> {
        if ty.async_() {
            return None;
        }
        ByteCall::of(ty).map(Self::Bytes).or_else(|| NumberCall::of(ty).map(Self::Numbers))
    }
}

/// A result in the value encoding, cut in two so that a large payload is not copied once more: `head` ends where the
/// payload's bytes begin. A number needs no memory of its own: then both are empty, as they are for no result.
#[derive(Default)]
pub struct Answer {
    pub head: Vec<u8>,
    pub payload: Vec<u8>,
    pub number: BridgeNumber,
}

/// The encoding of a number, bool or character; `size` is 0 when there is none.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct BridgeNumber {
    pub bytes: [u8; 9],
    pub size: u8,
}

#[repr(C)]
pub struct BridgeAnswer {
    pub head: BridgeBytes,
    pub payload: BridgeBytes,
    pub number: BridgeNumber,
}

impl From<Answer> for BridgeAnswer {
    fn from(answer: Answer) -> Self {
        Self { head: answer.head.into(), payload: answer.payload.into(), number: answer.number }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bytes {
    Text,
    List,
}

impl Bytes {
    fn of(ty: &Type) -> Option<Self> {
        match ty {
            Type::String => Some(Self::Text),
            Type::List(list) if list.ty() == Type::U8 => Some(Self::List),
            _ => None,
        }
    }
}

/// Up to two parameters among string and list<u8>; result list<u8>, string or result<list<u8>, string>.
pub struct ByteCall {
    parameters: [Option<Bytes>; 2],
    result: ByteResult,
}

enum ByteResult {
    Plain(Bytes),
    Fallible,
}

impl ByteCall {
    fn of(ty: &ComponentFunc) -> Option<Self> {
        if ty.params().len() > 2 {
            return None;
        }
        let mut parameters = [None; 2];
        for (slot, (_, ty)) in parameters.iter_mut().zip(ty.params()) {
            *slot = Some(Bytes::of(&ty)?);
        }
        let result = match ty.results().next()? {
            Type::Result(r) => {
                let (ok, err) = (r.ok()?, r.err()?);
                if Bytes::of(&ok)? != Bytes::List || Bytes::of(&err)? != Bytes::Text {
                    return None;
                }
                ByteResult::Fallible
            }
            plain => ByteResult::Plain(Bytes::of(&plain)?),
        };
        Some(Self { parameters, result })
    }

    /// The arguments of an encoded message, where they lie.
    pub fn borrow<'a>(&self, encoded: &'a [u8]) -> Result<[&'a [u8]; 2], Failure> {
        let mut reader = Reader::new(encoded);
        let mut out: [&[u8]; 2] = [&[], &[]];
        for (slot, kind) in out.iter_mut().zip(self.parameters) {
            match kind {
                Some(Bytes::Text) => *slot = reader.borrowed(12)?,
                Some(Bytes::List) => *slot = reader.borrowed(14)?,
                None => {}
            }
        }
        Ok(out)
    }

    pub async fn call(&self, store: &mut Store<Data>, function: Func, [a, b]: [&[u8]; 2]) -> Result<Answer, Failure> {
        use Bytes::{List, Text};
        fn text(bytes: &[u8]) -> Result<&str, Failure> {
            std::str::from_utf8(bytes).map_err(|_| Failure::new(BridgeCause::Value, "a string is not UTF-8"))
        }
        match self.parameters {
            [None, _] => self.with(store, function, ()).await,
            [Some(Text), None] => self.with(store, function, (text(a)?,)).await,
            [Some(List), None] => self.with(store, function, (a,)).await,
            [Some(Text), Some(Text)] => self.with(store, function, (text(a)?, text(b)?)).await,
            [Some(Text), Some(List)] => self.with(store, function, (text(a)?, b)).await,
            [Some(List), Some(Text)] => self.with(store, function, (a, text(b)?)).await,
            [Some(List), Some(List)] => self.with(store, function, (a, b)).await,
        }
    }

    async fn with<P>(&self, store: &mut Store<Data>, function: Func, parameters: P) -> Result<Answer, Failure>
    where
        P: ComponentNamedList + Lower + Send + Sync,
    {
        fn head(prefix: &[u8], tag: u8, payload: Vec<u8>) -> Answer {
            let mut head = prefix.to_vec();
            head.push(tag);
            head.extend_from_slice(&(payload.len() as u32).to_le_bytes());
            Answer { head, payload, ..Answer::default() }
        }
        store.data().shared.set_phase(BridgePhase::Call);
        const TEXT: u8 = 12;
        const LIST: u8 = 14;
        Ok(match self.result {
            ByteResult::Plain(Bytes::List) => {
                let f = function.typed::<P, (Marked<Vec<u8>>,)>(&mut *store)?;
                head(&[], LIST, f.call_async(store, parameters).await?.0.0)
            }
            ByteResult::Plain(Bytes::Text) => {
                let f = function.typed::<P, (Marked<String>,)>(&mut *store)?;
                head(&[], TEXT, f.call_async(store, parameters).await?.0.0.into_bytes())
            }
            ByteResult::Fallible => {
                let f = function.typed::<P, (Marked<std::result::Result<Vec<u8>, String>>,)>(&mut *store)?;
                match f.call_async(store, parameters).await?.0.0 {
                    Ok(list) => head(&[20, 1, 1], LIST, list),
                    Err(text) => head(&[20, 0, 1], TEXT, text.into_bytes()),
                }
            }
        })
    }
}

/// What one core value holds. The discriminants are the tags of the value encoding.
#[repr(u8)]
#[derive(Clone, Copy, PartialEq, Eq)]
enum Number {
    Bool = 0,
    S8 = 1,
    U8 = 2,
    S16 = 3,
    U16 = 4,
    S32 = 5,
    U32 = 6,
    S64 = 7,
    U64 = 8,
    F32 = 9,
    F64 = 10,
    Char = 11,
}

impl Number {
    fn of(ty: &Type) -> Option<Self> {
        Some(match ty {
            Type::Bool => Self::Bool,
            Type::S8 => Self::S8,
            Type::U8 => Self::U8,
            Type::S16 => Self::S16,
            Type::U16 => Self::U16,
            Type::S32 => Self::S32,
            Type::U32 => Self::U32,
            Type::S64 => Self::S64,
            Type::U64 => Self::U64,
            Type::Float32 => Self::F32,
            Type::Float64 => Self::F64,
            Type::Char => Self::Char,
            _ => return None,
        })
    }

    fn lift(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &ValRaw) -> Result<(Self, u64)> {
        Ok(match ty {
            InterfaceType::Bool => (Self::Bool, bool::linear_lift_from_flat(cx, ty, src)?.into()),
            InterfaceType::S8 => (Self::S8, i8::linear_lift_from_flat(cx, ty, src)? as u64),
            InterfaceType::U8 => (Self::U8, u8::linear_lift_from_flat(cx, ty, src)?.into()),
            InterfaceType::S16 => (Self::S16, i16::linear_lift_from_flat(cx, ty, src)? as u64),
            InterfaceType::U16 => (Self::U16, u16::linear_lift_from_flat(cx, ty, src)?.into()),
            InterfaceType::S32 => (Self::S32, i32::linear_lift_from_flat(cx, ty, src)? as u64),
            InterfaceType::U32 => (Self::U32, u32::linear_lift_from_flat(cx, ty, src)?.into()),
            InterfaceType::S64 => (Self::S64, i64::linear_lift_from_flat(cx, ty, src)? as u64),
            InterfaceType::U64 => (Self::U64, u64::linear_lift_from_flat(cx, ty, src)?),
            InterfaceType::Float32 => (Self::F32, f32::linear_lift_from_flat(cx, ty, src)?.to_bits().into()),
            InterfaceType::Float64 => (Self::F64, f64::linear_lift_from_flat(cx, ty, src)?.to_bits()),
            InterfaceType::Char => (Self::Char, u32::from(char::linear_lift_from_flat(cx, ty, src)?).into()),
            _ => bail!("not a number"),
        })
    }

    /// Bytes of the encoding after the tag.
    const fn size(self) -> u8 {
        match self {
            Self::Bool | Self::S8 | Self::U8 => 1,
            Self::S16 | Self::U16 => 2,
            Self::S32 | Self::U32 | Self::F32 | Self::Char => 4,
            Self::S64 | Self::U64 | Self::F64 => 8,
        }
    }
}

/// Numbers, bools and characters, as many as are passed flat, and one result of such a kind.
pub struct NumberCall {
    parameters: Vec<Number>,
}

/// The canonical ABI's MAX_FLAT_PARAMS.
const FLAT_PARAMS_MAX: usize = 16;

impl NumberCall {
    fn of(ty: &ComponentFunc) -> Option<Self> {
        let parameters = ty.params().map(|(_, ty)| Number::of(&ty)).collect::<Option<Vec<_>>>()?;
        // Without a result Wasmtime may have no room to lift from: `task.return` in a call that is not async.
        let numbers = ty.results().next().is_some_and(|ty| Number::of(&ty).is_some());
        (numbers && parameters.len() <= FLAT_PARAMS_MAX).then_some(Self { parameters })
    }

    /// The call, to be made by `TypedFunc::call_async` in the server itself: a future of its own around it would be
    /// copied at every call.
    pub fn bind(
        &'static self,
        function: Func,
        encoded: &'static [u8],
    ) -> Result<(TypedFunc<Numbers, NumberResult>, Numbers), Failure> {
        let numbers = Numbers { call: self, encoded };
        numbers.flat(&mut [ValRaw::u64(0); FLAT_PARAMS_MAX])?;
        // SAFETY: `of` found both in the function's type, and the parameters can be read as such.
        Ok((unsafe { TypedFunc::new_unchecked(function) }, numbers))
    }
}

/// The parameters of a `NumberCall`, as they came: small, since the future of the call is moved about.
pub struct Numbers {
    call: &'static NumberCall,
    encoded: &'static [u8],
}

impl Numbers {
    fn flat(&self, slots: &mut [ValRaw; FLAT_PARAMS_MAX]) -> Result<(), Failure> {
        let mut reader = Reader::new(self.encoded);
        for (slot, number) in slots.iter_mut().zip(&self.call.parameters) {
            *slot = reader.flat(*number as u8)?;
        }
        reader.end()
    }
}

// SAFETY: `Lower` is a sequence of `ValRaw`. Numbers are only ever passed flat, so the size in memory is never asked for.
unsafe impl ComponentType for Numbers {
    type Lower = [ValRaw; FLAT_PARAMS_MAX];
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::SCALAR8;
    const MAY_REQUIRE_REALLOC: bool = false;

    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        bail!("NumberCall checks the types")
    }
}

// SAFETY: the parameters of a function are a list of this kind.
unsafe impl ComponentNamedList for Numbers {}

// SAFETY: every slot is written; the function's trampoline reads as many as it has parameters.
unsafe impl Lower for Numbers {
    fn linear_lower_to_flat<T>(
        &self,
        _: &mut LowerContext<'_, T>,
        _: InterfaceType,
        dst: &mut MaybeUninit<Self::Lower>,
    ) -> Result<()> {
        self.flat(dst.write([ValRaw::u64(0); FLAT_PARAMS_MAX])).map_err(|failure| Stopped::from(failure).into())
    }

    fn linear_lower_to_memory<T>(&self, _: &mut LowerContext<'_, T>, _: InterfaceType, _: usize) -> Result<()> {
        bail!("numbers are passed flat")
    }
}

/// What a `NumberCall` answers, with its bits as they are encoded.
pub struct NumberResult(Number, u64);

impl NumberResult {
    pub fn answer(&self) -> Answer {
        let Self(number, bits) = *self;
        let mut answer = Answer::default();
        answer.number.bytes[0] = number as u8;
        answer.number.bytes[1..].copy_from_slice(&bits.to_le_bytes());
        answer.number.size = 1 + number.size();
        answer
    }
}

// SAFETY: one `ValRaw`; as for `Numbers`, the size in memory is never asked for.
unsafe impl ComponentType for NumberResult {
    type Lower = ValRaw;
    const ABI: CanonicalAbiInfo = CanonicalAbiInfo::SCALAR8;
    const MAY_REQUIRE_REALLOC: bool = false;

    fn typecheck(_: &InterfaceType, _: &InstanceType<'_>) -> Result<()> {
        bail!("NumberCall checks the types")
    }
}

// SAFETY: the results of a function are a list of this kind.
unsafe impl ComponentNamedList for NumberResult {}

// SAFETY: each kind is lifted by its own type, and a `NumberCall` has a result.
unsafe impl Lift for NumberResult {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &Self::Lower) -> Result<Self> {
        let InterfaceType::Tuple(results) = ty else { bail!("results are a tuple") };
        let Some(&ty) = cx.types[results].types.first() else { bail!("a NumberCall has a result") };
        let (number, bits) = Number::lift(cx, ty, src)?;
        LIFTED.set(true);
        Ok(Self(number, bits))
    }

    fn linear_lift_from_memory(_: &mut LiftContext<'_>, _: InterfaceType, _: &[u8]) -> Result<Self> {
        bail!("numbers are passed flat")
    }
}

thread_local! {
    /// Set when a typed result has been lifted during the current poll on this thread: what follows is post-return.
    pub static LIFTED: Cell<bool> = const { Cell::new(false) };
}

/// A result type that leaves a mark when it is lifted, and is otherwise `T`.
pub struct Marked<T>(T);

// SAFETY: everything is T's own, so the layout and checks are T's.
unsafe impl<T: ComponentType> ComponentType for Marked<T> {
    type Lower = T::Lower;
    const ABI: CanonicalAbiInfo = T::ABI;
    const MAY_REQUIRE_REALLOC: bool = T::MAY_REQUIRE_REALLOC;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> Result<()> {
        T::typecheck(ty, types)
    }
}

// SAFETY: lifting is T's own; the mark touches no guest data.
unsafe impl<T: Lift> Lift for Marked<T> {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &Self::Lower) -> Result<Self> {
        let value = T::linear_lift_from_flat(cx, ty, src)?;
        LIFTED.set(true);
        Ok(Self(value))
    }

    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> Result<Self> {
        let value = T::linear_lift_from_memory(cx, ty, bytes)?;
        LIFTED.set(true);
        Ok(Self(value))
    }
}
