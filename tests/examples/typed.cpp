#include <airssys/wasm.hpp>
#include <iostream>

namespace wasm = airssys::wasm;

struct Point {
  std::int32_t x = 0, y = 0;
};
constexpr auto wit_record(const Point*) {
  return wasm::record(wasm::field("x", &Point::x), wasm::field("y", &Point::y));
}

struct Shape : std::variant<Point, double, std::monostate> {
  using variant::variant;
};
constexpr auto wit_variant(const Shape*) { return std::array{"corner", "circle", "nothing"}; }

struct Rights {
  bool read = false, write = false;
};
constexpr auto wit_flags(const Rights*) {
  return wasm::flags(wasm::field("read", &Rights::read), wasm::field("write", &Rights::write));
}

enum class Color { Red, DarkBlue };
constexpr auto wit_enum(const Color*) { return std::array{"red", "dark-blue"}; }

int main() {
  auto engine = wasm::WasmEngine::create().value();
  auto shapes = engine.load_file("examples/guests/shapes.wat").value();
  const auto mirror = engine.bind<Point(Point)>(shapes, "mirror").value();
  const auto paint = engine.bind<Rights(Shape, Color)>(shapes, "paint").value();

  const Point there = mirror({}, Point{3, 4}).value();
  const Rights rights = paint({}, Shape(2.5), Color::DarkBlue).value();
  std::cout << there.x << ", " << there.y << ", " << (rights.read ? "read" : "") << (rights.write ? "write" : "")
            << '\n';
}
