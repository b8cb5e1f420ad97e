#include "engine/frames.hpp"

#include <cstring>

namespace airssys::wasm::engine {

std::vector<Frame> decode_frames(std::span<const std::uint8_t> bytes) {
  std::vector<Frame> frames;
  std::size_t at = 0;
  bool good = true;
  const auto number = [&]<class Number>(Number) {
    Number n{};
    good = good && bytes.size() - at >= sizeof n;
    if (good) {
      std::memcpy(&n, bytes.data() + at, sizeof n);
      at += sizeof n;
    }
    return n;
  };
  const auto text = [&] {
    const auto n = number(std::uint32_t{});
    good = good && bytes.size() - at >= n;
    std::string out;
    if (good) {
      out.assign(reinterpret_cast<const char*>(bytes.data()) + at, n);
      at += n;
    }
    return out;
  };
  if (bytes.empty()) {
    return frames;
  }
  const auto count = number(std::uint32_t{});
  for (std::uint32_t i = 0; i < count && good; ++i) {
    Frame frame;
    frame.offset = number(std::uint64_t{});
    frame.module = text();
    frame.function = text();
    frame.file = text();
    frame.line = number(std::uint32_t{});
    frames.push_back(std::move(frame));
  }
  return frames;
}

}  // namespace airssys::wasm::engine
