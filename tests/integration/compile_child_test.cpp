#include "support/load.hpp"

namespace airssys::wasm::test {
namespace {

class CompileChildTest : public LoadTest {};

/// Compiling this takes more than 64 MiB.
std::string hard_to_compile() {
  std::string body, functions;
  for (int i = 0; i < 10'000; ++i) {
    body += "(drop (i32.div_u (i32.load (i32.const " + std::to_string(i) + ")) (i32.const 3)))";
  }
  for (int i = 0; i < 8; ++i) {
    functions += "(func " + body + ")";
  }
  return component("(memory 1)" + functions + R"((func (export "run") (result i32) i32.const 42))", kRun);
}

/// Makes SIGCHLD what it says while it lives.
class ChildSignal {
 public:
  explicit ChildSignal(void (*handler)(int)) {
    struct sigaction action{};
    action.sa_handler = handler;
    ::sigaction(SIGCHLD, &action, &before_);
  }
  ChildSignal(const ChildSignal&) = delete;
  ChildSignal& operator=(const ChildSignal&) = delete;
  ~ChildSignal() { ::sigaction(SIGCHLD, &before_, nullptr); }

 private:
  struct sigaction before_{};
};

// Valid, and too much for the compiler of Wasmtime 48.0.8.
TEST_F(CompileChildTest, AComponentThatTheCompilerGivesUpOnIsNotABugOfOurs) {
  constexpr std::string_view kPanics = R"((component
    (component $c
      (type $t (instance (type $u u32) (export "t" (type (eq $u)))))
      (import "a" (instance (type $t)))
      (import "b" (instance (type $t))))
    (type $u u32)
    (instance $i (export "t" (type $u)))
    (instance (instantiate $c (with "a" (instance $i)) (with "b" (instance $i))))))";
  for (const auto mode : {CompileIsolation::Mode::Child, CompileIsolation::Mode::InProcess}) {
    auto settings = config();
    settings.cache = false;
    settings.compile.mode = mode;
    auto host = WasmEngine::create(settings).value();
    const auto loaded = host.load_text(kPanics);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().reason(), "load_failed") << loaded.error();
    EXPECT_TRUE(refusal(loaded).compiler_gave_up);
    EXPECT_FALSE(loaded.error().system_text.empty());
    EXPECT_EQ(loaded.error().guest_text, "") << "that is not the guest's word";
    EXPECT_EQ(host.statistics().compiler_gave_up, 1U);
    EXPECT_TRUE(host.load_text("(component)")) << "and the next one loads";
  }
}

// Nothing stops the parser but the end of its process.
TEST_F(CompileChildTest, ALongTextIsParsedInAChildThatCanBeStopped) {
  auto host = with([](auto& c) { c.load.timeout = 100ms; });
  const auto began = std::chrono::steady_clock::now();
  EXPECT_EQ(refusal(host.load_text(slow_text())).limit, "load_timeout");
  EXPECT_LT(std::chrono::steady_clock::now() - began, 1s);

  std::stop_source stop;
  auto stopper = std::async(std::launch::async, [&] {
    std::this_thread::sleep_for(50ms);
    stop.request_stop();
  });
  const auto cancelled = engine.load_text(slow_text(), {.name = "x", .stop = stop.get_token()});
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().reason(), "cancelled");
}

TEST_F(CompileChildTest, ALongTextIsTheComponentThatAShortOneIs) {
  const auto padding = ";; " + std::string(40'000, 'x') + "\n";
  const auto wat = component(R"((func (export "run") (result i32) i32.const 42))", kRun);
  const auto long_one = engine.load_text(padding + wat);
  ASSERT_TRUE(long_one) << long_one.error() << long_one.error().guest_text;
  EXPECT_EQ(long_one->digest(), engine.load_text(wat)->digest());
  EXPECT_EQ(engine.run(*long_one, "run", {}, small()).value(), Value(std::int32_t{42}));

  const auto bad = engine.load_text(padding + "(component (nonsense))");
  ASSERT_FALSE(bad);
  EXPECT_EQ(bad.error().message, "the text is not a component");
  EXPECT_THAT(bad.error().guest_text, testing::HasSubstr("line 2, column 13"));
  const auto kind = refusal(with([](auto& c) { c.load.max_bytes = 50_B; }).load_text(padding + wat));
  EXPECT_EQ(kind.limit, "bytes");
  EXPECT_EQ(kind.allowed, 50U);
}

TEST_F(CompileChildTest, CompilingHasItsOwnMemoryAndTime) {
  const auto wat = component(R"((func (export "run") (result i32) i32.const 42))", kRun);
  EXPECT_EQ(refusal(with([](auto& c) { c.load.max_compile_memory = 64_MiB; }).load_text(hard_to_compile())).limit,
            "compile_memory");
  EXPECT_EQ(refusal(with([](auto& c) { c.load.timeout = 1ms; }).load_text(wat)).limit, "load_timeout");
}

TEST_F(CompileChildTest, ALoadCanBeCancelled) {
  std::stop_source stop;
  stop.request_stop();
  const auto text = component(R"((func (export "run") (result i32) i32.const 4711))", kRun);
  const auto loaded = with([](auto&) {})
                          .load_component({reinterpret_cast<const std::uint8_t*>(text.data()), text.size()},
                                          {.name = "x", .stop = stop.get_token()});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().reason(), "cancelled");
}

// One function of 40,000 calls and branches takes the compiler several seconds.
TEST_F(CompileChildTest, ACompilerThatBurnsItsCpuTimeIsStoppedByName) {
  std::string body = "(func $f (param i32) (result i32) (loop";
  for (int i = 0; i < 40'000; ++i) {
    body += "(br_if 0 (i32.load8_u (local.get 0))) (local.set 0 (call $f (local.get 0)))";
  }
  body += R"() (local.get 0)) (memory 1) (func (export "run") (result i32) i32.const 1))";
  const auto kind = refusal(with([](auto& c) { c.load.max_compile_cpu = 1s; }).load_text(component(body, kRun)));
  EXPECT_EQ(kind.limit, "compile_cpu_time");
  EXPECT_EQ(kind.allowed, 1'000'000'000U);
  EXPECT_EQ(kind.unit, "ns");
}

// Against a compiler that hangs: one load is cancelled in it, one while it waits for the places of the first two.
TEST_F(CompileChildTest, ALoadIsCancelledWhileItCompilesAndWhileItWaitsForAPlace) {
  const Scratch scratch;
  auto settings = config();
  settings.cache = false;
  settings.compile.helper = helper_script(scratch, "exec /bin/sleep 60");
  auto host = WasmEngine::create(settings).value();
  const auto bytes = side_by_side(1);
  std::stop_source stop;
  std::vector<std::future<Result<ComponentHandle>>> loads;
  for (int i = 0; i < 3; ++i) {
    loads.push_back(std::async(std::launch::async,
                               [&] { return host.load_component(bytes, {.name = "x", .stop = stop.get_token()}); }));
  }
  for (const auto& load : loads) {
    EXPECT_EQ(load.wait_for(50ms), std::future_status::timeout);
  }
  const auto began = std::chrono::steady_clock::now();
  stop.request_stop();
  for (auto& load : loads) {
    const auto loaded = load.get();
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().reason(), "cancelled");
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, 1s);
}

TEST_F(CompileChildTest, ACompilerThatSomebodyElseKilledIsNotTheComponentsFault) {
  const auto loaded = load_by_helper("kill -9 $$");
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().reason(), "host_exhausted");
  EXPECT_EQ(std::get<HostExhausted>(loaded.error().kind).resource, HostResource::CompileHelper);
}

TEST_F(CompileChildTest, AHelperThatIsNoProgramIsNamed) {
  const Scratch scratch;
  auto settings = config();
  settings.cache = false;
  settings.compile.helper = scratch.path() / "helper";
  std::ofstream(settings.compile.helper) << "";
  std::filesystem::permissions(settings.compile.helper, std::filesystem::perms::owner_all);
  const auto loaded = WasmEngine::create(settings).value().load_text("(component)", {.name = "guest"});
  ASSERT_FALSE(loaded);
  EXPECT_EQ(std::get<HostExhausted>(loaded.error().kind).resource, HostResource::CompileHelper);
  EXPECT_EQ(std::get<HostExhausted>(loaded.error().kind).os_error, ENOEXEC);
  EXPECT_THAT(loaded.error().message, ::testing::HasSubstr(settings.compile.helper.string()));
}

// Servers do: then nobody but the child itself can say how it ended.
TEST_F(CompileChildTest, AProgramThatReapsAllChildrenLoadsLikeAnyOther) {
  const auto reap = [](int) {
    const int before = errno;
    while (::waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    errno = before;
  };
  for (void (*handler)(int) : {SIG_IGN, static_cast<void (*)(int)>(reap)}) {
    const ChildSignal signal(handler);
    EXPECT_TRUE(with([](auto&) {}).load_text(component(R"((func (export "run") (result i32) i32.const 42))", kRun)));
    // Refused by the compiler, which the pre-scan does not look for.
    EXPECT_EQ(
        refusal(with([](auto&) {}).load_text("(component (export \"x\" (func 7)))" + std::string(64U << 10U, ' ')))
            .limit,
        "");
    EXPECT_EQ(refusal(with([](auto& c) { c.load.max_compile_memory = 64_MiB; }).load_text(hard_to_compile())).limit,
              "compile_memory");
    const auto dead = load_by_helper("exit 3");
    ASSERT_FALSE(dead);
    EXPECT_EQ(dead.error().reason(), "host_exhausted");
    EXPECT_THAT(dead.error().message, ::testing::AnyOf(::testing::HasSubstr("without a word"),
                                                       ::testing::HasSubstr("is it of this version")));
  }
}

// What the child finds is the same wherever the host runs, and a signal to the host's group (Ctrl-C) is the host's.
TEST_F(CompileChildTest, TheHelperHasNoEnvironmentAndAGroupOfItsOwn) {
  const Scratch scratch;
  const auto seen = scratch.path() / "seen";
  ::setenv("AIRSSYS_WASM_TEST_SECRET", "secret", 1);
  static_cast<void>(
      load_by_helper("{ /usr/bin/env; read -r pid name state parent group rest < /proc/$$/stat; echo $$ $group; } > '" +
                     seen.string() + "'"));
  ::unsetenv("AIRSSYS_WASM_TEST_SECRET");
  std::ifstream file(seen);
  std::string line, last;
  while (std::getline(file, line)) {
    // The shell's own.
    EXPECT_THAT(line, ::testing::MatchesRegex("PWD=.*|SHLVL=.*|_=.*|[0-9]+ [0-9]+"));
    last = line;
  }
  const auto space = last.find(' ');
  ASSERT_NE(space, std::string::npos) << last;
  EXPECT_EQ(last.substr(0, space), last.substr(space + 1));
}

// Neither the host nor the child can change compiled code once it was checked.
TEST_F(CompileChildTest, CompiledCodeIsSealed) {
  const std::vector<std::uint8_t> bytes(100);
  const auto artefact = compile::seal(bytes);
  ASSERT_TRUE(artefact);
  EXPECT_EQ(::fcntl(artefact->file.get(), F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
}

TEST_F(CompileChildTest, AMissingHelperNamesThePlaces) {
  const auto loaded = with([](auto& c) {
                        c.compile.helper = "/nowhere/airssys-wasm-compile";
                      }).load_text(component(R"((func (export "run") (result i32) i32.const 42))", kRun));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().reason(), "host_exhausted");
  EXPECT_THAT(loaded.error().message, ::testing::HasSubstr("/nowhere/airssys-wasm-compile"));
}

TEST_F(CompileChildTest, InProcessCompilingIsThereForTrustedBytes) {
  auto here = with([](auto& c) {
    c.compile.mode = CompileIsolation::Mode::InProcess;
    c.compile.helper = "/nowhere";
  });
  const auto guest = here.load_text(component(R"((func (export "run") (result i32) i32.const 42))", kRun));
  ASSERT_TRUE(guest) << guest.error();
  EXPECT_EQ(here.run(*guest, "run", {}, small()).value(), Value(std::int32_t{42}));
}

}  // namespace
}  // namespace airssys::wasm::test
