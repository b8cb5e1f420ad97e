#include "load/linking.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/utf8.hpp"
#include "compile/load_error.hpp"
#include "wasmtime/door.hpp"
#include "wit/type_text.hpp"

namespace airssys::wasm::load {

namespace {

using wit::Item;

Error link_failed(std::string import, std::string message, std::string help) {
  return {LinkFailed{std::move(import), {}}, Phase::Link, std::move(message), std::move(help), {}, {}};
}

/// No type inside that cannot cross into C++; handles of resources only where they may.
bool can_cross(const Type& type, Handles handles) {
  const auto inside = [&](const Type::Member& member) { return !member.type || can_cross(*member.type, handles); };
  const bool handle = type.kind == Type::Kind::Own || type.kind == Type::Kind::Borrow;
  return type.kind < Type::Kind::Map && !(handle && handles == Handles::No) &&
         std::ranges::all_of(type.members, inside);
}

/// A guest's name or type in a sentence: as far as it can be read.
std::string shown(std::string text) {
  constexpr std::size_t kMost = 256;
  if (text.size() > kMost) {
    text.resize(kMost);
    // Not in the middle of a character.
    while (!base::is_utf8(text)) {
      text.pop_back();
    }
    text += "...";
  }
  return text;
}

/// What is wrong with the imports, each by itself.
class ImportCheck {
 public:
  explicit ImportCheck(const std::vector<host::HostEntry>& offered) : offered_(offered) {}

  void look_at(const std::string& name, const Item& item) {
    switch (item.kind) {
      case Item::Kind::Function: return look_at({}, name, item.function);
      case Item::Kind::Instance:
        if (!wasmtime::is_wasi(name)) {
          std::ranges::for_each(item.instance, [&](const wit::Extern& inner) { look_inside(name, inner); });
        }
        return;
      case Item::Kind::CoreModule:
      case Item::Kind::Component:
      case Item::Kind::CoreFunction: return refuse_code({}, name);
      case Item::Kind::Resource: return refuse_resource({}, name);
      case Item::Kind::Type: return;
    }
  }

  /// The first refusal, with the names of the next.
  [[nodiscard]] std::optional<Error> result() && {
    if (first_ && further_ > 0) {
      const auto& names = std::get<LinkFailed>(first_->kind).further;
      first_->message += fmt::format("; neither are {} more: {}", further_, fmt::join(names, ", "));
    }
    return std::move(first_);
  }

 private:
  static std::string path_of(std::string_view interface, std::string_view name) {
    return interface.empty() ? std::string(name) : fmt::format("{}#{}", interface, name);
  }
  /// `why` is asked for the message of the first only: what is refused can be many, and its names long.
  template <class Why>
  void refuse(std::string_view interface, std::string_view name, const Why& why, std::string_view help) {
    constexpr std::size_t kFurther = 8;
    if (!first_) {
      auto path = path_of(interface, name);
      auto message = why(shown(path));
      first_ = link_failed(std::move(path), std::move(message), std::string(help));
      return;
    }
    ++further_;
    if (auto& names = std::get<LinkFailed>(first_->kind).further; names.size() < kFurther) {
      names.push_back(shown(path_of(interface, name)));
    }
  }
  void refuse_code(std::string_view interface, std::string_view name) {
    refuse(
        interface, name,
        [](const auto& path) { return fmt::format("the import {} is code, which a host does not offer", path); },
        "compose the component with one that has it: wasm-tools compose");
  }
  void refuse_resource(std::string_view interface, std::string_view name) {
    refuse(
        interface, name,
        [](const auto& path) { return fmt::format("the import {} is a resource, which a host does not offer", path); },
        "host functions offer values, not resources");
  }
  void look_inside(const std::string& interface, const wit::Extern& inner) {
    switch (inner.item.kind) {
      case Item::Kind::Function: return look_at(interface, inner.name, inner.item.function);
      case Item::Kind::Resource: return refuse_resource(interface, inner.name);
      case Item::Kind::Type: return;
      default: return refuse_code(interface, inner.name);
    }
  }
  void look_at(std::string_view interface, const std::string& name, const FunctionType& type) {
    const auto offer =
        std::ranges::find_if(offered_, [&](const auto& e) { return e.interface == interface && e.name == name; });
    if (offer == offered_.end()) {
      return refuse(
          interface, name,
          [&](const auto& path) {
            return fmt::format("the import {} is not available: {}", path, shown(wit::brief(type)));
          },
          "offer it with WasmEngine::host before loading");
    }
    if (const auto* typed = offer->type(); typed != nullptr && !same_types(*typed, type)) {
      return refuse(
          interface, name,
          [&](const auto& path) {
            return fmt::format("the import {} is {}, the host offers {}", path, shown(to_wit(type)), to_wit(*typed));
          },
          "give the host function the C++ types of docs/values.md");
    }
    if (!can_cross(type, Handles::No)) {
      refuse(
          interface, name,
          [&](const auto& path) {
            return fmt::format("the import {} has a type that a host function cannot have: {}", path,
                               shown(to_wit(type)));
          },
          "use values that are not async, resources, maps, futures or streams");
    }
  }

  const std::vector<host::HostEntry>& offered_;
  std::optional<Error> first_;
  std::size_t further_ = 0;
};

}  // namespace

bool can_cross(const FunctionType& type, Handles handles) {
  return !type.async &&
         std::ranges::all_of(type.parameters, [&](const auto& p) { return can_cross(p.type, handles); }) &&
         (!type.result || can_cross(*type.result, handles));
}

std::optional<Error> unsatisfied(const wit::Description& description, const std::vector<host::HostEntry>& offered) {
  ImportCheck check(offered);
  for (const auto& [name, item] : description.imports) {
    check.look_at(name, item);
  }
  return std::move(check).result();
}

Error misfit(const wit::Description& description, wasmtime::Failure failure) {
  using wasmtime::Cause;
  if (failure.cause == Cause::OutOfMemory || failure.cause == Cause::Os) {
    auto error = compile::host_exhausted(
        failure.cause == Cause::Os ? HostResource::OperatingSystem : HostResource::Memory,
        static_cast<int>(failure.code), "linking needs more than the host has: " + failure.message);
    error.phase = Phase::Link;
    return error;
  }
  const bool named = failure.cause == Cause::Import && failure.code < description.imports.size();
  const auto import = named ? description.imports.at(failure.code).name : std::string();
  auto error =
      link_failed(import, named ? fmt::format("the import {} does not fit", shown(import)) : "the imports do not fit",
                  wasmtime::is_wasi(import) ? "this host has WASI 0.2.12 and its earlier versions" : "");
  if (failure.cause == Cause::Panic) {
    error.kind = HostBug{};
    error.system_text = std::move(failure.message);
  } else {
    error.guest_text = std::move(failure.message);
  }
  return error;
}

}  // namespace airssys::wasm::load
