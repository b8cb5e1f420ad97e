#pragma once

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "support/child.hpp"
#include "support/scratch.hpp"

namespace airssys::wasm::test {

using namespace std::chrono_literals;
using Json = nlohmann::json;

/// What happens to a child while it runs.
using Meanwhile = std::function<void(pid_t)>;

/// A signal, once that much time has passed.
inline Meanwhile after(std::chrono::milliseconds time, int signal) {
  return [=](pid_t child) {
    ::usleep(static_cast<useconds_t>(std::chrono::microseconds(time).count()));
    ::kill(child, signal);
  };
}
/// A signal, once a guest that spins does so: loading it takes less CPU time than that.
inline Meanwhile once_it_spins(int signal) {
  return [=](pid_t child) {
    constexpr long kLoaded = 400'000'000;
    const auto late = std::chrono::steady_clock::now() + 4s;
    clockid_t clock{};
    timespec used{};
    while (::clock_getcpuclockid(child, &clock) == 0 && ::clock_gettime(clock, &used) == 0 && used.tv_sec == 0 &&
           used.tv_nsec < kLoaded && std::chrono::steady_clock::now() < late) {
      ::usleep(1'000);
    }
    ::kill(child, signal);
  };
}

/// The command as its users run it: a process with pipes, in a directory of its own.
class CommandTest : public ::testing::Test {
 protected:
  void write(const std::string& name, std::string_view text) { std::ofstream(directory / name) << text; }

  Ended run(std::vector<std::string> words, std::string_view input = "", const Meanwhile& meanwhile = {}) {
    words.insert(words.begin(), AIRSSYS_WASM_TEST_PROGRAM);
    return execute(std::move(words), input, meanwhile);
  }
  /// A line for a shell that begins with the command's name.
  Ended type(std::string_view line) {
    const std::string_view name = "airssys-wasm";
    EXPECT_TRUE(line.starts_with(name)) << line;
    return execute({"/bin/sh", "-c", AIRSSYS_WASM_TEST_PROGRAM + std::string(line.substr(name.size()))});
  }

  Ended execute(std::vector<std::string> words, std::string_view input = "", const Meanwhile& meanwhile = {}) {
    std::array<std::array<int, 2>, 3> pipes{};
    for (auto& pipe : pipes) {
      if (::pipe2(pipe.data(), O_CLOEXEC) != 0) {
        ADD_FAILURE() << "no pipe";
      }
    }
    const pid_t child = ::fork();
    if (child == 0) {
      ::dup2(pipes[0][0], STDIN_FILENO);
      ::dup2(pipes[1][1], STDOUT_FILENO);
      ::dup2(pipes[2][1], STDERR_FILENO);
      ::setenv("XDG_CACHE_HOME", AIRSSYS_WASM_TEST_CACHE, 1);
      if (::chdir(directory.c_str()) != 0) {
        ::_exit(99);
      }
      std::vector<char*> argv;
      for (auto& word : words) {
        argv.push_back(word.data());
      }
      argv.push_back(nullptr);
      ::execv(argv[0], argv.data());
      ::_exit(99);
    }
    ::close(pipes[0][0]);
    ::close(pipes[1][1]);
    ::close(pipes[2][1]);
    EXPECT_EQ(::write(pipes[0][1], input.data(), input.size()), static_cast<ssize_t>(input.size()));
    if (!keep_stdin_open) {
      ::close(pipes[0][1]);
    }
    if (meanwhile) {
      meanwhile(child);
    }
    const auto ended = end_of(child, pipes[1][0], pipes[2][0]);
    if (keep_stdin_open) {
      ::close(pipes[0][1]);
    }
    return ended;
  }

  const Scratch scratch;
  const std::filesystem::path& directory = scratch.path();
  bool keep_stdin_open = false;
};

inline constexpr std::string_view kHello =
    R"((component (core module $m (func (export "hello") (result i32) i32.const 42)) (core instance $i (instantiate $m)) (func (export "hello") (result s32) (canon lift (core func $i "hello")))))";
inline constexpr std::string_view kLoop =
    R"((component (core module $m (func (export "spin") (result i32) (loop $l (br $l)) i32.const 42)) (core instance $i (instantiate $m)) (func (export "spin") (result s32) (canon lift (core func $i "spin")))))";
/// Answers the string it is given.
inline constexpr std::string_view kEcho =
    R"((component (core module $m (memory (export "mem") 1) (global $top (mut i32) (i32.const 1024))
 (func (export "realloc") (param i32 i32 i32 i32) (result i32) (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3))))
 (func (export "echo") (param i32 i32) (result i32) (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16)))
 (core instance $i (instantiate $m))
 (func (export "echo") (param "s" string) (result string) (canon lift (core func $i "echo") (memory $i "mem") (realloc (func $i "realloc")))))
)";

}  // namespace airssys::wasm::test
