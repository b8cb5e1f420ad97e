#include <airssys/wasm/component.hpp>
#include <nlohmann/json.hpp>

#include "load/loaded_component.hpp"
#include "wit/json.hpp"

namespace airssys::wasm {

const ComponentId& ComponentHandle::id() const noexcept { return behind_->id(); }
Bytes ComponentHandle::size() const noexcept { return {behind_->size()}; }
const std::vector<std::string>& ComponentHandle::notes() const noexcept { return behind_->notes(); }
const LoadUsage& ComponentHandle::load_usage() const noexcept { return behind_->load(); }
std::optional<RequiredResources> ComponentHandle::required_resources() const {
  auto required = behind_->component().required();
  if (required) {
    required->instance_bytes = Bytes{behind_->cost().footprint.instance_bytes};
    required->metadata_bytes = Bytes{behind_->cost().footprint.metadata_bytes};
  }
  return required;
}

Result<void> ComponentHandle::check_imports() const {
  auto linked = behind_->prepared();
  return linked ? Result<void>() : std::unexpected(std::move(linked.error()));
}

std::string ComponentHandle::wit(WitPackages packages) const { return behind_->wit(packages); }
std::vector<FunctionSignature> ComponentHandle::signatures() const { return behind_->signatures(); }
bool ComponentHandle::is_command() const { return !behind_->command_path().empty(); }

std::vector<FunctionExport> ComponentHandle::functions() const {
  return load::LoadedComponent::exported_functions(behind_->description().exports);
}

std::vector<ImportedItem> ComponentHandle::imports() const {
  std::vector<ImportedItem> out;
  for (const auto& [name, item] : behind_->description().imports) {
    ImportedItem import{name, {}};
    if (item.kind == wit::Item::Kind::Function) {
      import.functions.push_back({name, item.function});
    }
    for (auto& [path, type] : load::LoadedComponent::exported_functions(item.instance)) {
      import.functions.push_back({std::move(path), std::move(type)});
    }
    out.push_back(std::move(import));
  }
  return out;
}

std::string to_json(const ComponentHandle& component, int indent) {
  using Json = nlohmann::ordered_json;
  Json out{{"name", component.name()}, {"size_bytes", component.size().count}};
  // A precompiled one is known by nothing but its name.
  out["digest"] = component.digest().empty() ? Json(nullptr) : Json("blake2b:" + component.digest());
  out["imports"] = Json::array();
  for (const auto& import : component.imports()) {
    Json wanted = Json::array();
    for (const auto& function : import.functions) {
      wanted.push_back({{"name", function.name}, {"type", to_wit(function.type)}});
    }
    out["imports"].push_back({{"name", import.name}, {"functions", std::move(wanted)}});
  }
  const auto linked = component.check_imports();
  out["link_error"] = linked ? Json(nullptr) : Json(linked.error().message);
  out["functions"] = Json::array();
  for (const auto& function : component.functions()) {
    out["functions"].push_back({{"path", function.path}, {"type", to_wit(function.type)}});
  }
  if (const auto r = component.required_resources()) {
    out["required"] = {{"memories", r->memories},
                       {"largest_initial_memory_bytes", r->largest_initial_memory.count},
                       {"tables", r->tables},
                       {"largest_initial_table_elements", r->largest_initial_table},
                       {"instance_bytes", r->instance_bytes.count},
                       {"metadata_bytes", r->metadata_bytes.count}};
  } else {
    out["required"] = nullptr;
  }
  out["wit"] = component.wit();
  return wit::json_text(out, indent);
}

}  // namespace airssys::wasm
