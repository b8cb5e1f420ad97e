#include "runtime/loaded_component.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <ranges>

#include "base/nearest.hpp"
#include "engine/compile_child.hpp"

namespace airssys::wasm {

ComponentHandle::ComponentHandle(std::shared_ptr<runtime::LoadedComponent> loaded) noexcept
    : loaded_(std::move(loaded)) {}
const ComponentId& ComponentHandle::id() const noexcept { return loaded_->id(); }
Bytes ComponentHandle::size() const noexcept { return {loaded_->size()}; }
const std::vector<std::string>& ComponentHandle::notes() const noexcept { return loaded_->notes(); }
std::optional<RequiredResources> ComponentHandle::required_resources() const { return loaded_->component().required(); }

Result<std::string> ComponentHandle::wit() const { return loaded_->wit(); }
bool ComponentHandle::is_command() const { return !loaded_->command_path().value_or("").empty(); }

Result<std::vector<FunctionExport>> ComponentHandle::functions() const {
  const auto description = loaded_->description();
  if (!description) {
    return std::unexpected(description.error());
  }
  return runtime::LoadedComponent::exported_functions((*description)->exports);
}

Result<std::vector<ImportedItem>> ComponentHandle::imports() const {
  const auto description = loaded_->description();
  if (!description) {
    return std::unexpected(description.error());
  }
  std::vector<ImportedItem> out;
  for (const auto& [name, item] : (*description)->imports) {
    ImportedItem import{name, {}};
    for (const auto& function : runtime::LoadedComponent::exported_functions(item.instance)) {
      import.functions.push_back(function.path);
    }
    out.push_back(std::move(import));
  }
  return out;
}

namespace runtime {

namespace {

using wit::Item;

void collect(const wit::Externs& externs, const std::string& prefix, std::vector<FunctionExport>& out) {
  for (const auto& [name, item] : externs) {
    if (item.kind == Item::Kind::Function) {
      out.push_back({prefix + name, item.function});
    } else if (item.kind == Item::Kind::Instance) {
      collect(item.instance, prefix + name + "#", out);
    }
  }
}

Error link_failed(std::string import, std::string message, std::string help) {
  return {LinkFailed{std::move(import)}, Phase::Link, std::move(message), std::move(help), {}, {}};
}

enum class Handles : std::uint8_t { Yes, No };

/// No type inside that cannot cross into C++; handles of resources only where they may.
bool can_cross(const Type& type, Handles handles) {
  const auto inside = [&](const Type::Member& member) { return !member.type || can_cross(*member.type, handles); };
  const bool handle = type.kind == Type::Kind::Own || type.kind == Type::Kind::Borrow;
  return type.kind < Type::Kind::Map && !(handle && handles == Handles::No) &&
         std::ranges::all_of(type.members, inside);
}

bool can_cross(const FunctionType& type, Handles handles) {
  return !type.async &&
         std::ranges::all_of(type.parameters, [&](const auto& p) { return can_cross(p.type, handles); }) &&
         (!type.result || can_cross(*type.result, handles));
}

}  // namespace

LoadedComponent::LoadedComponent(Identity identity, std::uint64_t type_nodes_max,
                                 std::shared_ptr<engine::Component> component,
                                 std::shared_ptr<const std::vector<HostEntry>> host, std::vector<std::string> notes)
    : identity_(std::move(identity)),
      type_nodes_max_(type_nodes_max),
      component_(std::move(component)),
      host_(std::move(host)),
      notes_(std::move(notes)) {}

Result<std::string> LoadedComponent::wit() const {
  if (identity_.bytes.empty()) {
    return std::unexpected(Error{LoadFailed{},
                                 Phase::Load,
                                 "the WIT of a precompiled component is not at hand",
                                 "inspect the component it was compiled from",
                                 {},
                                 {}});
  }
  auto text = engine::wit_text(identity_.bytes);
  if (!text) {
    return std::unexpected(engine::load_error(std::move(text.error()), {}));
  }
  return std::move(*text);
}

std::vector<FunctionExport> LoadedComponent::exported_functions(const wit::Externs& externs) {
  std::vector<FunctionExport> out;
  collect(externs, "", out);
  return out;
}

Result<const wit::Description*> LoadedComponent::description() const {
  const std::lock_guard lock(mutex_);
  if (!description_) {
    if (auto described = component_->describe(type_nodes_max_)) {
      description_ = std::move(*described);
      remember_imports(**description_);
    } else {
      LoadLimits limits;
      limits.max_type_nodes = type_nodes_max_;
      description_ = std::unexpected(engine::load_error(std::move(described.error()), limits));
    }
  }
  if (!*description_) {
    return std::unexpected(description_->error());
  }
  return &**description_;
}

void LoadedComponent::remember_imports(const wit::Description& description) const {
  imported_.assign(host_->size(), nullptr);
  for (std::size_t i = 0; i < host_->size(); ++i) {
    const auto& entry = (*host_)[i];
    const auto by_name = [](std::string_view name) { return [name](const auto& row) { return row.name == name; }; };
    const wit::Externs* around = &description.imports;
    if (!entry.interface.empty()) {
      const auto instance = std::ranges::find_if(*around, by_name(entry.interface));
      around = instance == around->end() ? nullptr : &instance->item.instance;
    }
    if (around != nullptr) {
      const auto function = std::ranges::find_if(*around, by_name(entry.name));
      if (function != around->end() && function->item.kind == Item::Kind::Function) {
        imported_[i] = &function->item.function;
      }
    }
  }
}

const FunctionType* LoadedComponent::imported(std::uint32_t host_function) const {
  return host_function < imported_.size() ? imported_[host_function] : nullptr;
}

/// Every function that the component imports must come from WASI or from a host function.
std::optional<Error> LoadedComponent::unsatisfied(const wit::Description& description) const {
  const auto missing = [&](std::string_view interface, std::string_view name,
                           const FunctionType& type) -> std::optional<Error> {
    const auto path = interface.empty() ? std::string(name) : fmt::format("{}#{}", interface, name);
    const auto offer =
        std::ranges::find_if(*host_, [&](const auto& e) { return e.interface == interface && e.name == name; });
    if (offer == host_->end()) {
      return link_failed(path, fmt::format("nobody offers the import {}: {}", path, to_wit(type)),
                         "offer it with WasmEngine::host before loading");
    }
    if (const auto* typed = offer->type(); typed != nullptr && !same_types(*typed, type)) {
      return link_failed(path,
                         fmt::format("the import {} is {}, the host offers {}", path, to_wit(type), to_wit(*typed)),
                         "give the host function the C++ types of docs/values.md");
    }
    if (!can_cross(type, Handles::No)) {
      return link_failed(
          path, fmt::format("the import {} has a type that a host function cannot have: {}", path, to_wit(type)),
          "use values that are not async, resources, maps, futures or streams");
    }
    return {};
  };
  for (const auto& [name, item] : description.imports) {
    if (item.kind == Item::Kind::Function) {
      if (auto error = missing("", name, item.function)) {
        return error;
      }
    }
    if (item.kind != Item::Kind::Instance || engine::is_wasi(name)) {
      continue;
    }
    for (const auto& [inner, inside] : item.instance) {
      if (inside.kind == Item::Kind::Function) {
        if (auto error = missing(name, inner, inside.function)) {
          return error;
        }
      }
      if (inside.kind == Item::Kind::Resource) {
        return link_failed(name, fmt::format("the import {} wants the resource {} from the host", name, inner),
                           "host functions offer values, not resources");
      }
    }
  }
  return {};
}

Result<const engine::Prepared*> LoadedComponent::prepared() const {
  if (const auto* ready = ready_.load(std::memory_order_acquire)) {
    return ready;
  }
  const auto description = this->description();
  if (!description) {
    return std::unexpected(description.error());
  }
  const std::lock_guard lock(mutex_);
  if (!prepared_) {
    if (auto error = unsatisfied(**description)) {
      prepared_ = std::unexpected(std::move(*error));
    } else {
      // All of them: those that the component does not import stay unused. Numbers are positions in the whole list.
      std::vector<engine::HostFunctionName> names;
      for (const auto& entry : *host_) {
        names.push_back({entry.interface, entry.name});
      }
      auto made = component_->prepare(names, identity_.nested);
      if (made) {
        prepared_ = std::move(*made);
      } else {
        auto misfit = link_failed({}, "the imports do not fit", {});
        misfit.guest_text = std::move(made.error().message);
        prepared_ = std::unexpected(std::move(misfit));
      }
    }
  }
  if (!*prepared_) {
    return std::unexpected(prepared_->error());
  }
  ready_.store((*prepared_)->get(), std::memory_order_release);
  return (*prepared_)->get();
}

Result<const CallableFunction*> LoadedComponent::function(std::string_view path) const {
  if (const auto* last = last_function_.load(std::memory_order_acquire); last != nullptr && last->first == path) {
    return &last->second;
  }
  {
    const std::lock_guard lock(mutex_);
    if (const auto found = functions_.find(path); found != functions_.end()) {
      last_function_.store(&*found, std::memory_order_release);
      return &found->second;
    }
  }
  const auto description = this->description();
  if (!description) {
    return std::unexpected(description.error());
  }
  const auto all = exported_functions((*description)->exports);
  const auto found = std::ranges::find(all, path, &FunctionExport::path);
  if (found == all.end()) {
    std::vector<std::string> names;
    std::ranges::transform(all, std::back_inserter(names), &FunctionExport::path);
    // The function's own name alone is a likely slip, and far from the whole path.
    const auto in_an_interface = std::ranges::find_if(
        names, [tail = "#" + std::string(path)](const std::string& name) { return name.ends_with(tail); });
    const bool alone = !path.contains('#') && in_an_interface != names.end();
    Error error{BadCall{std::string(path), alone ? *in_an_interface : base::nearest(path, names)},
                Phase::Link,
                fmt::format("{} has no function {}", id().name(), path),
                {},
                {},
                {}};
    const auto& near = std::get<BadCall>(error.kind).did_you_mean;
    if (const auto it = std::ranges::find(all, near, &FunctionExport::path); !near.empty() && it != all.end()) {
      error.help = fmt::format("did you mean {}: {} ?", near, to_wit(it->type));
    }
    return std::unexpected(std::move(error));
  }
  if (!can_cross(found->type, Handles::Yes)) {
    return std::unexpected(Error{
        BadCall{std::string(path), {}},
        Phase::Link,
        fmt::format("{} cannot be called: {} {}", path, to_wit(found->type),
                    found->type.async ? "is async, and calls from outside are not" : "has a type that does not cross"),
        {},
        {},
        {}});
  }
  std::vector<std::string> names;
  for (const auto part : std::views::split(path, '#')) {
    names.emplace_back(part.begin(), part.end());
  }
  auto handle = component_->function(names);
  if (!handle) {
    return std::unexpected(Error{BadCall{std::string(path), {}},
                                 Phase::Link,
                                 fmt::format("{} has no function {}", id().name(), path),
                                 {},
                                 std::move(handle.error().message),
                                 {}});
  }
  const std::lock_guard lock(mutex_);
  return &functions_.try_emplace(std::string(path), CallableFunction{std::move(*handle), found->type}).first->second;
}

Result<std::string> LoadedComponent::command_path() const {
  const auto description = this->description();
  if (!description) {
    return std::unexpected(description.error());
  }
  for (const auto& [name, item] : (*description)->exports) {
    if (item.kind == Item::Kind::Instance && name.starts_with("wasi:cli/run@0.2")) {
      return name + "#run";
    }
  }
  return std::string();
}

}  // namespace runtime

}  // namespace airssys::wasm
