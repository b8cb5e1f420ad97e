#include "execution/checked_call.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "base/utf8.hpp"
#include "wit/codec.hpp"

namespace airssys::wasm::execution {

namespace {

Error bad_call(std::string_view function, std::string message, std::string help = {}) {
  return {BadCall{std::string(function), {}}, Phase::Link, std::move(message), std::move(help), {}, {}};
}

/// What does not fit the function's type.
Error misfit(std::string_view function, const FunctionType& type, std::string_view why) {
  return bad_call(function, fmt::format("{}: {}", function, why), fmt::format("its type is {}", to_wit(type)));
}

/// A list<u8> that came as single values.
bool is_list(const Value& value) { return value.get<List>() != nullptr; }
Value as_bytes(const Value& list) {
  ByteList bytes;
  for (const auto& item : list.get<List>()->items) {
    bytes.push_back(*item.get<std::uint8_t>());
  }
  return bytes;
}

/// Of a string or list<u8>.
std::span<const std::uint8_t> bytes_of(const Value& value) {
  const auto* text = value.get<std::string>();
  return text == nullptr ? std::span<const std::uint8_t>(*value.get<ByteList>())
                         : std::span(reinterpret_cast<const std::uint8_t*>(text->data()), text->size());
}

}  // namespace

std::uint64_t CheckedCall::bytes_in() const {
  if (!plain) {
    return encoded.size();
  }
  constexpr std::size_t kTagAndLength = sizeof(encoding::Tag) + sizeof(std::uint32_t);
  return (*plain)[0].size() + (*plain)[1].size() + function->type.parameters.size() * kTagAndLength;
}

Result<CheckedCall> plan(std::shared_ptr<load::LoadedComponent> component) {
  Result<CheckedCall> plan;
  auto prepared = component->prepared();
  if (prepared) {
    plan->prepared = *prepared;
    plan->component = std::move(component);
  } else {
    plan = std::unexpected(std::move(prepared.error()));
  }
  return plan;
}

Result<CheckedCall> plan_call(std::shared_ptr<load::LoadedComponent> component, std::string_view function,
                              std::span<const Value> arguments, Borrowing borrowing) {
  auto planned = plan(std::move(component));
  if (!planned) {
    return planned;
  }
  auto found = planned->component->function(function);
  if (!found) {
    return std::unexpected(std::move(found.error()));
  }
  planned->function = *found;
  const auto& type = (*found)->type;
  const auto refuse = [&](std::string_view why) { return std::unexpected(misfit(function, type, why)); };
  if (type.parameters.size() != arguments.size()) {
    return refuse(fmt::format("takes {} argument{}, got {}", type.parameters.size(),
                              type.parameters.size() == 1 ? "" : "s", arguments.size()));
  }
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    if (const auto why = wit::mismatch(arguments[i], type.parameters[i].type)) {
      return refuse(fmt::format("argument {} {}", type.parameters[i].name, *why));
    }
  }
  if (!(*found)->function->takes_bytes()) {
    planned->encoded = wit::encode_all(arguments);
  } else if (borrowing == Borrowing::UntilTheEnd && std::ranges::none_of(arguments, is_list)) {
    auto& plain = planned->plain.emplace();
    for (std::size_t i = 0; i < arguments.size(); ++i) {
      plain.at(i) = bytes_of(arguments[i]);
    }
  } else {
    for (const auto& argument : arguments) {
      wit::encode(is_list(argument) ? as_bytes(argument) : argument, planned->encoded);
    }
  }
  return planned;
}

Result<const load::CallableFunction*> find_typed(const load::LoadedComponent& component, std::string_view function,
                                                 const FunctionType& wanted) {
  auto found = component.function(function);
  if (found && !same_types((*found)->type, wanted)) {
    return std::unexpected(bad_call(function,
                                    fmt::format("{} is {}, not {}", function, to_wit((*found)->type), to_wit(wanted)),
                                    "bind it with the C++ types of docs/values.md, or call it with dynamic values"));
  }
  return found;
}

Result<CheckedCall> plan_typed(std::shared_ptr<load::LoadedComponent> component, const NamedFunction& function,
                               typed::Arguments arguments, Borrowing borrowing) {
  const auto& type = function.function.type;
  const auto refuse = [&](std::size_t argument, std::string_view why) {
    return std::unexpected(
        misfit(function.name, type, fmt::format("argument {} {}", type.parameters.at(argument).name, why)));
  };
  if (arguments.bad) {
    return refuse(*arguments.bad,
                  "is no value of its type: an enumerator without a name, a string that is not UTF-8, something too "
                  "long, or a character that is none");
  }
  for (std::size_t i = 0; i < arguments.plain_count; ++i) {
    const auto bytes = arguments.plain.at(i);
    if (arguments.tags.at(i) == encoding::Tag::String &&
        !base::is_utf8({reinterpret_cast<const char*>(bytes.data()), bytes.size()})) {
      return refuse(i, "is not UTF-8");
    }
  }
  auto planned = plan(std::move(component));
  if (planned) {
    planned->function = &function.function;
    planned->typed = true;
    if (arguments.plain_count == 0) {
      planned->encoded = std::move(arguments.encoded);
    } else if (borrowing == Borrowing::UntilTheEnd && function.function.function->takes_bytes()) {
      planned->plain = arguments.plain;
    } else if (auto encoded = arguments.encode_plain()) {
      planned->encoded = std::move(*encoded);
    } else {
      return refuse(0, "is too long");
    }
  }
  return planned;
}

}  // namespace airssys::wasm::execution
