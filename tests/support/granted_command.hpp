#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <spawn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "support/child.hpp"
#include "support/scratch.hpp"
#include "support/wasi_command.hpp"

namespace airssys::wasm::test {

using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

inline const std::string kArguments = command(R"((call $arguments (i32.const 16))
  (call $lines (i32.load (i32.const 16)) (i32.load (i32.const 20))) (i32.const 0))");
/// Names and values on lines of their own.
inline const std::string kVariables = command(R"((call $variables (i32.const 16))
  (call $lines (i32.load (i32.const 16)) (i32.shl (i32.load (i32.const 20)) (i32.const 1))) (i32.const 0))");
/// Shows the first directory's name in the guest and the content of its `file`, and makes a `copy` of that there.
inline const std::string kCopy = command(R"((call $dirs (i32.const 16)) (local.set $s (i32.load (i32.const 16)))
  (call $line (i32.load offset=4 (local.get $s)) (i32.load offset=8 (local.get $s)))
  (call $open (i32.load (local.get $s)) (i32.const 0) (i32.const 64) (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 32))
  (if (i32.load8_u (i32.const 32)) (then unreachable))
  (call $read-file (i32.load (i32.const 36)) (i64.const 4096) (i64.const 0) (i32.const 16))
  (call $out (i32.load (i32.const 20)) (i32.load (i32.const 24)))
  (call $open (i32.load (local.get $s)) (i32.const 0) (i32.const 68) (i32.const 4) (i32.const 1) (i32.const 2) (i32.const 32))
  (if (i32.load8_u (i32.const 32)) (then (return (i32.const 1))))
  (call $write-file (i32.load (i32.const 36)) (i32.load (i32.const 20)) (i32.load (i32.const 24)) (i64.const 0) (i32.const 32))
  (i32.load8_u (i32.const 32)))",
                                         "filecopy");
inline const std::string kHello = command("(call $out (i32.const 64) (i32.const 6)) (i32.const 0)", R"(hello\n)");
inline const std::string kRandom =
    command(R"((i64.store (i32.const 16) (call $random64)) (call $out (i32.const 16) (i32.const 8))
  (call $random-bytes (i64.const 8) (i32.const 32)) (call $out (i32.load (i32.const 32)) (i32.const 8)) (i32.const 0))");
/// A function that answers what it is given, and one that answers a number.
inline constexpr std::string_view kMirror = R"((component
 (core module $m (memory (export "mem") 1) (global $top (mut i32) (i32.const 1024))
   (func (export "realloc") (param i32 i32 i32 i32) (result i32)
     (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
     (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3))))
   (func (export "mirror") (param i32 i32 i32 i32 i32 i32) (result i32)
     (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.store (i32.const 24) (local.get 2))
     (i32.store (i32.const 28) (local.get 3)) (i32.store8 (i32.const 32) (local.get 4)) (i32.store8 (i32.const 33) (local.get 5)) (i32.const 16))
   (func (export "answer") (result i32) (i32.const 42)))
 (core instance $i (instantiate $m))
 (type $r' (record (field "name" string) (field "at" (list s32)) (field "set" (option bool)))) (export $r "r" (type $r'))
 (func (export "mirror") (param "r" $r) (result $r) (canon lift (core func $i "mirror") (memory $i "mem") (realloc (func $i "realloc"))))
 (func (export "answer") (result s32) (canon lift (core func $i "answer")))))";

/// The command while it runs.
class Running {
 public:
  Running(pid_t child, int out, int err) : child_(child), out_(out), err_(err) {}
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() = default;

  [[nodiscard]] Ended end() const { return end_of(child_, out_, err_); }

 private:
  pid_t child_;
  int out_, err_;
};

class GrantsTest : public ::testing::Test {
 protected:
  void write(const std::string& name, std::string_view bytes) { std::ofstream(directory / name) << bytes; }
  [[nodiscard]] std::string content(const std::string& name) const {
    std::stringstream bytes;
    bytes << std::ifstream(directory / name).rdbuf();
    return bytes.str();
  }

  Running start(std::vector<std::string> words, std::string_view input = "") {
    words.insert(words.begin(), AIRSSYS_WASM_TEST_PROGRAM);
    std::vector<std::string> variables;
    for (const auto& [name, value] : environment) {
      variables.push_back(name + "=" + value);
    }
    for (char** inherited = environ; *inherited != nullptr; ++inherited) {
      variables.emplace_back(*inherited);  // The first of a name counts.
    }
    std::array<std::array<int, 2>, 3> pipes{};
    for (auto& pipe : pipes) {
      EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
    }
    // A pipe holds more than any of these.
    EXPECT_EQ(::write(pipes[0][1], input.data(), input.size()), static_cast<ssize_t>(input.size()));
    ::close(pipes[0][1]);
    if (stderr_is_terminal) {
      ::close(pipes[2][0]);
      ::close(pipes[2][1]);
      EXPECT_EQ(::openpty(&pipes[2][0], &pipes[2][1], nullptr, nullptr, nullptr), 0);
    }
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addchdir_np(&actions, directory.c_str());
    ::posix_spawn_file_actions_adddup2(&actions, stdin_instead >= 0 ? stdin_instead : pipes[0][0], STDIN_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, one_place ? pipes[2][1] : pipes[1][1], STDOUT_FILENO);
    ::posix_spawn_file_actions_adddup2(&actions, pipes[2][1], STDERR_FILENO);
    const auto pointers = [](std::vector<std::string>& texts) {
      std::vector<char*> out;
      for (auto& text : texts) {
        out.push_back(text.data());
      }
      out.push_back(nullptr);
      return out;
    };
    pid_t child = 0;
    EXPECT_EQ(::posix_spawn(&child, words.front().c_str(), &actions, nullptr, pointers(words).data(),
                            pointers(variables).data()),
              0);
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(pipes[0][0]);
    ::close(pipes[1][1]);
    ::close(pipes[2][1]);
    return {child, pipes[1][0], pipes[2][0]};
  }
  Ended run(std::vector<std::string> words, std::string_view input = "") {
    return start(std::move(words), input).end();
  }

  const Scratch scratch;
  const std::filesystem::path& directory = scratch.path();
  std::map<std::string, std::string> environment = {
      {"XDG_CACHE_HOME", AIRSSYS_WASM_TEST_CACHE}, {"TERM", "xterm"}, {"NO_COLOR", ""}};
  bool stderr_is_terminal = false;
  /// A descriptor in the place of a pipe with the input.
  int stdin_instead = -1;
  /// stdout goes where stderr goes.
  bool one_place = false;
};

}  // namespace airssys::wasm::test
