#include "cli/cache_commands.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <airssys/wasm/quantity.hpp>
#include <airssys/wasm/text.hpp>
#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "cli/output.hpp"

namespace airssys::wasm::cli {

namespace {

using Json = nlohmann::ordered_json;

std::string when(std::chrono::system_clock::time_point at) {
  return fmt::format("{:%Y-%m-%d %H:%M}", fmt::localtime(std::chrono::system_clock::to_time_t(at)));
}

std::string in_json(std::chrono::system_clock::time_point at) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(at)));
}

/// Not every byte of a name that was cut is text.
Json text(const std::string& name) { return Json(repaired_utf8(name)); }

Json as_json(const CacheContents& contents) {
  Json all = Json::array();
  for (const auto& one : contents.components) {
    all.push_back({{"name", one.name.empty() ? Json(nullptr) : text(one.name)},
                   {"digest", one.digest.empty() ? Json(nullptr) : Json("blake2b:" + one.digest)},
                   {"size_bytes", one.size.count},
                   {"last_used", in_json(one.last_used)},
                   {"used_again", one.used_again}});
  }
  return {{"directory", text(contents.directory.string())},
          {"size_bytes", contents.size.count},
          {"size_max_bytes", contents.size_max.count},
          {"components", std::move(all)}};
}

std::string how_full(const CacheContents& contents) {
  const auto n = contents.components.size();
  return fmt::format("{} compiled component{}, {} of {} in {}", n, n == 1 ? "" : "s", show_bytes(contents.size.count),
                     show_bytes(contents.size_max.count), harmless(contents.directory.string()));
}

std::string list(const CacheContents& contents) {
  constexpr std::size_t kDigits = 12;
  std::string out;
  for (const auto& one : contents.components) {
    out += fmt::format("{}  {:>9}  {}  {}\n", when(one.last_used), show_bytes(one.size.count),
                       one.digest.empty() ? std::string(kDigits, '-') : one.digest.substr(0, kDigits),
                       one.name.empty() ? "(kept by another version)" : harmless(one.name));
  }
  return out + how_full(contents);
}

struct Account {
  const char* what;
  const ResourceAccount& of;
  bool bytes;
};

}  // namespace

int cache(const Session& session) {
  const auto& [engine, options, interrupted] = session;
  const auto contents = engine.cached_components();
  if (contents.directory.empty()) {
    say_error("there is no cache: neither XDG_CACHE_HOME nor HOME is an absolute path", "set one of them");
    return 1;
  }
  std::error_code error;
  const bool there = std::filesystem::exists(contents.directory, error);
  if (error || (there && ::access(contents.directory.c_str(), R_OK | W_OK | X_OK) != 0)) {
    say_error(fmt::format("{} cannot be used: {}", contents.directory.string(),
                          error ? error.message() : std::strerror(errno)),
              "name another directory with XDG_CACHE_HOME");
    return 1;
  }
  if (options.cache_action == "clear") {
    const auto cleared = engine.clear_cache();
    if (!cleared) {
      return complain(cleared.error(), options);
    }
    return print(options.json ? Json{{"components", cleared->components}, {"size_bytes", cleared->size.count}}.dump()
                              : fmt::format("removed {} compiled component{}, {}", cleared->components,
                                            cleared->components == 1 ? "" : "s", show_bytes(cleared->size.count)));
  }
  if (options.json) {
    auto out = as_json(contents);
    if (options.cache_action == "size") {
      out.erase("components");
      out["components"] = contents.components.size();
    }
    return print(out.dump());
  }
  return print(options.cache_action == "size" ? how_full(contents) : list(contents));
}

int stats(const Session& session) {
  const auto& [engine, options, interrupted] = session;
  const auto all = engine.statistics().process;
  const auto contents = engine.cached_components();
  const std::array rows = {Account{"memory", all.memory, true}, Account{"mappings", all.mappings, false},
                           Account{"address_space", all.address_space, true},
                           Account{"file_descriptors", all.file_descriptors, false},
                           Account{"threads", all.threads, false}};
  if (options.json) {
    Json process;
    for (const auto& [what, of, bytes] : rows) {
      process[std::string(what) + (bytes ? "_bytes" : "")] = {
          {"capacity", of.capacity}, {"used", of.used}, {"peak", of.peak}, {"refused", of.refused}};
    }
    auto disk = as_json(contents);
    disk["components"] = contents.components.size();
    return print(Json{{"process", std::move(process)}, {"cache", std::move(disk)}}.dump());
  }
  std::string out = "All guests of a new process together may take (in brackets: what this process has taken):\n";
  for (const auto& [what, of, bytes] : rows) {
    std::string name = what;
    std::ranges::replace(name, '_', ' ');
    const auto show = [sized = bytes](std::uint64_t n) { return sized ? show_bytes(n) : show_count(n); };
    out += fmt::format("  {:18}{:>10}  ({})\n", name, show(of.capacity), show(of.used));
  }
  return print(out + "On disk: " + (contents.directory.empty() ? "there is no cache directory" : how_full(contents)));
}

}  // namespace airssys::wasm::cli
