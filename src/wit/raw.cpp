#include "wit/raw.hpp"

#include <fmt/format.h>

#include <cstring>
#include <span>

namespace airssys::wasm {

namespace {

template <class Io>
Io io_from_i32(std::int32_t value) {
  Io io;
  io.data.resize(sizeof value);
  std::memcpy(io.data.data(), &value, sizeof value);
  return io;
}

Error bad_call(std::string message, std::string help = {}) {
  return {BadCall{}, Phase::Link, std::move(message), std::move(help), {}, {}};
}

}  // namespace

ComponentInput ComponentInput::from_i32(std::int32_t value) { return io_from_i32<ComponentInput>(value); }
ComponentOutput ComponentOutput::from_i32(std::int32_t value) { return io_from_i32<ComponentOutput>(value); }

Result<std::int32_t> ComponentOutput::to_i32() const {
  std::int32_t value = 0;
  if (codec != kRawCodec || data.size() != sizeof value) {
    return std::unexpected(bad_call(fmt::format("{} bytes of codec {} are no s32", data.size(), codec)));
  }
  std::memcpy(&value, data.data(), sizeof value);
  return value;
}

namespace wit {

namespace {

using Kind = Type::Kind;
using Data = std::span<const std::uint8_t>;

bool is_byte_list(const Type& type) { return type.kind == Kind::List && type.members.at(0).type->kind == Kind::U8; }

template <class Number>
std::optional<Value> number(Data& data) {
  Number n{};
  if (data.size() < sizeof n) {
    return {};
  }
  std::memcpy(&n, data.data(), sizeof n);
  data = data.subspan(sizeof n);
  return n;
}

Value rest_as_text(Data& data) {
  std::string text(data.begin(), data.end());
  data = {};
  return text;
}

std::optional<Value> one(Data& data, const Type& type) {
  switch (type.kind) {
    case Kind::Bool: {
      const auto byte = number<std::uint8_t>(data);
      return byte ? std::optional<Value>(*byte->get<std::uint8_t>() != 0) : std::nullopt;
    }
    case Kind::S8: return number<std::int8_t>(data);
    case Kind::U8: return number<std::uint8_t>(data);
    case Kind::S16: return number<std::int16_t>(data);
    case Kind::U16: return number<std::uint16_t>(data);
    case Kind::S32: return number<std::int32_t>(data);
    case Kind::U32: return number<std::uint32_t>(data);
    case Kind::S64: return number<std::int64_t>(data);
    case Kind::U64: return number<std::uint64_t>(data);
    case Kind::F32: return number<float>(data);
    case Kind::F64: return number<double>(data);
    case Kind::Char: return number<char32_t>(data);
    case Kind::String: return rest_as_text(data);
    default: break;
  }
  if (!is_byte_list(type)) {
    return {};
  }
  ByteList bytes(data.begin(), data.end());
  data = {};
  return bytes;
}

/// Puts a value's own bytes down; false for what has none.
struct Put {
  std::vector<std::uint8_t>& out;
  template <class T>
  bool operator()(const T& value) const {
    if constexpr (std::is_same_v<T, bool>) {
      out.push_back(value ? 1 : 0);
    } else if constexpr (std::is_arithmetic_v<T>) {
      out.resize(sizeof value);
      std::memcpy(out.data(), &value, sizeof value);
    } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, ByteList>) {
      out.assign(value.begin(), value.end());
    } else {
      return false;
    }
    return true;
  }
};

constexpr std::string_view kUseRun =
    "use WasmEngine::run: codec 0 carries numbers, and a string or list<u8> at the end";

}  // namespace

Result<std::vector<Value>> values_from(const ComponentInput& input, const FunctionType& type) {
  if (input.codec != kRawCodec) {
    return std::unexpected(
        bad_call(fmt::format("codec {} is not known", input.codec), "use codec 0, raw little-endian"));
  }
  std::vector<Value> values;
  Data data(input.data);
  for (const auto& parameter : type.parameters) {
    auto value = one(data, parameter.type);
    if (!value) {
      return std::unexpected(
          bad_call(fmt::format("the data does not hold {}, a {}", parameter.name, to_wit(parameter.type)),
                   std::string(kUseRun)));
    }
    values.push_back(std::move(*value));
  }
  if (!data.empty()) {
    return std::unexpected(bad_call(fmt::format("{} bytes of the data are left over", data.size()),
                                    fmt::format("the function's type is {}", to_wit(type))));
  }
  return values;
}

Result<ComponentOutput> output_from(const std::optional<Value>& result, const FunctionType& type) {
  ComponentOutput output;
  // An empty list does not say of what.
  const auto* list = result ? result->get<List>() : nullptr;
  if (list != nullptr && list->items.empty() && type.result && is_byte_list(*type.result)) {
    return output;
  }
  if (result && !std::visit(Put{output.data}, result->data())) {
    return std::unexpected(bad_call(fmt::format("a {} has no raw form", to_wit(*type.result)), std::string(kUseRun)));
  }
  return output;
}

}  // namespace wit

}  // namespace airssys::wasm
