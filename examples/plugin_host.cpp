// A host that offers functions to its plug-ins, in three ways: typed, with dynamic values, and answered later from
// another thread. A function runs while the guest waits; one that takes longer than some microseconds is of the third
// kind.
#include <airssys/wasm.hpp>
#include <chrono>
#include <iostream>
#include <thread>

namespace wasm = airssys::wasm;
using namespace std::chrono_literals;
using namespace wasm::literals;

int main() {
  auto engine = wasm::WasmEngine::create().value();

  // Typed: its C++ types are compared with what a component wants when that is linked.
  const auto rate = [](wasm::HostCall& call, std::string_view currency) -> wasm::HostResult<double> {
    if (currency != "EUR") {
      return wasm::host_error("there is no rate for " + std::string(currency), 7);
    }
    return call.remaining() > 1ms ? 1.25 : 1.0;
  };

  // Dynamic: for interfaces that are known at run time only. What it answers is checked against the guest's type.
  const auto discount = [](wasm::HostCall& /*call*/, std::span<const wasm::Value> arguments) -> wasm::HostAnswer {
    const auto item = *arguments[0].get<std::uint32_t>();
    return std::vector{wasm::Value(item == 3 ? 0.25 : 0.0)};
  };

  // Later: the guest waits and holds no thread. A run that ends before does not wait for the answer.
  std::jthread warehouse;
  const auto stock = [&warehouse](wasm::HostCall& /*call*/, wasm::TypedCompletion<std::uint32_t> later,
                                  std::uint32_t item) {
    warehouse = std::jthread([later = std::move(later), item] {
      std::this_thread::sleep_for(10ms);  // a slow database
      later.complete(item * 10);
    });
  };

  engine.host("acme:shop/warehouse@1.0.0")
      .function("rate", rate)
      .function("discount", wasm::HostFunction(discount))
      .function("stock", stock);
  const auto shop = engine.load_file("examples/guests/shop.wat").value();

  wasm::ExecutionContext context{.limits = {.max_fuel = 10'000_fuel, .max_memory = 1_MiB, .max_host_calls = 10},
                                 .timeout = 1s};
  const auto report = engine.start(shop, "worth", {wasm::Value(3U)}, context).wait();
  if (!report) {
    std::cerr << report.error() << '\n';
    return 1;
  }
  std::cout << *report.as<double>() << " after " << report.usage().host_calls.at("acme:shop/warehouse@1.0.0")
            << " calls\n";

  // A limit on calls holds for the host's functions too.
  context.limits.max_host_calls = 2;
  std::cout << engine.start(shop, "worth", {wasm::Value(3U)}, context).wait().error().reason() << '\n';
}
