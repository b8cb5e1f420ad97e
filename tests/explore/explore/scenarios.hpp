#pragma once

#include <cstdint>
#include <iterator>
#include <random>
#include <string_view>

/// What users do to engines from several threads, in any order and at any moment, under every seed: what must hold is
/// that everything ends, once, and that nothing is used after its end.
namespace airssys::wasm::explore {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}
  [[nodiscard]] std::uint64_t below(std::uint64_t n) { return random_() % n; }
  [[nodiscard]] bool one_in(std::uint64_t n) { return below(n) == 0; }
  template <class T>
  [[nodiscard]] auto& of(T& all) {
    return *std::next(std::begin(all), static_cast<std::ptrdiff_t>(below(std::size(all))));
  }

 private:
  std::mt19937_64 random_;
};

void expect(bool good, std::string_view what);
/// The ledger of the process: when everything has ended, nothing is taken.
void nothing_is_taken();

void engine_scenario(std::uint64_t seed);
void ending_scenario(std::uint64_t seed);
void scheduler_scenario(std::uint64_t seed);
void compile_queue_scenario(std::uint64_t seed);
void output_relay_scenario(std::uint64_t seed);
void cache_writer_scenario(std::uint64_t seed);

}  // namespace airssys::wasm::explore
