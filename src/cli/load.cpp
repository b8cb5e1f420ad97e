#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>

#include "base/fd.hpp"
#include "base/quantity.hpp"
#include "cli/commands.hpp"
#include "cli/terminal.hpp"

namespace airssys::wasm::cli {

namespace {

Error unreadable(const std::string& path, std::string_view why) {
  return {LoadFailed{}, Phase::Load, fmt::format("{}: {}", path, why), {}, {}, {}};
}

/// Waits until `file` can be read; false when that was interrupted.
bool readable(int file, const std::stop_token& interrupted) {
  constexpr int kLookMs = 50;
  pollfd watched{file, POLLIN, 0};
  while (!interrupted.stop_requested()) {
    if (::poll(&watched, 1, kLookMs) != 0) {
      return true;
    }
  }
  return false;
}

}  // namespace

Result<std::vector<std::uint8_t>> read_input(const std::string& path, std::uint64_t most,
                                             const std::stop_token& interrupted) {
  base::Fd owned;
  int file = STDIN_FILENO;
  if (path != "-") {
    auto opened = base::open_regular(path);
    if (!opened) {
      auto error = unreadable(path, opened.error());
      error.help = "give the path of a .wasm or .wat file: ls *.wasm *.wat";
      return std::unexpected(std::move(error));
    }
    owned = std::move(*opened);
    file = owned.get();
  }
  // A file in one read and one that says it is over; a pipe in growing ones.
  struct stat s{};
  constexpr std::size_t kLeast = 16U << 10U;
  const bool sized = ::fstat(file, &s) == 0 && S_ISREG(s.st_mode);
  std::size_t chunk = sized ? std::min<std::uint64_t>(static_cast<std::uint64_t>(s.st_size), most) + 1 : kLeast;
  std::vector<std::uint8_t> bytes;
  for (;;) {
    if (!readable(file, interrupted)) {
      return std::unexpected(Error{Cancelled{}, Phase::Load, "interrupted while reading the component", {}, {}, {}});
    }
    const auto have = bytes.size();
    bytes.resize(have + chunk);
    const auto n = ::read(file, bytes.data() + have, chunk);
    chunk = std::max(kLeast, have / 2);
    bytes.resize(have + static_cast<std::size_t>(std::max<ssize_t>(n, 0)));
    if (n < 0 && errno != EINTR) {
      return std::unexpected(unreadable(path, std::strerror(errno)));
    }
    if (bytes.size() > most) {
      return std::unexpected(Error{LoadFailed{"bytes", most, bytes.size(), {}, "bytes"},
                                   Phase::Load,
                                   fmt::format("{} is larger than {}", path, base::show_bytes(most)),
                                   {},
                                   {},
                                   {}});
    }
    if (n == 0) {
      return bytes;
    }
  }
}

std::function<std::string()> compiling(const std::string& name, const std::string& what_for) {
  const auto began = std::chrono::steady_clock::now();
  return [=] {
    const auto s = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::steady_clock::now() - began).count();
    return fmt::format("compiling {} ({} s{}{})", harmless(name), s, what_for.empty() ? "" : "; ", what_for);
  };
}

bool same_file(const std::string& a, const std::string& b) {
  std::error_code absent;
  return std::filesystem::equivalent(a, b, absent);
}

Result<ComponentHandle> load(const Session& session) {
  const auto& options = session.options;
  if (options.precompiled) {
    auto component = session.engine.load_precompiled(options.component);
    if (!component && component.error().help.empty() && std::get_if<LoadFailed>(&component.error().kind) != nullptr &&
        std::get<LoadFailed>(component.error().kind).limit.empty()) {
      component.error().help = options.epochs ? "compile makes code that is metered by fuel: run it without --epochs"
                                              : "make it with this very version: airssys-wasm compile --help";
    }
    return component;
  }
  const auto bytes = read_input(options.component, options.load.max_bytes.count, session.interrupted);
  if (!bytes) {
    return std::unexpected(bytes.error());
  }
  const auto name =
      options.component == "-" ? std::string("stdin") : std::filesystem::path(options.component).filename().string();
  const Progress progress(compiling(name, options.no_cache ? "" : "the result is kept, so this happens once"));
  auto component = session.engine.load_component(*bytes, name, session.interrupted);
  if (component) {
    for (const auto& note : component->notes()) {
      std::cerr << "note: " << harmless(note) << '\n';
    }
  }
  return component;
}

}  // namespace airssys::wasm::cli
