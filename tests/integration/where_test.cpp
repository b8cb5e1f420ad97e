#include "support/threads.hpp"

namespace airssys::wasm::test {
namespace {

/// Which threads the host's functions of one run were called on.
class WhereTest : public HostTest {
 protected:
  WhereTest() {
    settings.workers = 1;
    host.emplace(WasmEngine::create(settings).value());
    host->host(kHost)
        .function("now", [this](HostCall&, std::uint32_t n) { return note(), n; })
        .function("later", [this](HostCall&, TypedCompletion<std::uint32_t> completion, std::uint32_t n) {
          note();
          if (held) {
            held->wait();
          }
          std::jthread([&] { completion.complete(n); }).join();
        });
    guest.emplace(host->load_text(R"((component
    (import "acme:test/host@1.0.0" (instance $host
      (export "now" (func (param "n" u32) (result u32))) (export "later" (func (param "n" u32) (result u32)))))
    (core func $now (canon lower (func $host "now"))) (core func $later (canon lower (func $host "later")))
    (core module $m (import "" "now" (func $now (param i32) (result i32)))
      (import "" "later" (func $later (param i32) (result i32)))
      (func (export "run") (result i32) (call $now (call $later (call $now (i32.const 42))))))
    (core instance $i (instantiate $m (with "" (instance (export "now" (func $now)) (export "later" (func $later))))))
    (func (export "run") (result u32) (canon lift (core func $i "run")))))")
                      .value());
  }
  void note() {
    const std::lock_guard lock(mutex);
    threads.push_back(std::this_thread::get_id());
  }
  /// The only thread that was seen.
  std::thread::id only_thread() {
    EXPECT_EQ(threads.size(), 3U);
    const auto one = std::set(threads.begin(), threads.end());
    threads.clear();
    EXPECT_EQ(one.size(), 1U);
    return *one.begin();
  }

  RuntimeConfig settings = config();
  std::mutex mutex;
  std::vector<std::thread::id> threads;
  /// Keeps runs from ending before it is counted down.
  std::optional<std::latch> held;
  std::optional<WasmEngine> host;
  std::optional<ComponentHandle> guest;
};

TEST_F(WhereTest, WhatBlocksIsPolledByTheCallerToTheEnd) {
  const auto here = std::this_thread::get_id();
  const CallBudget budget{small().limits, small().timeout};
  EXPECT_TRUE(host->run(*guest, "run", {}, small()));
  EXPECT_EQ(only_thread(), here);
  EXPECT_TRUE(host->call<std::uint32_t>(*guest, "run", small()));
  EXPECT_EQ(only_thread(), here);
  EXPECT_TRUE(host->bind<std::uint32_t()>(*guest, "run").value()(small()));
  EXPECT_EQ(only_thread(), here);
  auto instance = host->instantiate(*guest, small()).value();
  EXPECT_TRUE(instance.run("run", {}, budget));
  EXPECT_EQ(only_thread(), here);
  EXPECT_TRUE(instance.bind<std::uint32_t()>("run").value()(budget));
  EXPECT_EQ(only_thread(), here);
}

TEST_F(WhereTest, WhatIsStartedIsPolledAndItsEndToldByAWorker) {
  std::promise<std::thread::id> told;
  held.emplace(1);
  const auto run = host->start(*guest, "run", {}, small());
  run.on_done([&](const Report&) { told.set_value(std::this_thread::get_id()); });
  held->count_down();
  const auto worker = told.get_future().get();
  EXPECT_NE(worker, std::this_thread::get_id());
  EXPECT_EQ(only_thread(), worker);
}

// The worker polls others meanwhile, and so does the thread for files.
TEST_F(WhereTest, WhatWaitsHoldsNoThread) {
  std::vector<HostCompletion> kept;
  host->host("acme:test/other@1.0.0").async_function("never", [&](HostCall& call, std::span<const Value>) {
    kept.push_back(call.later());
    note();
  });
  const auto waits = host->load_text(calling("never", "acme:test/other@1.0.0")).value();
  std::vector<Execution> waiting;
  for (int i = 0; i < 3; ++i) {
    waiting.push_back(host->start(waits, "run", {}, with_deadline(10s)));
  }
  const auto quick = host->start(*guest, "run", {}, small());
  const auto* report = quick.wait_for(2s);
  ASSERT_NE(report, nullptr);
  EXPECT_TRUE(*report);
  for (const auto& run : waiting) {
    EXPECT_EQ(run.wait_for(0ns), nullptr);
    run.cancel();
    static_cast<void>(run.wait());
  }
}

}  // namespace
}  // namespace airssys::wasm::test
