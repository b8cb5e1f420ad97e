#include <future>
#include <memory>
#include <optional>

#include "support/host.hpp"

namespace airssys::wasm::test {
namespace {

/// `echo` answers its text, `bytes` its bytes; `add` counts up; `spin` never ends.
const std::string kGuest = component(
    R"((memory (export "mem") 1) (global $top (mut i32) (i32.const 4096)) (global $n (mut i32) (i32.const 0))
       (func (export "realloc") (param i32 i32 i32 i32) (result i32) (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3))))
       (func (export "echo") (param i32 i32) (result i32) (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
       (func (export "add") (param i32) (result i32) (global.set $n (i32.add (global.get $n) (local.get 0))) (global.get $n))
       (func (export "spin") (param i32) (result i32) (loop $l (br $l)) unreachable))",
    R"((func (export "echo") (param "s" string) (result string) (canon lift (core func $i "echo") (memory $i "mem") (realloc (func $i "realloc"))))
       (func (export "bytes") (param "b" (list u8)) (result (list u8)) (canon lift (core func $i "echo") (memory $i "mem") (realloc (func $i "realloc"))))
       (func (export "add") (param "n" u32) (result u32) (canon lift (core func $i "add")))
       (func (export "spin") (param "n" u32) (result u32) (canon lift (core func $i "spin"))))");

using Text = std::string(std::string_view);
using Count = std::uint32_t(std::uint32_t);

CallBudget budget() { return {small().limits, 1000ms}; }
/// It outlasts what a test waits for.
CallBudget patient() { return {with_deadline(30s).limits, 30s}; }

class FunctionTest : public HostTest {
 protected:
  template <class Signature>
  Function<Signature> bound(std::string_view name) {
    return engine.bind<Signature>(load(kGuest), name).value();
  }
};

TEST_F(FunctionTest, OneTypeServesAnEngineAndAnInstance) {
  const auto guest = load(kGuest);
  auto instance = engine.instantiate(guest, small()).value();
  const auto fresh = engine.bind<Count>(guest, "add").value();
  const auto kept = instance.bind<Count>("add").value();
  for (const Function<Count>& add : {fresh, kept}) {
    EXPECT_EQ(add(budget(), 3U).value(), 3U);
  }
  EXPECT_EQ(fresh(budget(), 3U).value(), 3U) << "each call has an instance of its own";
  EXPECT_EQ(kept(budget(), 3U).value(), 6U);
  EXPECT_EQ(kept({}, 1U).value(), 7U) << "with default limits";
  EXPECT_EQ(kept({{.timeout = 1s}}, 1U).value(), 8U) << "braces make a budget";
}

TEST_F(FunctionTest, AfterItsEngineACallIsCancelled) {
  std::optional<WasmEngine> other = WasmEngine::create(config()).value();
  const auto guest = other->load_text(kGuest).value();
  auto instance = other->instantiate(guest, small()).value();
  const std::vector<Function<Text>> all = {other->bind<Text>(guest, "echo").value(),
                                           instance.bind<Text>("echo").value()};
  other.reset();
  for (const auto& echo : all) {
    EXPECT_EQ(echo(small(), "late").error().reason(), "cancelled");
    EXPECT_THAT(echo.run(budget(), "late").report, Stops("cancelled"));
    EXPECT_THAT(echo.start(budget(), "late").wait().report, Stops("cancelled"));
  }
}

TEST_F(FunctionTest, AComponentOfAnotherEngineIsNotBound) {
  auto other = WasmEngine::create(config()).value();
  EXPECT_EQ(other.bind<Text>(load(kGuest), "echo").error().reason(), "bad_call");
}

TEST_F(FunctionTest, AnInstanceHasTheGrantsItWasMadeWith) {
  auto instance = engine.instantiate(load(kGuest), small()).value();
  const auto add = instance.bind<Count>("add").value();
  EXPECT_EQ(add(small(), 1U).value(), 1U) << "a context that grants nothing will do";
  auto generous = small();
  generous.wasi.arguments = {"late"};
  EXPECT_EQ(add(generous, 1U).error().reason(), "bad_call");
  EXPECT_EQ(add(small(), 1U).value(), 2U) << "the refused call did not touch the guest";
}

TEST_F(FunctionTest, ATypedCallIsStartedAndAnswersTyped) {
  auto echo = bound<Text>("echo");
  auto text = std::make_unique<std::string>("world");
  const auto started = echo.start(budget(), *text);
  text.reset();  // The arguments were copied.
  const auto done = started.wait();
  EXPECT_EQ(done.value, "world") << done.report.error();
  EXPECT_EQ(started.wait().value, "world") << "as often as one asks";
  EXPECT_EQ(started.state(), ExecutionState::Done);
  EXPECT_EQ(started.wait_for(0ms)->value, "world");
  EXPECT_EQ(started.id(), done.report.id);
}

TEST_F(FunctionTest, ATypedExecutionIsCancelled) {
  const auto started = bound<Count>("spin").start(patient(), 1U);
  EXPECT_FALSE(started.wait_for(1ms));
  started.cancel();
  const auto done = started.wait();
  EXPECT_THAT(done.report, Stops("cancelled"));
  EXPECT_FALSE(done.value);
}

TEST_F(FunctionTest, WhoeverListensHearsTheTypedEnd) {
  const auto echo = bound<Text>("echo");
  std::promise<std::string> heard;
  // The callback owns what cannot be copied.
  echo.start(budget(), "world")
      .on_done([mine = std::make_unique<int>(7), &heard](const TypedReport<std::string>& done) {
        heard.set_value(*mine == 7 && done.value ? *done.value : "nothing");
      });
  EXPECT_EQ(heard.get_future().get(), "world");
}

TEST_F(FunctionTest, SharedBytesOutliveTheStartedCall) {
  const std::vector<std::uint8_t> bytes(20'000, 42);
  SharedBytes kept;
  {
    const auto started = bound<SharedBytes(std::span<const std::uint8_t>)>("bytes").start(patient(), bytes);
    kept = started.wait().value.value();
  }
  EXPECT_TRUE(std::ranges::equal(kept.bytes(), bytes));
}

TEST_F(FunctionTest, AStopTokenEndsATypedCall) {
  const auto spin = bound<Count>("spin");
  std::stop_source stop;
  const auto token = stop.get_token();
  auto blocking = std::async(std::launch::async, [&] { return spin.run({patient(), token}, 1U).report; });
  const auto started = spin.start({patient(), token}, 1U);
  EXPECT_FALSE(started.wait_for(1ms));
  stop.request_stop();
  EXPECT_THAT(blocking.get(), Stops("cancelled"));
  EXPECT_THAT(started.wait().report, Stops("cancelled"));
  EXPECT_EQ(spin({patient(), token}, 1U).error().phase, Phase::Queue) << "one that was stopped before it began";
  EXPECT_THAT(spin.run(token, 1U).report, Stops("cancelled")) << "a token alone";
}

TEST_F(FunctionTest, AStartedRunHeedsItsStopToken) {
  const auto guest = load(kGuest);
  std::stop_source stop;
  const auto running = engine.start(guest, "spin", {1U}, with_deadline(30s), stop.get_token());
  EXPECT_EQ(running.wait_for(1ms), nullptr);
  stop.request_stop();
  EXPECT_THAT(running.wait(), Stops("cancelled"));
  const auto never = engine.start(guest, "spin", {1U}, with_deadline(30s), stop.get_token()).wait();
  EXPECT_THAT(never, Stops("cancelled"));
  EXPECT_EQ(never.outcome(), Outcome::Refused) << "nothing of the guest was made";
}

TEST_F(FunctionTest, CallRunAndExecuteMeanTheSameOnEngineAndInstance) {
  const auto guest = load(kGuest);
  auto instance = engine.instantiate(guest, small()).value();
  EXPECT_EQ(engine.call<std::uint32_t>(guest, "add", budget(), 1U).value(), 1U);
  EXPECT_EQ(instance.call<std::uint32_t>("add", budget(), 1U).value(), 1U);
  EXPECT_EQ(engine.run(guest, "add", {1U}, small()).value(), Value(1U));
  EXPECT_EQ(instance.run("add", {1U}, budget()).value(), Value(2U));
  EXPECT_EQ(engine.execute(guest, "add", ComponentInput::from_i32(1), small())->to_i32(), 1);
  EXPECT_EQ(instance.execute("add", ComponentInput::from_i32(1), budget())->to_i32(), 3);
  EXPECT_EQ(instance.execute("ad", ComponentInput::from_i32(1), budget()).error().reason(), "bad_call");
}

}  // namespace
}  // namespace airssys::wasm::test
