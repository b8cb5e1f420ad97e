//! Component types of a section, read without recursion: `wasmparser` calls itself for each type inside a type, and three
//! bytes are enough for another level.

use crate::figures::Ended;
use wasmparser::{
    BinaryReader, BinaryReaderError, ComponentDefinedType, ComponentType, ComponentTypeDeclaration, FromReader,
    InstanceTypeDeclaration,
};

/// What a section's types come to.
#[derive(Default)]
pub struct TypesFound {
    /// All of them, also those inside others.
    pub types: u64,
    /// The deepest; 1 for types with none inside.
    pub nesting: u64,
    pub concurrency: bool,
    /// Resource types that are defined.
    pub resources: u64,
    /// There are types of handles.
    pub handles: bool,
}

enum Around {
    Component,
    Instance,
}

const COMPONENT: u8 = 0x41;
const INSTANCE: u8 = 0x42;
/// In a declaration: a type of its own follows.
const TYPE: u8 = 0x01;

/// Reads a component type section's `contents`, until `go_on` says of what was found so far that it is too much: then
/// the rest is not looked at. It is asked after each type and each declaration.
pub fn read(
    mut contents: BinaryReader<'_>,
    mut go_on: impl FnMut(&TypesFound) -> Result<(), Ended>,
) -> Result<TypesFound, Ended> {
    let mut found = TypesFound::default();
    // What is still to come in the types that are open; its length is bounded by `go_on`.
    let mut open: Vec<(Around, u32)> = Vec::new();
    for _ in 0..contents.read_var_u32()? {
        read_type(&mut contents, &mut open, &mut found)?;
        while let Some((around, left)) = open.last_mut() {
            if *left == 0 {
                open.pop();
                continue;
            }
            *left -= 1;
            go_on(&found)?;
            if contents.clone().read_u8()? == TYPE {
                contents.read_u8()?;
                read_type(&mut contents, &mut open, &mut found)?;
            } else if let Around::Component = around {
                ComponentTypeDeclaration::from_reader(&mut contents)?;
            } else {
                InstanceTypeDeclaration::from_reader(&mut contents)?;
            }
        }
        go_on(&found)?;
    }
    Ok(found)
}

/// One type, but for what is inside a component's or an instance's.
fn read_type(
    contents: &mut BinaryReader<'_>,
    open: &mut Vec<(Around, u32)>,
    found: &mut TypesFound,
) -> Result<(), BinaryReaderError> {
    found.types += 1;
    found.nesting = found.nesting.max(open.len() as u64 + 1);
    let around = match contents.clone().read_u8()? {
        COMPONENT => Around::Component,
        INSTANCE => Around::Instance,
        _ => {
            match ComponentType::from_reader(contents)? {
                ComponentType::Func(function) => found.concurrency |= function.async_,
                ComponentType::Defined(ComponentDefinedType::Future(_) | ComponentDefinedType::Stream(_)) => {
                    found.concurrency = true;
                }
                ComponentType::Defined(ComponentDefinedType::Own(_) | ComponentDefinedType::Borrow(_)) => {
                    found.handles = true;
                }
                ComponentType::Resource { .. } => found.resources += 1,
                _ => {}
            }
            return Ok(());
        }
    };
    contents.read_u8()?;
    open.push((around, contents.read_var_u32()?));
    Ok(())
}
