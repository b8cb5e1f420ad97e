#include <airssys/wasm.hpp>

struct Point {
  explicit Point(std::int32_t start) : x(start) {}
  std::int32_t x;
};
constexpr auto wit_record(const Point*) { return airssys::wasm::record(airssys::wasm::field("x", &Point::x)); }

bool call(airssys::wasm::WasmEngine& engine, const airssys::wasm::ComponentHandle& guest) {
  return engine.call<Point>(guest, "where", airssys::wasm::ExecutionContext{}).has_value();
}
