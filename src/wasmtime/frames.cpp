#include "wasmtime/frames.hpp"

#include <airssys/wasm/encoding.hpp>

namespace airssys::wasm::wasmtime {

std::vector<Frame> decode_frames(std::span<const std::uint8_t> bytes) {
  std::vector<Frame> frames;
  if (bytes.empty()) {
    return frames;
  }
  encoding::Reader in(bytes);
  for (auto left = in.number<std::uint32_t>(); left > 0 && !in.bad(); --left) {
    Frame frame;
    frame.offset = in.number<std::uint64_t>();
    frame.module = in.text();
    frame.function = in.text();
    frames.push_back(std::move(frame));
  }
  return frames;
}

}  // namespace airssys::wasm::wasmtime
