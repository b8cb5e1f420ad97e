#include <fcntl.h>

#include <airssys/wasm.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "base/fd.hpp"
#include "base/sync.hpp"
#include "compile/cache_writer.hpp"
#include "compile/compile_queue.hpp"
#include "explore/scenarios.hpp"
#include "explore/schedule.hpp"
#include "host/output_relay.hpp"
#include "ledger/ledger.hpp"

/// The smaller things that threads share: the queue for compiling, the relay of output, the writer of the cache.
namespace airssys::wasm::explore {
namespace {

using namespace std::chrono_literals;

/// What guests have written, endlessly.
class FlowingOutput final : public wasmtime::Output {
 public:
  explicit FlowingOutput(base::Atomic<bool>& failed) : failed_(failed) {}
  [[nodiscard]] base::Buffer take(wasmtime::Streams) override {
    constexpr std::array<std::uint8_t, 6> kPiece = {0, 1, 0, 0, 0, 'y'};
    auto* bytes = new std::uint8_t[kPiece.size()];
    std::ranges::copy(kPiece, bytes);
    ++taken_;
    return {bytes, kPiece.size(), kPiece.size(),
            [](std::uint8_t* p, std::size_t, std::size_t) noexcept { delete[] p; }};
  }
  void allow(std::uint64_t) override {}
  std::uint64_t fail(wasmtime::Streams, const Failing&) noexcept override {
    failed_ = true;
    return 0;
  }
  [[nodiscard]] std::uint64_t lost() noexcept override { return 0; }
  [[nodiscard]] unsigned taken() const noexcept { return taken_; }

 private:
  base::Atomic<bool>& failed_;
  base::Atomic<unsigned> taken_ = 0;
};

}  // namespace

/// Loads that want places to compile, of several principals, some of whom lose patience.
void compile_queue_scenario(std::uint64_t seed) {
  Dice dice(seed);
  const unsigned places = 1 + static_cast<unsigned>(dice.below(3));
  compile::CompileQueue queue({places, static_cast<unsigned>(dice.below(3)), 2ms});
  std::array<std::stop_source, 2> stops;
  base::Atomic<unsigned> at_work = 0;
  std::vector<base::Thread> threads;
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&, own = Dice(seed * 4 + i)]() mutable {
      for (auto n = 1 + own.below(3); n > 0; --n) {
        const auto token = own.one_in(2) ? own.of(stops).get_token() : std::stop_token();
        if (auto place = queue.take({own.one_in(2) ? "a" : "b", own.one_in(2)}, token)) {
          expect(++at_work <= places, "no more compile than there are places");
          base::sleep_for(100us);
          --at_work;
        }
        if (own.one_in(6)) {
          own.of(stops).request_stop();
        }
      }
    });
  }
  for (auto& thread : threads) {
    thread.join();
  }
  expect(queue.running() == 0 && queue.waiting() == 0, "all places are given back");
}

/// Runs that come and go while others wait for what was written; nobody waits for the flood to end.
void output_relay_scenario(std::uint64_t seed) {
  Dice dice(seed);
  const base::Fd null(::open("/dev/null", O_WRONLY | O_CLOEXEC));
  base::Atomic<bool> failed = false;
  {
    host::OutputRelay relay;
    std::vector<base::Thread> threads;
    for (unsigned i = 0; i < 3; ++i) {
      threads.emplace_back([&, own = Dice(seed * 3 + i)]() mutable {
        const auto output = std::make_shared<FlowingOutput>(failed);
        expect(relay.attach(output, {.out = null.get()}), "there is room");
        for (auto n = 1 + own.below(4); n > 0; --n) {
          relay.nudge();
          if (own.one_in(2)) {
            const auto before = output->taken();
            // Its patience may be over: time passes when the seed says so.
            if (relay.flush().complete) {
              expect(output->taken() > before, "a flush takes what there is");
            }
          }
        }
        relay.detach(output);
      });
    }
    for (auto& thread : threads) {
      thread.join();
    }
  }
  expect(!failed, "nothing is lost");
}

/// Artefacts that are kept while others look for them, and a writer that ends.
void cache_writer_scenario(std::uint64_t seed) {
  const std::vector<std::uint8_t> bytes = {1, 2, 3};
  base::Atomic<unsigned> stored = 0;
  unsigned accepted = 0;
  {
    base::Mutex mutex;
    compile::CacheWriter writer(
        {[&](const std::string&, const compile::Artefact&, const auto&) -> std::optional<std::string> {
           base::sleep_for(10us);
           ++stored;
           return {};
         },
         [](const std::string&) {}},
        ledger::Account::open({}));
    std::vector<base::Thread> threads;
    for (unsigned i = 0; i < 3; ++i) {
      threads.emplace_back([&, own = Dice(seed * 3 + i)]() mutable {
        const auto artefact = compile::seal(bytes).value();
        for (auto n = 1 + own.below(3); n > 0; --n) {
          const auto key = std::to_string(own.below(3));
          switch (own.below(4)) {
            case 0: static_cast<void>(writer.find(key)); break;
            case 1: writer.used(key); break;
            case 2: static_cast<void>(writer.flush()); break;
            default:
              if (!writer.store(key, artefact)) {
                const std::lock_guard lock(mutex);
                ++accepted;
              }
          }
        }
      });
    }
    for (auto& thread : threads) {
      thread.join();
    }
  }
  expect(stored == accepted, "what was accepted is written before the writer ends");
  nothing_is_taken();
}

}  // namespace airssys::wasm::explore
