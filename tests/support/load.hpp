#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <future>

#include "compile/artefact.hpp"
#include "support/host.hpp"
#include "support/no_more_descriptors.hpp"
#include "support/scratch.hpp"
#include "support/slow_text.hpp"

namespace airssys::wasm::test {

/// A component with `n` others in it, one inside the other or side by side.
inline std::string nested(int n) {
  std::string text;
  for (int i = 0; i < n; ++i) {
    text += "(component ";
  }
  return text + std::string(static_cast<std::size_t>(n), ')');
}
/// The same as bytes, made here: 20,000 of them are more than a text parser wants to see.
inline std::vector<std::uint8_t> side_by_side(int n) {
  const std::vector<std::uint8_t> preamble = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};
  auto bytes = preamble;
  for (int i = 0; i < n; ++i) {
    bytes.insert(bytes.end(), {4, 8});
    bytes.insert(bytes.end(), preamble.begin(), preamble.end());
  }
  return bytes;
}

class LoadTest : public HostTest {
 protected:
  template <class T>
  static LoadFailed refusal(const Result<T>& loaded) {
    if (loaded) {
      ADD_FAILURE() << "it loaded";
      return {};
    }
    EXPECT_EQ(loaded.error().phase, Phase::Load);
    SCOPED_TRACE(loaded.error().message);
    const auto* kind = std::get_if<LoadFailed>(&loaded.error().kind);
    if (kind == nullptr) {
      ADD_FAILURE() << loaded.error().reason() << ": " << loaded.error().message << loaded.error().guest_text;
      return {};
    }
    return *kind;
  }
  static std::filesystem::path helper_script(const Scratch& scratch, std::string_view body) {
    const auto path = scratch.path() / "helper";
    std::ofstream(path) << "#!/bin/sh\n" << body << "\n";
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }
  /// A load that nothing but a helper which does this can serve.
  static Result<ComponentHandle> load_by_helper(std::string_view body) {
    const Scratch scratch;
    auto settings = config();
    settings.cache = false;
    settings.compile.helper = helper_script(scratch, body);
    return WasmEngine::create(settings).value().load_component(side_by_side(1));
  }
  static WasmEngine with(void (*change)(RuntimeConfig&)) {
    auto settings = config();
    settings.cache = false;
    settings.load.max_text = 16_MiB;
    change(settings);
    return WasmEngine::create(settings).value();
  }
};

}  // namespace airssys::wasm::test
