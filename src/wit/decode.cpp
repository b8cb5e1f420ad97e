#include <airssys/wasm/encoding.hpp>

#include "wit/codec.hpp"

namespace airssys::wasm::wit {

namespace {

/// Deeper than any type that Wasmtime validates; keeps a forged message from exhausting the stack.
constexpr unsigned kDepthMax = 101;

using encoding::Reader;
using encoding::Tag;

Value value(Reader& in, unsigned depth);

Payload payload(Reader& in, unsigned depth) { return in.byte() != 0 ? Payload(value(in, depth)) : Payload(); }

std::vector<Value> items(Reader& in, unsigned depth) {
  std::vector<Value> out(in.count());
  for (auto& item : out) {
    item = value(in, depth);
  }
  return out;
}

std::vector<std::string> names(Reader& in) {
  std::vector<std::string> out(in.count());
  for (auto& name : out) {
    name = in.text();
  }
  return out;
}

Record record(Reader& in, unsigned depth) {
  Record out;
  out.fields.resize(in.count());
  for (auto& [name, field] : out.fields) {
    name = in.text();
    field = value(in, depth);
  }
  return out;
}

Value value(Reader& in, unsigned depth) {
  if (depth > kDepthMax || in.bad()) {
    in.fail();
    return {};
  }
  const unsigned next = depth + 1;
  switch (in.tag()) {
    case Tag::Bool: return in.byte() != 0;
    case Tag::S8: return in.number<std::int8_t>();
    case Tag::U8: return in.number<std::uint8_t>();
    case Tag::S16: return in.number<std::int16_t>();
    case Tag::U16: return in.number<std::uint16_t>();
    case Tag::S32: return in.number<std::int32_t>();
    case Tag::U32: return in.number<std::uint32_t>();
    case Tag::S64: return in.number<std::int64_t>();
    case Tag::U64: return in.number<std::uint64_t>();
    case Tag::F32: return in.number<float>();
    case Tag::F64: return in.number<double>();
    case Tag::Char: return in.number<char32_t>();
    case Tag::String: return in.text();
    case Tag::List: return List{items(in, next)};
    case Tag::ByteList: {
      const auto from = in.bytes();
      return ByteList(from.begin(), from.end());
    }
    case Tag::Record: return record(in, next);
    case Tag::Tuple: return Tuple{items(in, next)};
    case Tag::Variant: {
      auto name = in.text();
      return Variant{std::move(name), payload(in, next)};
    }
    case Tag::Enum: return Enum{in.text()};
    case Tag::Option: return Option{payload(in, next)};
    case Tag::Result: {
      const bool ok = in.byte() != 0;
      return ResultValue{ok, payload(in, next)};
    }
    case Tag::Flags: return Flags{names(in)};
    case Tag::Handle: return Handle{in.number<std::uint64_t>()};
    default: in.fail(); return {};
  }
}

Type type(Reader& in, unsigned depth);

std::shared_ptr<const Type> pointer(Reader& in, unsigned depth) {
  return std::make_shared<const Type>(type(in, depth));
}
std::shared_ptr<const Type> optional(Reader& in, unsigned depth) {
  return in.byte() != 0 ? pointer(in, depth) : nullptr;
}

template <class Read>
std::vector<Type::Member> members(Reader& in, Read read) {
  std::vector<Type::Member> out(in.count());
  for (auto& member : out) {
    read(member);
  }
  return out;
}

Type type(Reader& in, unsigned depth) {
  using Kind = Type::Kind;
  constexpr std::uint8_t kLast = static_cast<std::uint8_t>(Kind::FixedLengthList);
  const auto tag = in.byte();
  if (depth > kDepthMax || tag > kLast || tag == 14) {
    in.fail();
    return {};
  }
  Type out{static_cast<Kind>(tag), {}, 0};
  const unsigned next = depth + 1;
  switch (out.kind) {
    case Kind::List:
    case Kind::Option: out.members = {{"", pointer(in, next)}}; break;
    case Kind::Record:
      out.members = members(in, [&](auto& m) {
        m.name = in.text();
        m.type = pointer(in, next);
      });
      break;
    case Kind::Tuple: out.members = members(in, [&](auto& m) { m.type = pointer(in, next); }); break;
    case Kind::Variant:
      out.members = members(in, [&](auto& m) {
        m.name = in.text();
        m.type = optional(in, next);
      });
      break;
    case Kind::Enum:
    case Kind::Flags: out.members = members(in, [&](auto& m) { m.name = in.text(); }); break;
    case Kind::Result: {
      auto ok = optional(in, next);
      out.members = {{"", std::move(ok)}, {"", optional(in, next)}};
      break;
    }
    case Kind::Own:
    case Kind::Borrow: out.number = in.number<std::uint32_t>(); break;
    case Kind::Map: {
      auto key = pointer(in, next);
      out.members = {{"", std::move(key)}, {"", pointer(in, next)}};
      break;
    }
    case Kind::Future:
    case Kind::Stream:
      if (auto element = optional(in, next)) {
        out.members = {{"", std::move(element)}};
      }
      break;
    case Kind::FixedLengthList:
      out.number = in.number<std::uint32_t>();
      out.members = {{"", pointer(in, next)}};
      break;
    default: break;
  }
  return out;
}

FunctionType function(Reader& in) {
  FunctionType out;
  out.async = in.byte() != 0;
  out.parameters.resize(in.count());
  for (auto& parameter : out.parameters) {
    parameter.name = in.text();
    parameter.type = type(in, 0);
  }
  if (in.byte() != 0) {
    out.result = type(in, 0);
  }
  return out;
}

Externs externs(Reader& in, unsigned depth, NamedTypes named) {
  Externs out;
  if (depth > kDepthMax) {
    in.fail();
    return out;
  }
  out.resize(in.count());
  for (auto& [name, item] : out) {
    name = in.text();
    item.kind = static_cast<Item::Kind>(in.byte());
    switch (item.kind) {
      case Item::Kind::Function: item.function = function(in); break;
      case Item::Kind::Instance: item.instance = externs(in, depth + 1, named); break;
      case Item::Kind::Type: {
        auto its = type(in, 0);
        if (named == NamedTypes::Kept) {
          item.type = std::move(its);
        }
        break;
      }
      case Item::Kind::Resource: item.type = {Type::Kind::Own, {}, in.number<std::uint32_t>()}; break;
      case Item::Kind::CoreModule:
      case Item::Kind::Component:
      case Item::Kind::CoreFunction: break;
      default: in.fail();
    }
  }
  return out;
}

}  // namespace

std::optional<Value> decode(std::span<const std::uint8_t> head, std::span<const std::uint8_t> rest) {
  Reader in(head, rest);
  auto out = value(in, 0);
  return in.bad() || !in.done() ? std::nullopt : std::optional(std::move(out));
}

std::optional<std::vector<Value>> decode_all(std::span<const std::uint8_t> bytes) {
  Reader in(bytes);
  std::vector<Value> out;
  while (!in.done()) {
    out.push_back(value(in, 0));
  }
  return in.bad() ? std::nullopt : std::optional(std::move(out));
}

std::optional<Description> decode_description(std::span<const std::uint8_t> bytes, NamedTypes named) {
  Reader in(bytes);
  Description out{externs(in, 0, named), {}};
  out.exports = externs(in, 0, named);
  return in.bad() || !in.done() ? std::nullopt : std::optional(std::move(out));
}

}  // namespace airssys::wasm::wit
