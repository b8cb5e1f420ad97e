#include "runtime/output_relay.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.hpp"

namespace airssys::wasm::runtime {
namespace {

/// A stream whose guest has written `bytes` and then ended.
class WrittenOutput final : public engine::Output {
 public:
  explicit WrittenOutput(std::span<std::uint8_t> bytes) : bytes_(bytes) {}
  [[nodiscard]] base::Buffer take() override {
    const auto bytes = std::exchange(bytes_, {});
    return {bytes.data(), bytes.size(), bytes.size(), [](std::uint8_t*, std::size_t, std::size_t) noexcept {}};
  }

 private:
  std::span<std::uint8_t> bytes_;
};

struct Pipe {
  Pipe() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    read = base::Fd(ends[0]);
    write = base::Fd(ends[1]);
  }
  /// Everything until the other end is closed.
  [[nodiscard]] std::string rest() {
    std::string all;
    std::vector<char> some(1U << 20U);
    for (ssize_t n = 0; (n = ::read(read.get(), some.data(), some.size())) > 0;) {
      all.append(some.data(), static_cast<std::size_t>(n));
    }
    return all;
  }
  base::Fd read, write;
};

TEST(OutputRelayTest, SaysWhatIsLostAndWhetherALineIsOpen) {
  std::string line = "a line\n", part = "a part", lost = "lost";
  const auto write = [](OutputRelay& relay, std::string& text, int descriptor) {
    const auto ended =
        std::make_shared<WrittenOutput>(std::span(reinterpret_cast<std::uint8_t*>(text.data()), text.size()));
    EXPECT_TRUE(relay.attach(ended, descriptor));
    relay.detach(ended);
    return relay.flush();
  };
  OutputRelay relay;
  Pipe pipe;
  auto flushed = write(relay, line, pipe.write.get());
  EXPECT_EQ(flushed.os_error, 0);
  EXPECT_FALSE(flushed.stdout_in_line);
  flushed = write(relay, part, pipe.write.get());
  EXPECT_TRUE(flushed.stdout_in_line);
  EXPECT_FALSE(flushed.stderr_in_line);
  const base::Fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(write(relay, lost, full.get()).os_error, ENOSPC);
  EXPECT_EQ(write(relay, line, pipe.write.get()).os_error, ENOSPC) << "what is lost stays lost";
}

TEST(OutputRelayTest, WritesWhatALiveAndAnEndedRunLeftInOrder) {
  Pipe pipe;
  std::string first = "first ", second = "second";
  const auto bytes = [](std::string& text) {
    return std::span(reinterpret_cast<std::uint8_t*>(text.data()), text.size());
  };
  {
    OutputRelay relay;
    const auto live = std::make_shared<WrittenOutput>(bytes(first));
    ASSERT_TRUE(relay.attach(live, pipe.write.get()));
    relay.flush();
    const auto ended = std::make_shared<WrittenOutput>(bytes(second));
    ASSERT_TRUE(relay.attach(ended, pipe.write.get()));
    relay.detach(ended);
    relay.detach(live);
  }
  pipe.write = {};
  EXPECT_EQ(pipe.rest(), "first second");
}

TEST(OutputRelayTest, BoundsWhatEndedRunsLeaveUnreadAndGoesOnOnceItIsRead) {
  Pipe pipe;
  std::vector<std::uint8_t> much(OutputRelay::kLeftBytesMax / 4, 'x');
  OutputRelay relay;
  int ended = 0;
  for (; ended < 100; ++ended) {
    const auto output = std::make_shared<WrittenOutput>(much);
    if (!relay.attach(output, pipe.write.get())) {
      break;
    }
    relay.detach(output);
  }
  EXPECT_EQ(ended, 4);

  std::jthread reader([&] { EXPECT_EQ(pipe.rest().size(), 4 * much.size()); });
  relay.flush();
  EXPECT_TRUE(relay.attach(std::make_shared<WrittenOutput>(std::span<std::uint8_t>()), pipe.write.get()));
  pipe.write = {};
}

}  // namespace
}  // namespace airssys::wasm::runtime
