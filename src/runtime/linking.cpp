#include "runtime/linking.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <ranges>

#include "engine/door.hpp"

namespace airssys::wasm::runtime {

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

/// What is wrong with an import, by itself.
class ImportCheck {
 public:
  explicit ImportCheck(const std::vector<HostEntry>& offered) : offered_(offered) {}

  void look_at(const std::string& name, const Item& item) {
    switch (item.kind) {
      case Item::Kind::Function: return look_at({}, name, item.function);
      case Item::Kind::Instance:
        if (!engine::is_wasi(name)) {
          std::ranges::for_each(item.instance, [&](const wit::Extern& inner) { look_inside(name, inner); });
        }
        return;
      case Item::Kind::CoreModule:
      case Item::Kind::Component:
      case Item::Kind::CoreFunction:
        return refuse(name, fmt::format("the import {} is code, which a host does not offer", name),
                      "compose the component with one that has it: wasm-tools compose");
      case Item::Kind::Resource: return refuse_resource(name, name);
      case Item::Kind::Type: return;
    }
  }

  /// The first refusal, with the names of the next.
  [[nodiscard]] std::optional<Error> result() && {
    if (refusals_.empty()) {
      return {};
    }
    constexpr std::size_t kFurther = 8;
    auto error = std::move(refusals_.front());
    auto& kind = std::get<LinkFailed>(error.kind);
    for (const auto& next : refusals_ | std::views::drop(1) | std::views::take(kFurther)) {
      kind.further.push_back(std::get<LinkFailed>(next.kind).import);
    }
    if (!kind.further.empty()) {
      error.message += fmt::format("; nor do {} more fit: {}", refusals_.size() - 1, fmt::join(kind.further, ", "));
    }
    return error;
  }

 private:
  void refuse(const std::string& import, std::string message, std::string help) {
    refusals_.push_back(link_failed(import, std::move(message), std::move(help)));
  }
  void refuse_resource(const std::string& import, std::string_view resource) {
    refuse(import, fmt::format("the import {} wants the resource {} from the host", import, resource),
           "host functions offer values, not resources");
  }
  void look_inside(const std::string& interface, const wit::Extern& inner) {
    if (inner.item.kind == Item::Kind::Function) {
      look_at(interface, inner.name, inner.item.function);
    } else if (inner.item.kind == Item::Kind::Resource) {
      refuse_resource(interface, inner.name);
    }
  }
  void look_at(std::string_view interface, const std::string& name, const FunctionType& type) {
    const auto path = interface.empty() ? name : fmt::format("{}#{}", interface, name);
    const auto offer =
        std::ranges::find_if(offered_, [&](const auto& e) { return e.interface == interface && e.name == name; });
    if (offer == offered_.end()) {
      return refuse(path, fmt::format("nobody offers the import {}: {}", path, to_wit(type)),
                    "offer it with WasmEngine::host before loading");
    }
    if (const auto* typed = offer->type(); typed != nullptr && !same_types(*typed, type)) {
      return refuse(path, fmt::format("the import {} is {}, the host offers {}", path, to_wit(type), to_wit(*typed)),
                    "give the host function the C++ types of docs/values.md");
    }
    if (!can_cross(type, Handles::No)) {
      refuse(path, fmt::format("the import {} has a type that a host function cannot have: {}", path, to_wit(type)),
             "use values that are not async, resources, maps, futures or streams");
    }
  }

  const std::vector<HostEntry>& offered_;
  std::vector<Error> refusals_;
};

}  // namespace

bool can_cross(const FunctionType& type, Handles handles) {
  return !type.async &&
         std::ranges::all_of(type.parameters, [&](const auto& p) { return can_cross(p.type, handles); }) &&
         (!type.result || can_cross(*type.result, handles));
}

std::optional<Error> unsatisfied(const wit::Description& description, const std::vector<HostEntry>& offered) {
  ImportCheck check(offered);
  for (const auto& [name, item] : description.imports) {
    check.look_at(name, item);
  }
  return std::move(check).result();
}

Error misfit(const wit::Description& description, engine::Failure failure) {
  const bool named = failure.cause == engine::Cause::Import && failure.code < description.imports.size();
  const auto import = named ? description.imports.at(failure.code).name : std::string();
  auto error = link_failed(import, named ? fmt::format("the import {} does not fit", import) : "the imports do not fit",
                           named ? "this host has WASI 0.2.12 and its earlier versions" : "");
  error.guest_text = std::move(failure.message);
  return error;
}

}  // namespace airssys::wasm::runtime
