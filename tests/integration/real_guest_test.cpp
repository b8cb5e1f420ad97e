#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "support/host.hpp"
#include "support/scratch.hpp"

namespace airssys::wasm::test {
namespace {

/// What real toolchains make of hello in C, JavaScript and Python, and of a command in C with wasi-libc. ./dev test
/// builds them (tools/dev/guests.sh).
class RealGuestTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* built = std::getenv("AIRSSYS_WASM_GUESTS");
    if (built == nullptr) {
      GTEST_SKIP() << "no guests: ./dev test builds them and says which toolchain is missing";
    }
    directory = built;
    for (const auto* guest : {"hello-c.wasm", "hello-js.wasm", "hello-py.wasm", "command.wasm"}) {
      if (!std::filesystem::exists(directory / guest)) {
        GTEST_SKIP() << guest << " was not built: ./dev test says which toolchain is missing";
      }
    }
    auto settings = config();
    // Compiling JavaScript and Python takes some seconds: once a machine, not once a clone.
    settings.cache_directory = directory / "artefacts";
    settings.load.timeout = 5min;
    settings.load.max_compile_cpu = 5min;
    engine = WasmEngine::create(settings).value();
  }
  ComponentHandle load(const std::string& name) {
    auto loaded = engine->load_file(directory / name);
    if (!loaded) {
      ADD_FAILURE() << name << ": " << loaded.error();
      std::abort();
    }
    return *loaded;
  }
  /// The command with these arguments, under the default limits.
  Report command(std::vector<std::string> arguments, ExecutionContext context = {}) {
    context.wasi.arguments = std::move(arguments);
    context.wasi.arguments.insert(context.wasi.arguments.begin(), "command");
    return engine->start_command(load("command.wasm"), context).wait();
  }

  std::filesystem::path directory;
  const Scratch own;
  const std::filesystem::path& scratch = own.path();
  std::optional<WasmEngine> engine;
};

/// WASI 0.2's exit knows only success and failure: the adapter for wasi-libc makes 1 of every other status.
constexpr int kFailed = 1;

// The default limits fit all of them; docs/limits.md has what they use.
TEST_F(RealGuestTest, EachLanguageSaysHelloUnderTheDefaultLimits) {
  for (const std::string language : {"c", "js", "py"}) {
    SCOPED_TRACE(language);
    const auto guest = load("hello-" + language + ".wasm");
    const auto report = engine->run(guest, "run", {"world"}, {});
    ASSERT_TRUE(report) << report.error() << report.error().guest_text;
    const auto* text = report.value()->get<std::string>();
    ASSERT_NE(text, nullptr);
    EXPECT_THAT(*text, ::testing::EndsWith("says hello world"));
    EXPECT_GT(report.usage().fuel, 0_fuel);
    EXPECT_GT(report.usage().memory_peak, 0_B);
    const auto typed = engine->call<std::string>(guest, "run", {}, "grüße");
    ASSERT_TRUE(typed) << typed.error();
    EXPECT_THAT(*typed, ::testing::EndsWith("says hello grüße"));
  }
}

TEST_F(RealGuestTest, EachLanguageKeepsGoingInOneInstance) {
  for (const std::string language : {"c", "js", "py"}) {
    SCOPED_TRACE(language);
    auto made = engine->instantiate(load("hello-" + language + ".wasm"), {});
    ASSERT_TRUE(made) << made.error();
    for (int i = 0; i < 3; ++i) {
      const auto report = made->run("run", {std::to_string(i)});
      ASSERT_TRUE(report) << report.error();
      EXPECT_THAT(*report.value()->get<std::string>(), ::testing::EndsWith("says hello " + std::to_string(i)));
    }
  }
}

TEST_F(RealGuestTest, EachLanguageMeetsItsLimits) {
  for (const std::string language : {"c", "js", "py"}) {
    SCOPED_TRACE(language);
    const auto guest = load("hello-" + language + ".wasm");
    ExecutionContext starved;
    starved.limits.max_fuel = 20_fuel;
    EXPECT_THAT(engine->run(guest, "run", {"world"}, starved), Stops("fuel_exhausted"));
    ExecutionContext cramped;
    cramped.limits.max_memory = 64_KiB;
    EXPECT_THAT(engine->run(guest, "run", {"world"}, cramped), Stops("memory_limit"));
  }
}

TEST_F(RealGuestTest, ACommandHasItsArgumentsEnvironmentFilesAndStatus) {
  ExecutionContext context;
  context.wasi.environment = {{"WHO", "world"}};
  const auto greeted = command({"greet"}, context);
  ASSERT_TRUE(greeted) << greeted.error();
  EXPECT_EQ(greeted.stdout_text, "c command says hello world\n");
  context.wasi.stdin_source = StdinBytes{"one\ntwo\n"};
  EXPECT_EQ(command({"cat"}, context).stdout_text, "one\ntwo\n");
  EXPECT_EQ(kind_of<Exited>(command({"7"})).status, kFailed);
  EXPECT_TRUE(command({"0"}));
  context.wasi.directories = {{scratch.string(), "/data", false}};
  std::ofstream(scratch / "x") << "from a file\n";
  EXPECT_EQ(command({"cat", "/data/x"}, context).stdout_text, "from a file\n");
  EXPECT_EQ(kind_of<Exited>(command({"cat", "/etc/passwd"}, context)).status, kFailed);
  const auto denied = command({"write", "/data/y"}, context);
  EXPECT_EQ(kind_of<Exited>(denied).status, kFailed);
  ASSERT_FALSE(denied.denials.empty());
  EXPECT_EQ(denied.denials.front().capability, Capability::Filesystem);
  EXPECT_EQ(denied.denials.front().target, "y");
  context.wasi.directories[0].writable = true;
  EXPECT_TRUE(command({"write", "/data/y"}, context));
  EXPECT_TRUE(std::filesystem::exists(scratch / "y"));
}

TEST_F(RealGuestTest, ACommandThatMisbehavesIsStoppedForItsOwnReason) {
  ExecutionContext context;
  context.limits.max_fuel = Fuel{1ULL << 50U};
  context.timeout = 200ms;
  EXPECT_THAT(command({"spin"}, context), Stops("timeout"));
  ExecutionContext small_memory;
  small_memory.limits.max_memory = 4_MiB;
  const auto eaten = command({"eat"}, small_memory);
  ASSERT_THAT(eaten, Stops("memory_limit"));
  EXPECT_GT(eaten.usage().memory_refused, 0U);
  const auto aborted = command({"abort"});
  ASSERT_THAT(aborted, Stops("trap"));
  EXPECT_EQ(kind_of<Trapped>(aborted).code, TrapCode::UnreachableCodeReached);
  EXPECT_FALSE(aborted.error().backtrace.empty());
}

}  // namespace
}  // namespace airssys::wasm::test
