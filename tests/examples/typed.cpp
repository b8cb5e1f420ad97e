#include <airssys/wasm.hpp>
#include <iostream>

namespace wasm = airssys::wasm;

struct Point {
  std::int32_t x = 0, y = 0;
};
constexpr auto wit_record(const Point*) {
  return wasm::record(wasm::field("x", &Point::x), wasm::field("y", &Point::y));
}

int main() {
  auto engine = wasm::WasmEngine::create().value();
  auto shapes = engine.load_file("examples/guests/shapes.wat").value();
  const auto mirror = engine.bind<Point(Point)>(shapes, "mirror").value();

  const Point there = mirror({}, Point{3, 4}).value();
  std::cout << there.x << ", " << there.y << '\n';
}
