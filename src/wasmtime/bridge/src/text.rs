//! Text forms: WAT to bytes, WIT of a component.

use crate::outcome::{BridgeCause, Failure};
use wast::Wat;
use wast::parser::ParseBuffer;

/// `.wat` text as component bytes.
pub fn bytes_of_wat(text: &str) -> Result<Vec<u8>, Failure> {
    let encode = || {
        let tokens = ParseBuffer::new(text)?;
        wast::parser::parse::<Wat>(&tokens)?.encode()
    };
    encode().map_err(|error: wast::Error| {
        let (line, column) = error.span().linecol_in(text);
        let message = format!("line {}, column {}: {}", line + 1, column + 1, error.message());
        Failure::new(BridgeCause::Text, message)
    })
}

/// A component's world and the packages it names, as WIT.
pub fn wit(bytes: &[u8], with_wasi: bool) -> Result<String, Failure> {
    let refuse = |e: &dyn std::fmt::Display| Failure::new(BridgeCause::Other, e.to_string());
    let decoded = wit_parser::decoding::decode(bytes).map_err(|e| refuse(&format!("{e:#}")))?;
    let main = decoded.package();
    let others: Vec<_> = decoded
        .resolve()
        .packages
        .iter()
        .filter(|(id, package)| *id != main && (with_wasi || package.name.namespace != "wasi"))
        .map(|(id, _)| id)
        .collect();
    let mut printer = wit_component::WitPrinter::default();
    printer.print(decoded.resolve(), main, &others).map_err(|e| refuse(&format!("{e:#}")))?;
    Ok(printer.output.to_string())
}
