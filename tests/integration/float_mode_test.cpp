#ifdef __x86_64__
#include <xmmintrin.h>

#include <thread>

#include "support/host.hpp"

namespace airssys::wasm::test {
namespace {

class FloatModeTest : public HostTest {};

// A host function computes as the thread that polls does: here the caller's.
TEST_F(FloatModeTest, AHostFunctionComputesInTheModeOfItsThread) {
  unsigned seen = 0;
  auto host = WasmEngine::create(config()).value();
  host.host("").function("now", [&](HostCall&) { seen = _mm_getcsr(); });
  const auto guest = host.load_text(calling("now")).value();
  std::jthread([&] {
    constexpr unsigned kFlushAndRoundUp = 0x1f80U | 0x8000U | 0x0040U | 0x4000U;
    _mm_setcsr(kFlushAndRoundUp);
    EXPECT_TRUE(host.run(guest, "run", {}, small()));
    EXPECT_EQ(seen & ~0x3fU, kFlushAndRoundUp);
    _mm_setcsr(0x1f80);
  }).join();
}

// Programs linked with -ffast-math flush subnormal numbers to zero; others round another way, or let a division fault.
TEST_F(FloatModeTest, GuestsComputeAsWebAssemblySaysWhateverTheThreadDoes) {
  const auto text = component(
      R"((func (export "half") (param f64) (result f64) (f64.div (local.get 0) (f64.const 2)))
         (func (export "third") (param f64) (result f64) (f64.div (local.get 0) (f64.const 3))))",
      R"((func (export "half") (param "x" f64) (result f64) (canon lift (core func $i "half")))
         (func (export "third") (param "x" f64) (result f64) (canon lift (core func $i "third"))))");
  const auto guest = load(text);
  // Half of it is subnormal.
  constexpr double kTiny = 3e-308;
  const auto computed = [&] {
    return std::pair(engine.call<double>(guest, "half", small(), kTiny).value(),
                     engine.call<double>(guest, "third", small(), 1.0).value());
  };
  const auto expected = computed();
  EXPECT_GT(expected.first, 0);
  std::jthread([&] {
    // Flush to zero, denormals are zero, round up, division by zero faults.
    constexpr unsigned kTheirs = (0x1f80U | 0x8000U | 0x0040U | 0x4000U) & ~0x0200U;
    _mm_setcsr(kTheirs);
    EXPECT_EQ(computed(), expected);
    // Its threads begin with this one's mode.
    auto inner = WasmEngine::create(config()).value();
    const auto started = inner.start(inner.load_text(text).value(), "half", {kTiny}, small());
    EXPECT_EQ(started.wait().value(), Value(expected.first));
    EXPECT_EQ(_mm_getcsr() & ~0x3fU, kTheirs & ~0x3fU) << "the thread has its own mode again";
    _mm_setcsr(0x1f80);
  }).join();
}

}  // namespace
}  // namespace airssys::wasm::test
#endif
