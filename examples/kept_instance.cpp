// An instance that keeps its state from call to call. Each call has a budget of its own; after a stop the instance is
// spent, since nobody knows what state it is in, and another is made.
#include <airssys/wasm.hpp>
#include <iostream>

namespace wasm = airssys::wasm;
using namespace std::chrono_literals;
using namespace wasm::literals;

int main() {
  auto engine = wasm::WasmEngine::create().value();
  const auto component = engine.load_file("examples/guests/counter.wat").value();
  const wasm::ExecutionContext context{.limits = {.max_fuel = 10'000_fuel, .max_memory = 1_MiB}, .timeout = 100ms};

  auto counter = engine.instantiate(component, context).value();
  const wasm::CallBudget budget{context.limits, context.timeout};
  const auto add = counter.bind<std::uint32_t(std::uint32_t)>("add").value();
  std::cout << add(budget, 1U).value() << ' ' << add(budget, 2U).value() << ' ' << add(budget, 3U).value() << '\n';

  // A call that cannot do with its budget stops, and takes the instance with it.
  const auto stopped = counter.run("add", {wasm::Value(4U)}, {.limits = {.max_fuel = 1_fuel}});
  std::cout << stopped.error().reason() << ", spent: " << std::boolalpha << counter.spent() << '\n';
  std::cout << counter.run("add", {wasm::Value(4U)}, budget).error().reason() << '\n';

  counter = engine.instantiate(component, context).value();
  std::cout << counter.call<std::uint32_t>("add", budget, 4U).value() << '\n';
}
