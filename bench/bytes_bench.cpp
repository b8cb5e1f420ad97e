#include "support.hpp"

namespace airssys::wasm::bench {
namespace {

/// `echo` answers with what it was given: `answer` stores it at 16.
std::string echoing(std::string_view types, std::string_view answer) {
  return R"((component (core module $m (memory (export "mem") 1) (global $top (mut i32) (i32.const 65536))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $need i32)
        (local.set $need (i32.sub (i32.add (global.get $top) (local.get 3)) (i32.mul (memory.size) (i32.const 65536))))
        (if (i32.gt_s (local.get $need) (i32.const 0)) (then (drop (memory.grow (i32.add (i32.div_u (local.get $need) (i32.const 65536)) (i32.const 1))))))
        (global.get $top))
      (func (export "echo") (param i32 i32) (result i32) )" +
         std::string(answer) + R"( (i32.const 16)))
    (core instance $i (instantiate $m))
    (func (export "echo") )" +
         std::string(types) + R"( (canon lift (core func $i "echo") (memory $i "mem") (realloc (func $i "realloc")))))
  )";
}
constexpr std::string_view kPair = "(i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1))";
const std::string kEcho = echoing(R"((param "b" (list u8)) (result (list u8)))", kPair);

/// list<u8> in and out of a kept instance by C++ types; the rate is payload for each whole echo.
template <class Bytes>
void echo_typed(benchmark::State& state) {
  auto instance = engine().instantiate(engine().load_text(kEcho).value(), plenty()).value();
  const auto echo = instance.bind<Bytes(std::span<const std::uint8_t>)>("echo").value();
  const std::vector<std::uint8_t> bytes(static_cast<std::size_t>(state.range(0)), 7);
  const auto budget = plenty_a_call();
  for (auto _ : state) {
    if (echo(budget, bytes).value().size() != bytes.size()) {
      state.SkipWithError("no echo");
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(echo_typed<SharedBytes>)->Name("echo_shared")->Arg(64)->Arg(1 << 20)->Arg(16 << 20);
BENCHMARK(echo_typed<std::vector<std::uint8_t>>)->Name("echo_vector")->Arg(64)->Arg(1 << 20)->Arg(16 << 20);

/// The other two shapes with a path of their own. A string is checked on its way in and out.
void echo_string(benchmark::State& state) {
  const auto guest = engine().load_text(echoing(R"((param "s" string) (result string))", kPair)).value();
  auto instance = engine().instantiate(guest, plenty()).value();
  const auto echo = instance.bind<std::string(std::string_view)>("echo").value();
  const std::string text(static_cast<std::size_t>(state.range(0)), 'x');
  const auto budget = plenty_a_call();
  for (auto _ : state) {
    if (echo(budget, text).value().size() != text.size()) {
      state.SkipWithError("no echo");
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(echo_string)->Arg(1 << 20)->Arg(16 << 20);

void echo_result(benchmark::State& state) {
  constexpr std::string_view kOk = "(i32.store (i32.const 20) (local.get 0)) (i32.store (i32.const 24) (local.get 1))";
  const auto guest =
      engine().load_text(echoing(R"((param "b" (list u8)) (result (result (list u8) (error string))))", kOk)).value();
  auto instance = engine().instantiate(guest, plenty()).value();
  using Answer = std::expected<std::vector<std::uint8_t>, std::string>;
  const auto echo = instance.bind<Answer(std::span<const std::uint8_t>)>("echo").value();
  const std::vector<std::uint8_t> bytes(static_cast<std::size_t>(state.range(0)), 7);
  const auto budget = plenty_a_call();
  for (auto _ : state) {
    if (echo(budget, bytes).value()->size() != bytes.size()) {
      state.SkipWithError("no echo");
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(echo_result)->Arg(1 << 20)->Arg(16 << 20);

/// The same by dynamic values.
void echo_dynamic(benchmark::State& state) {
  auto instance = engine().instantiate(engine().load_text(kEcho).value(), plenty()).value();
  const std::vector<Value> arguments = {ByteList(static_cast<std::size_t>(state.range(0)), 7)};
  const auto budget = plenty_a_call();
  for (auto _ : state) {
    const auto report = instance.run("echo", arguments, budget);
    if (!report || report.value()->get<ByteList>()->size() != static_cast<std::size_t>(state.range(0))) {
      state.SkipWithError("no echo");
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(echo_dynamic)->Arg(64)->Arg(1 << 20)->Arg(16 << 20);

/// And with a fresh instance each time: the guest's pages are faulted in anew.
void echo_fresh(benchmark::State& state) {
  const auto guest = engine().load_text(kEcho).value();
  const auto echo = engine().bind<SharedBytes(std::span<const std::uint8_t>)>(guest, "echo").value();
  const std::vector<std::uint8_t> bytes(static_cast<std::size_t>(state.range(0)), 7);
  const auto context = plenty();
  for (auto _ : state) {
    if (echo(context, bytes).value().size() != bytes.size()) {
      state.SkipWithError("no echo");
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(echo_fresh)->Arg(1 << 20)->Arg(16 << 20);

/// A shape without a byte path: list<u32> of n elements, by dynamic values.
const std::string kEchoWords =
    R"((component (core module $m (memory (export "mem") 64)
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 65536)
      (func (export "echo") (param i32 i32) (result i32) (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16)))
    (core instance $i (instantiate $m))
    (func (export "echo") (param "w" (list u32)) (result (list u32)) (canon lift (core func $i "echo") (memory $i "mem") (realloc (func $i "realloc")))))
  )";
void echo_words(benchmark::State& state) {
  auto instance = engine().instantiate(engine().load_text(kEchoWords).value(), plenty()).value();
  const auto echo = instance.bind<std::vector<std::uint32_t>(std::vector<std::uint32_t>)>("echo").value();
  const std::vector<std::uint32_t> words(static_cast<std::size_t>(state.range(0)), 7);
  const auto budget = plenty_a_call();
  for (auto _ : state) {
    if (echo(budget, words).value().size() != words.size()) {
      state.SkipWithError("no echo");
    }
  }
  state.SetBytesProcessed(state.iterations() * state.range(0) * static_cast<std::int64_t>(sizeof(std::uint32_t)));
}
BENCHMARK(echo_words)->Arg(1 << 10)->Arg(1 << 18);

}  // namespace
}  // namespace airssys::wasm::bench
