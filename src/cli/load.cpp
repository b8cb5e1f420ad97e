#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <iostream>
#include <optional>

#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/terminal.hpp"

namespace airssys::wasm::cli {

std::function<std::string()> compiling(const std::string& name, const std::string& what_for) {
  const auto began = std::chrono::steady_clock::now();
  return [=] {
    const auto s = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began).count();
    return fmt::format("compiling {} ({} s{}{})", harmless(name), s, what_for.empty() ? "" : "; ", what_for);
  };
}

std::string component_name(const Options& options) {
  return options.component == "-" ? "stdin" : std::filesystem::path(options.component).filename().string();
}

Result<ComponentHandle> load(const Session& session) {
  const auto& options = session.options;
  if (options.precompiled) {
    auto component = session.engine.load_precompiled(options.component);
    const auto* failed = component ? nullptr : std::get_if<LoadFailed>(&component.error().kind);
    if (failed != nullptr && failed->limit.empty() && component.error().help.empty()) {
      std::error_code absent;
      const bool readable =
          std::filesystem::is_regular_file(options.component, absent) && ::access(options.component.c_str(), R_OK) == 0;
      component.error().help = !readable        ? kNameAComponent
                               : options.epochs ? "compile makes code that is metered by fuel: run it without --epochs"
                                                : "make it with this very version: airssys-wasm compile --help";
    }
    return component;
  }
  const auto bytes = read_input(options.component, options.load, session.interrupted);
  if (!bytes) {
    return std::unexpected(bytes.error());
  }
  const auto name = component_name(options);
  std::optional<Progress> progress;
  if (!options.quiet) {
    progress.emplace(compiling(name, options.no_cache ? "" : "the result is kept, so this happens once"));
  }
  auto component = named(session.engine.load_component(*bytes, {.name = name, .stop = session.interrupted}), name);
  if (component && !options.quiet) {
    for (const auto& note : component->notes()) {
      std::cerr << "note: " << harmless(note) << '\n';
    }
  }
  return component;
}

}  // namespace airssys::wasm::cli
