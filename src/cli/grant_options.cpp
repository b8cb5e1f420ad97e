#include "cli/grant_options.hpp"

#include <fmt/format.h>

#include <airssys/wasm/text.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace airssys::wasm::cli {

namespace {

constexpr const char* kDirectoryHelp = "write it like --dir data::/data:rw, or --dir data";

/// Takes `:ro` or `:rw` from the end of `text`.
std::optional<std::string> take_mode(std::string& text) {
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) {
    return {};
  }
  auto mode = text.substr(colon + 1);
  text.resize(colon);
  return mode;
}

DirectoryGrant directory(const std::string& text) {
  const auto parting = text.find("::");
  std::string guest = parting == std::string::npos ? text : text.substr(parting + 2);
  const auto mode = take_mode(guest);
  if (mode && *mode != "ro" && *mode != "rw") {
    throw CLI::ValidationError("--dir", fmt::format("'{}' ends in '{}'; use :ro or :rw", text, *mode));
  }
  if (guest.ends_with(":ro") || guest.ends_with(":rw")) {
    throw CLI::ValidationError("--dir", fmt::format("'{}' ends in two modes; use :ro or :rw", text));
  }
  if (guest.empty() || parting == 0) {
    throw CLI::ValidationError("--dir",
                               fmt::format("'{}' names no directory {}; {}", text,
                                           guest.empty() ? "for the guest" : "of this machine", kDirectoryHelp));
  }
  // Without another, the guest sees the name that was typed.
  DirectoryGrant grant{parting == std::string::npos ? guest : text.substr(0, parting), guest, mode == "rw"};
  std::error_code why;
  if (!std::filesystem::is_directory(grant.host, why)) {
    throw CLI::ValidationError(
        "--dir", fmt::format("{}: {}", grant.host, why ? why.message() : "it is a file, not a directory"));
  }
  return grant;
}

/// The name that a guest finds it under, however it is written.
std::string_view plain(std::string_view name) {
  while (name.size() > 1 && name.ends_with('/')) {
    name.remove_suffix(1);
  }
  return name;
}

void add_directory(std::vector<DirectoryGrant>& all, const std::string& text) {
  auto next = directory(text);
  const auto same = std::ranges::find(all, plain(next.guest), [](const auto& one) { return plain(one.guest); });
  if (same != all.end()) {
    throw CLI::ValidationError("--dir", fmt::format("the guest would see both {} and {} as {}; give one another name",
                                                    same->host, next.host, plain(next.guest)));
  }
  all.push_back(std::move(next));
}

using Variable = std::pair<std::string, std::string>;

/// Nothing for a name alone that this program does not have either.
std::optional<Variable> variable(const std::string& text) {
  const auto equals = text.find('=');
  if (equals == 0 || text.empty()) {
    throw CLI::ValidationError("--env", fmt::format("'{}' has no name; write it like --env LANG=C", text));
  }
  Variable out(text.substr(0, equals), {});
  if (equals != std::string::npos) {
    out.second = text.substr(equals + 1);
  } else if (const char* ours = std::getenv(text.c_str())) {
    out.second = ours;
  } else {
    return {};
  }
  if (!is_utf8(out.first) || !is_utf8(out.second)) {
    throw CLI::ValidationError("--env", fmt::format("'{}' is not UTF-8", text));
  }
  return out;
}

void add_variable(std::vector<Variable>& all, const std::string& text) {
  if (auto next = variable(text)) {
    std::erase_if(all, [&](const auto& one) { return one.first == next->first; });
    all.push_back(std::move(*next));
  }
}

/// An option that may be given again and again, with one value each time.
void repeated(CLI::App& app, const std::string& name, const std::string& help, const std::string& type, auto add) {
  app.add_option_function<std::vector<std::string>>(
         name, [add](const std::vector<std::string>& all) { std::ranges::for_each(all, add); }, help)
      ->type_name(type)
      ->allow_extra_args(false);
}

}  // namespace

void grant_options(CLI::App& app, Options& options) {
  auto& wasi = options.context.wasi;
  wasi.stdout_target = OutputGrant::Inherited;
  wasi.stderr_target = OutputGrant::Inherited;
  wasi.stdin_source = StdinInherited{};
  repeated(app, "--env", "variable for the guest; NAME alone: as it is here", "NAME[=VALUE]",
           [&wasi](const std::string& text) { add_variable(wasi.environment, text); });
  repeated(app, "--dir", "directory for the guest, read-only unless :rw", "DIR[::GUEST][:rw]",
           [&wasi](const std::string& text) { add_directory(wasi.directories, text); });
  app.add_option_function<std::string>(
         "--stdin", [&wasi](const auto& file) { wasi.stdin_source = StdinFile{file}; },
         "file for the guest's stdin [this program's stdin]")
      ->type_name("FILE");
  app.add_option("--argv0", options.argv0, "the guest's first argument [the component's file name]")->type_name("NAME");
}

}  // namespace airssys::wasm::cli
