#include "load/loaded_component.hpp"

#include <fmt/format.h>

#include <airssys/wasm/text.hpp>
#include <algorithm>
#include <limits>
#include <ranges>

#include "base/forked.hpp"
#include "compile/load_error.hpp"
#include "load/linking.hpp"
#include "wit/world.hpp"

namespace airssys::wasm::load {

namespace {

using wit::Item;

/// Of a function's type in a sentence, in bytes.
constexpr std::size_t kShown = 256;

void collect(const wit::Externs& externs, const std::string& prefix, std::vector<FunctionExport>& out) {
  for (const auto& [name, item] : externs) {
    if (item.kind == Item::Kind::Function) {
      out.push_back({prefix + name, item.function});
    } else if (item.kind == Item::Kind::Instance) {
      collect(item.instance, prefix + name + "#", out);
    }
  }
}

/// The type of each host function as the component imports it; null where it does not.
std::vector<const FunctionType*> imports_from(const std::vector<host::HostEntry>& host,
                                              const wit::Description& description) {
  std::vector<const FunctionType*> types;
  for (const auto& entry : host) {
    const wit::Externs* around = &description.imports;
    if (!entry.interface.empty()) {
      const auto instance = std::ranges::find(*around, entry.interface, &wit::Extern::name);
      around = instance == around->end() ? nullptr : &instance->item.instance;
    }
    const FunctionType* type = nullptr;
    if (around != nullptr) {
      const auto function = std::ranges::find(*around, entry.name, &wit::Extern::name);
      if (function != around->end() && function->item.kind == Item::Kind::Function) {
        type = &function->item.function;
      }
    }
    types.push_back(type);
  }
  return types;
}

}  // namespace

LoadedComponent::LoadedComponent(Identity identity, DescribedComponent component,
                                 std::shared_ptr<const std::vector<host::HostEntry>> host,
                                 std::vector<std::string> notes)
    : identity_(std::move(identity)),
      taken_(std::move(component.taken)),
      component_(std::move(component.component)),
      description_(std::move(component.description)),
      host_(std::move(host)),
      notes_(std::move(notes)),
      imported_(imports_from(*host_, description_)) {}

/// As it was loaded, and its types. What was loaded once is described again: within the same limits.
wit::Description LoadedComponent::with_named_types() const {
  auto out = component_->describe(std::numeric_limits<std::uint64_t>::max(), kTypeDepthMost, wit::NamedTypes::Kept);
  if (!out) {
    return description_;
  }
  return std::move(*out);
}

std::string LoadedComponent::wit(WitPackages packages) const {
  auto text =
      identity_.bytes.empty()
          ? std::unexpected(wasmtime::Failure{wasmtime::Cause::Other, 0, false, "it was loaded precompiled", {}})
          : wasmtime::wit_text(identity_.bytes, packages == WitPackages::All);
  if (text) {
    return std::move(*text);
  }
  // What it cannot say it does not always say without a panic.
  const std::string why = text.error().cause == wasmtime::Cause::Panic
                              ? "one of its names or types is unknown to WIT packages"
                              : text.error().message;
  auto lines = "// made from the types, since there is no WIT for this component: " + why;
  std::ranges::replace(lines, '\n', ' ');
  return lines + "\n" + wit::world(with_named_types());
}

std::vector<FunctionSignature> LoadedComponent::signatures() const {
  std::vector<FunctionSignature> out;
  for (auto& [path, text] : wit::signatures(with_named_types())) {
    out.push_back({std::move(path), std::move(text)});
  }
  return out;
}

/// For errors: its types by their names.
std::string LoadedComponent::signature(std::string_view path, const FunctionType& type) const {
  return wit::signature(with_named_types(), path).value_or(to_wit(type));
}

std::vector<FunctionExport> LoadedComponent::exported_functions(const wit::Externs& externs) {
  std::vector<FunctionExport> out;
  collect(externs, "", out);
  return out;
}

const FunctionType* LoadedComponent::imported(std::uint32_t host_function) const {
  return host_function < imported_.size() ? imported_[host_function] : nullptr;
}

Result<const wasmtime::Prepared*> LoadedComponent::prepared() const {
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
  if (const auto* ready = ready_.load(std::memory_order_acquire)) {
    return ready;
  }
  const std::lock_guard lock(mutex_);
  if (!prepared_) {
    if (auto error = unsatisfied(description_, *host_)) {
      prepared_ = std::unexpected(std::move(*error));
    } else {
      // All of them: those that the component does not import stay unused. Numbers are positions in the whole list.
      std::vector<wasmtime::HostFunctionName> names;
      for (const auto& entry : *host_) {
        names.push_back({entry.interface, entry.name});
      }
      auto made = component_->prepare(names, identity_.between_components);
      if (made) {
        prepared_ = std::move(*made);
      } else {
        prepared_ = std::unexpected(misfit(description_, std::move(made.error())));
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
  if (base::forked()) {
    return std::unexpected(base::forked_error());
  }
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
  const auto all = exported_functions(description_.exports);
  const auto found = std::ranges::find(all, path, &FunctionExport::path);
  if (found == all.end()) {
    std::vector<std::string> names;
    std::ranges::transform(all, std::back_inserter(names), &FunctionExport::path);
    // The function's own name alone is a likely slip, and far from the whole path.
    const auto in_an_interface = std::ranges::find_if(
        names, [tail = "#" + std::string(path)](const std::string& name) { return name.ends_with(tail); });
    const bool alone = !path.contains('#') && in_an_interface != names.end();
    Error error{BadCall{std::string(path), alone ? *in_an_interface : nearest(path, names), BadCallCause::Function},
                Phase::Link,
                fmt::format("{} has no function {}", id().name(), path),
                {},
                {},
                {}};
    const auto& near = std::get<BadCall>(error.kind).did_you_mean;
    if (const auto it = std::ranges::find(all, near, &FunctionExport::path); !near.empty() && it != all.end()) {
      error.help = fmt::format("did you mean {}: {} ?", near, harmless(signature(near, it->type), kShown));
    }
    return std::unexpected(std::move(error));
  }
  if (!can_cross(found->type, Handles::Yes)) {
    return std::unexpected(Error{
        BadCall{std::string(path), {}, BadCallCause::Function},
        Phase::Link,
        fmt::format("{} cannot be called: {} {}", path, harmless(signature(path, found->type), kShown),
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
    return std::unexpected(Error{BadCall{std::string(path), {}, BadCallCause::Function},
                                 Phase::Link,
                                 fmt::format("{} has no function {}", id().name(), path),
                                 {},
                                 std::move(handle.error().message),
                                 {}});
  }
  const std::lock_guard lock(mutex_);
  return &functions_.try_emplace(std::string(path), CallableFunction{std::move(*handle), found->type}).first->second;
}

std::string LoadedComponent::command_path() const {
  for (const auto& [name, item] : description_.exports) {
    if (item.kind == Item::Kind::Instance && name.starts_with("wasi:cli/run@0.2")) {
      return name + "#run";
    }
  }
  return {};
}

}  // namespace airssys::wasm::load
