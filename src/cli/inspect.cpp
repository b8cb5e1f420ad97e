#include <fmt/format.h>
#include <airssys/wasm/quantity.hpp>

#include <iostream>

#include "cli/call.hpp"
#include "cli/commands.hpp"
#include "cli/files.hpp"
#include "cli/terminal.hpp"

namespace airssys::wasm::cli {

namespace {

std::string needs(const RequiredResources& r) {
  const auto many = [](std::uint64_t n, std::string_view one, std::string_view more) {
    return fmt::format("{} {}", n == 0 ? "no" : std::to_string(n), n == 1 ? one : more);
  };
  auto text = many(r.memories, "memory", "memories");
  if (r.memories > 0) {
    text += fmt::format(" (the largest starts with {})", show_bytes(r.largest_initial_memory.count));
  }
  text += ", " + many(r.tables, "table", "tables");
  if (r.tables > 0) {
    text += fmt::format(" (the largest with {})", many(r.largest_initial_table, "element", "elements"));
  }
  text += fmt::format(", {} for its instances, {} as long as it is loaded", show_bytes(r.instance_bytes.count),
                      show_bytes(r.metadata_bytes.count));
  return text;
}

/// What can be typed after `run`, as comments.
std::string to_type(const ComponentHandle& component, const Options& options, bool linked) {
  const auto run =
      fmt::format("airssys-wasm run {}{}", options.precompiled ? "--precompiled " : "", shell_word(options.component));
  if (component.is_command()) {
    return fmt::format("//\n// a command: {}\n", run);
  }
  std::string text;
  for (const auto& [path, signature] : component.signatures()) {
    text += fmt::format("//   {}: {}\n", harmless(path), harmless(signature));
  }
  if (text.empty()) {
    return "//\n// no function can be called\n";
  }
  text.insert(0, "//\n// what can be called:\n");
  for (const auto& function : linked ? component.functions() : std::vector<FunctionExport>()) {
    if (const auto call = sample_call(function)) {
      return text + fmt::format("// for example: {} --invoke {}\n", run, shell_word(*call));
    }
  }
  return text;
}

}  // namespace

int inspect(const Session& session) {
  const auto& options = session.options;
  const auto component = load(session);
  if (!component) {
    return complain(component.error(), options);
  }
  if (options.json) {
    std::cout << to_json(*component, 2) << '\n';
    return written() ? 0 : 1;
  }
  std::cout << fmt::format("// {}\n// {} · {}\n", harmless(component->name()), show_bytes(component->size().count),
                           options.precompiled ? "native code" : "blake2b " + component->digest());
  if (const auto required = component->required_resources()) {
    std::cout << fmt::format("// needs {}\n", needs(*required));
  } else {
    std::cout << "// imports core modules: what it needs is known only when it is linked\n";
  }
  const auto linked = component->check_imports();
  if (!linked) {
    std::cout << fmt::format("// cannot be run by this command: {}\n", harmless(linked.error().message));
  }
  std::cout << to_type(*component, options, linked.has_value())
            << harmless_lines(component->wit(options.with_wasi ? WitPackages::All : WitPackages::WithoutWasi))
            << std::flush;
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
    return session.engine.compile_to_file(*bytes, options.output, {.stop = session.interrupted});
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
                           harmless(options.output), show_bytes(size->count), shell_word(options.output));
  return 0;
}

int validate(const Session& session) {
  const auto& options = session.options;
  const auto component = load(session);
  if (!component) {
    return complain(component.error(), options);
  }
  std::cout << fmt::format("{}: valid · {} · blake2b {}\n", harmless(component->name()),
                           show_bytes(component->size().count), component->digest());
  return written() ? 0 : 1;
}

}  // namespace airssys::wasm::cli
