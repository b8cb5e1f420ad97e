#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "base/quantity.hpp"
#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/terminal.hpp"
#include "wit/json.hpp"

namespace airssys::wasm::cli {

namespace {

using Json = nlohmann::ordered_json;

std::string needs(const RequiredResources& r) {
  const auto many = [](std::uint64_t n, std::string_view one, std::string_view more) {
    return fmt::format("{} {}", n == 0 ? "no" : std::to_string(n), n == 1 ? one : more);
  };
  auto text = many(r.memories, "memory", "memories");
  if (r.memories > 0) {
    text += fmt::format(" (the largest starts with {})", base::show_bytes(r.largest_initial_memory.count));
  }
  text += ", " + many(r.tables, "table", "tables");
  if (r.tables > 0) {
    text += fmt::format(" (the largest with {})", many(r.largest_initial_table, "element", "elements"));
  }
  text += fmt::format(", {} for its instances, {} as long as it is loaded", base::show_bytes(r.instance_bytes.count),
                      base::show_bytes(r.metadata_bytes.count));
  return text;
}

/// What there is to know of a component whose WIT cannot be written: one that exports types outside any interface, say.
std::string listing(const std::vector<ImportedItem>& imports, const std::vector<FunctionExport>& functions) {
  std::string text;
  for (const auto& import : imports) {
    if (import.functions.empty()) {
      text += fmt::format("import {};\n", harmless(import.name));
    }
    for (const auto& [name, type] : import.functions) {
      const auto path = name == import.name ? name : import.name + "#" + name;
      text += fmt::format("import {}: {};\n", harmless(path), to_wit(type));
    }
  }
  for (const auto& function : functions) {
    text += fmt::format("export {}: {};\n", harmless(function.path), to_wit(function.type));
  }
  return text;
}

int inspect_json(const ComponentHandle& component, const Result<std::string>& wit) {
  Json out{{"name", component.name()}, {"size_bytes", component.size().count}};
  // A precompiled one is known by nothing but its name.
  out["digest"] = component.digest().empty() ? Json(nullptr) : Json("blake2b:" + component.digest());
  const auto functions = component.functions();
  const auto imports = component.imports();
  out["imports"] = Json::array();
  for (const auto& import : imports) {
    Json wanted = Json::array();
    for (const auto& function : import.functions) {
      wanted.push_back({{"name", function.name}, {"type", to_wit(function.type)}});
    }
    out["imports"].push_back({{"name", import.name}, {"functions", std::move(wanted)}});
  }
  const auto linked = component.check_imports();
  out["link_error"] = linked ? Json(nullptr) : Json(linked.error().message);
  out["functions"] = Json::array();
  for (const auto& function : functions) {
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
  out["wit"] = wit ? Json(*wit) : Json(nullptr);
  std::cout << wit::json_text(out, 2) << '\n';
  return written() ? 0 : 1;
}

}  // namespace

int inspect(const Session& session) {
  const auto& options = session.options;
  const auto component = load(session);
  if (!component) {
    return complain(component.error(), options);
  }
  const auto wit = component->wit();
  if (options.json) {
    return inspect_json(*component, wit);
  }
  const auto functions = component->functions();
  const auto imports = component->imports();
  std::cout << fmt::format("// {}\n// {} · {}\n", harmless(component->name()),
                           base::show_bytes(component->size().count),
                           options.precompiled ? "native code" : "blake2b " + component->digest());
  if (const auto required = component->required_resources()) {
    std::cout << fmt::format("// needs {}\n", needs(*required));
  } else {
    std::cout << "// imports core modules: what it needs is known only when it is linked\n";
  }
  if (const auto linked = component->check_imports(); !linked) {
    std::cout << fmt::format("// cannot be run by this command: {}\n", harmless(linked.error().message));
  }
  if (wit) {
    std::cout << harmless_lines(*wit) << std::flush;
  } else {
    const auto& why = wit.error();
    std::cout << "// not to be written as a WIT package: "
              << harmless(why.guest_text.empty() ? why.message : why.guest_text) << "\n"
              << harmless_lines(listing(imports, functions)) << std::flush;
  }
  return written() ? 0 : 1;
}

int compile(const Session& session) {
  const auto& options = session.options;
  if (same_file(options.output, options.component)) {
    say_error("the compiled component would be written over the component", "airssys-wasm compile --help");
    return kUsageError;
  }
  const auto bytes = read_input(options.component, options.load, session.interrupted);
  if (!bytes) {
    return complain(bytes.error(), options);
  }
  const auto name = component_name(options);
  const auto size = [&] {
    const Progress progress(compiling(name, "it is written to " + options.output));
    return session.engine.compile_to_file(*bytes, options.output, session.interrupted);
  }();
  if (!size) {
    if (std::holds_alternative<BadCall>(size.error().kind)) {
      say_error(size.error().message, "airssys-wasm compile --help");
      return kUsageError;
    }
    return complain(std::holds_alternative<LoadFailed>(size.error().kind) ? named(size, name).error() : size.error(),
                    options);
  }
  std::cerr << fmt::format("{}: {} of native code for this machine; run it with: airssys-wasm run --precompiled {}\n",
                           harmless(options.output), base::show_bytes(size->count), shell_word(options.output));
  return 0;
}

int validate(const Session& session) {
  const auto& options = session.options;
  const auto component = load(session);
  if (!component) {
    return complain(component.error(), options);
  }
  std::cout << fmt::format("{}: valid · {} · blake2b {}\n", harmless(component->name()),
                           base::show_bytes(component->size().count), component->digest());
  return written() ? 0 : 1;
}

}  // namespace airssys::wasm::cli
