//! What lifting a value takes in the host, beside what Wasmtime charges for it. `Store::set_hostcall_fuel` bounds the
//! charge, which for some types is far below the memory: 32 labels of a flags type are charged 64 bytes and take 2 KiB. So
//! the fuel is divided by the worst ratio that the types allow which a run can lift.
//!
//! Sizes are those of wasmtime =48.0.8's `Val` (runtime/component/values.rs) and of glibc's malloc; the tests lift every
//! shape and weigh the heap.

use wasmtime::component::types::ComponentFunc;
use wasmtime::component::{Type, Val};

/// Host bytes for each byte that is charged, in sixteenths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ratio(u64);

const ONE: u64 = 16;
/// Above what any type needs: a label of one letter is charged 1 and takes 80.
const MOST: u64 = 128 * ONE;
/// A slot of a dynamic value.
const SLOT: u64 = size_of::<Val>() as u64;
const STRING: u64 = size_of::<String>() as u64;
/// What a value may take beyond its charge: once for each lift.
const FREE: u64 = 64 << 10;

impl Ratio {
    pub const PLAIN: Self = Self(ONE);

    /// Of a call: its result is lifted.
    pub fn of_result(ty: &ComponentFunc) -> Self {
        ty.results().map(|ty| Self::of(&[Shape::of(&ty)])).max().unwrap_or(Self::PLAIN)
    }

    /// Of a host function: its arguments are.
    pub fn of_arguments(ty: &ComponentFunc) -> Self {
        Self::of(&ty.params().map(|(_, ty)| Shape::of(&ty)).collect::<Vec<_>>())
    }

    /// The smallest under which no value of these types takes more than is paid for it.
    fn of(shapes: &[Shape]) -> Self {
        let pays = |ratio: u64| {
            let alone = shapes.len() == 1;
            let excess = shapes.iter().map(|shape| shape.excess(ratio, alone)).sum::<Option<i64>>();
            excess.is_some_and(|excess| excess <= (FREE * ONE) as i64)
        };
        let (mut low, mut high) = (ONE, MOST);
        while low < high {
            let middle = low.midpoint(high);
            if pays(middle) { high = middle } else { low = middle + 1 }
        }
        Self(low)
    }

    /// The fuel under which a lift takes at most `bytes`.
    pub fn fuel(self, bytes: u64) -> usize {
        // Nearly all calls, and the division takes longer than some of them.
        if self == Self::PLAIN {
            return usize::try_from(bytes).unwrap_or(usize::MAX);
        }
        usize::try_from(u128::from(bytes) * u128::from(ONE) / u128::from(self.0)).unwrap_or(usize::MAX)
    }
}

/// What malloc takes for a block.
const fn block(bytes: u64) -> u64 {
    const HEAD: u64 = 8;
    const LEAST: u64 = 32;
    const STEP: u64 = 16;
    match bytes {
        0 => 0,
        bytes => {
            let whole = (bytes + HEAD).next_multiple_of(STEP);
            if whole < LEAST { LEAST } else { whole }
        }
    }
}

/// A vector that grows by doubling, from four on.
const fn grown(elements: u64, each: u64) -> u64 {
    if elements == 0 {
        return 0;
    }
    let capacity = elements.next_power_of_two();
    block(each * if capacity < 4 { 4 } else { capacity })
}

/// What a part of a value takes, and what is charged for it.
#[derive(Clone, Copy, Default)]
struct Cost {
    taken: u64,
    charged: u64,
}

impl Cost {
    fn of_name(name: &str) -> Self {
        Self { taken: block(name.len() as u64), charged: name.len() as u64 }
    }

    fn boxed() -> Self {
        Self { taken: block(SLOT), charged: SLOT }
    }

    fn and(self, other: Self) -> Self {
        Self { taken: self.taken + other.taken, charged: self.charged + other.charged }
    }

    fn excess(self, ratio: u64) -> i64 {
        (self.taken * ONE) as i64 - (self.charged * ratio) as i64
    }
}

/// A type, as far as its values differ in what they take.
enum Shape {
    /// All in its slot.
    Plain,
    Text,
    List(Box<Shape>),
    Fields(Cost, Vec<Shape>),
    Cases(Vec<(Cost, Shape)>),
    Flags(Vec<Cost>),
}

impl Shape {
    fn of(ty: &Type) -> Self {
        let case = |name: Option<&str>, ty: Option<Type>| {
            let name = name.map(Cost::of_name).unwrap_or_default();
            match ty {
                None => (name, Self::Plain),
                Some(ty) => (name.and(Cost::boxed()), Self::of(&ty)),
            }
        };
        match ty {
            Type::String => Self::Text,
            Type::List(list) => Self::List(Box::new(Self::of(&list.ty()))),
            Type::Record(record) => {
                let fields = record.fields();
                let count = fields.len() as u64;
                let slots = Cost { taken: grown(count, SLOT + STRING), charged: count * SLOT };
                let names = record.fields().map(|field| Cost::of_name(field.name)).fold(slots, Cost::and);
                Self::Fields(names, fields.map(|field| Self::of(&field.ty)).collect())
            }
            Type::Tuple(tuple) => {
                let count = tuple.types().len() as u64;
                let slots = Cost { taken: grown(count, SLOT), charged: count * SLOT };
                Self::Fields(slots, tuple.types().map(|ty| Self::of(&ty)).collect())
            }
            Type::Variant(variant) => Self::Cases(variant.cases().map(|one| case(Some(one.name), one.ty)).collect()),
            Type::Enum(cases) => Self::Cases(cases.names().map(|name| case(Some(name), None)).collect()),
            Type::Option(option) => Self::Cases(vec![case(None, None), case(None, Some(option.ty()))]),
            Type::Result(result) => Self::Cases(vec![case(None, result.ok()), case(None, result.err())]),
            Type::Flags(flags) => Self::Flags(flags.names().map(Cost::of_name).collect()),
            // Numbers and handles; what else there is does not cross the door.
            _ => Self::Plain,
        }
    }

    /// The most, in sixteenths, that a value takes beyond what is paid for it at this ratio, its slot aside. None: a list
    /// could take as much as it likes. `alone`: there is one such list at most. It has nearly all the memory, so it is
    /// large, and the room that its vector keeps for its growth has never been touched; that of many small ones is memory
    /// like any other.
    fn excess(&self, ratio: u64, alone: bool) -> Option<i64> {
        Some(match self {
            Self::Plain => 0,
            // A long one takes its bytes; a short one a block. Text in UTF-16 or Latin-1 takes up to twice as much.
            Self::Text => Cost { taken: block(1), charged: 1 }.excess(ratio).max(0),
            Self::List(element) => {
                let element = element.excess(ratio, false)?;
                let each = Cost { taken: SLOT * if alone { 1 } else { 2 }, charged: SLOT };
                if element + each.excess(ratio) > 0 {
                    return None;
                }
                (element + Cost { taken: grown(1, SLOT), charged: SLOT }.excess(ratio)).max(0)
            }
            Self::Fields(cost, fields) => {
                let alone = alone && fields.len() == 1;
                let inside = fields.iter().map(|field| field.excess(ratio, alone)).sum::<Option<i64>>()?;
                cost.excess(ratio) + inside
            }
            Self::Cases(cases) => cases
                .iter()
                .map(|(cost, inside)| Some(cost.excess(ratio) + inside.excess(ratio, alone)?))
                .try_fold(i64::MIN, |most, case| Some(most.max(case?)))?,
            Self::Flags(labels) => {
                let mut each: Vec<_> = labels.iter().map(|label| label.excess(ratio)).collect();
                each.sort_unstable_by_key(|excess| std::cmp::Reverse(*excess));
                let (mut most, mut chosen) = (0, 0);
                for (count, label) in (1..).zip(each) {
                    chosen += label;
                    most = most.max(chosen + (grown(count, STRING) * ONE) as i64);
                }
                most
            }
        })
    }
}
