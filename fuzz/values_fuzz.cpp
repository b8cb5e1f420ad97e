#include <cstdlib>

#include "wasmtime/door.hpp"
#include "wit/codec.hpp"

/// The encoding in which values and descriptions cross, read by C++ and by Rust: no input harms either, and what
/// decodes is written back to bytes that mean the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace airssys::wasm;
  const std::span bytes(data, size);
  static_cast<void>(wit::decode_description(bytes, wit::NamedTypes::Kept));
  static_cast<void>(wasmtime::wave(bytes));
  const auto values = wit::decode_all(bytes);
  if (!values) {
    return 0;
  }
  const auto encoded = wit::encode_all(*values);
  const auto again = wit::decode_all(encoded);
  if (!again || *again != *values) {
    std::abort();
  }
  return 0;
}
