#include <array>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "wit/codec.hpp"
#include "wit/json.hpp"

namespace {

using airssys::wasm::Type;
using Kind = Type::Kind;

std::shared_ptr<const Type> share(Type type) { return std::make_shared<const Type>(std::move(type)); }

/// Types of every shape, chosen by the first byte of the input.
const std::vector<Type>& types() {
  static const auto made = [] {
    std::vector<Type> all;
    for (int kind = 0; kind <= static_cast<int>(Kind::String); ++kind) {
      all.push_back({static_cast<Kind>(kind), {}, 0});
    }
    const auto text = share({Kind::String, {}, 0}), number = share({Kind::F64, {}, 0}), byte = share({Kind::U8, {}, 0});
    all.push_back({Kind::List, {{"", byte}}, 0});
    all.push_back({Kind::List, {{"", number}}, 0});
    all.push_back({Kind::Record, {{"a", text}, {"b", share({Kind::Option, {{"", number}}, 0})}}, 0});
    all.push_back({Kind::Tuple, {{"", text}, {"", number}}, 0});
    all.push_back({Kind::Variant, {{"none", nullptr}, {"some", text}}, 0});
    all.push_back({Kind::Enum, {{"x", nullptr}, {"y", nullptr}}, 0});
    all.push_back({Kind::Option, {{"", share({Kind::Option, {{"", byte}}, 0})}}, 0});
    all.push_back({Kind::Result, {{"", text}, {"", nullptr}}, 0});
    all.push_back({Kind::Flags, {{"r", nullptr}, {"w", nullptr}}, 0});
    return all;
  }();
  return made;
}

}  // namespace

/// JSON arguments as a stranger types them: what is read is a value of its type, and is written back without loss.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace airssys::wasm;
  if (size == 0) {
    return 0;
  }
  const auto& type = types().at(data[0] % types().size());
  const auto json = nlohmann::ordered_json::parse(data + 1, data + size, nullptr, false);
  if (json.is_discarded()) {
    return 0;
  }
  const auto value = wit::from_json(json, type);
  if (!value) {
    return 0;
  }
  if (wit::mismatch(*value, type)) {
    std::abort();
  }
  const auto again = wit::from_json(wit::parse_json(wit::to_json(*value)).value(), type);
  if (!again || *again != *value) {
    std::abort();
  }
  return 0;
}
