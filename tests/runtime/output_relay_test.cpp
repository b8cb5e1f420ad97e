#include "runtime/output_relay.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.hpp"

namespace airssys::wasm::runtime {
namespace {

/// What a guest has written: pieces as the bridge makes them.
class WrittenOutput final : public engine::Output {
 public:
  explicit WrittenOutput(std::string_view to_stdout) { add(false, to_stdout); }
  void add(bool is_err, std::string_view text) {
    if (text.empty()) {
      return;
    }
    const auto size = static_cast<std::uint32_t>(text.size());
    pieces_.push_back(is_err ? 1 : 0);
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&size);
    pieces_.insert(pieces_.end(), raw, raw + sizeof size);
    pieces_.insert(pieces_.end(), text.begin(), text.end());
  }
  [[nodiscard]] base::Buffer take(engine::Streams chosen) override {
    EXPECT_TRUE(chosen.out);
    const auto pieces = std::exchange(pieces_, {});
    auto* copy = new std::uint8_t[pieces.size()];
    std::ranges::copy(pieces, copy);
    return {copy, pieces.size(), pieces.size(),
            [](std::uint8_t* data, std::size_t, std::size_t) noexcept { delete[] data; }};
  }

 private:
  std::vector<std::uint8_t> pieces_;
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
  const auto write = [](OutputRelay& relay, std::string_view text, int descriptor) {
    const auto ended = std::make_shared<WrittenOutput>(text);
    EXPECT_TRUE(relay.attach(ended, {.out = descriptor}));
    relay.detach(ended);
    return relay.flush();
  };
  OutputRelay relay;
  Pipe pipe;
  auto flushed = write(relay, "a line\n", pipe.write.get());
  EXPECT_EQ(flushed.os_error, 0);
  EXPECT_FALSE(flushed.stdout_in_line);
  flushed = write(relay, "a part", pipe.write.get());
  EXPECT_TRUE(flushed.stdout_in_line);
  EXPECT_FALSE(flushed.stderr_in_line);
  const base::Fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  EXPECT_EQ(write(relay, "lost", full.get()).os_error, ENOSPC);
  EXPECT_EQ(write(relay, "a line\n", pipe.write.get()).os_error, ENOSPC) << "what is lost stays lost";
}

TEST(OutputRelayTest, WritesWhatALiveAndAnEndedRunLeftInOrder) {
  Pipe pipe;
  {
    OutputRelay relay;
    const auto live = std::make_shared<WrittenOutput>("first ");
    ASSERT_TRUE(relay.attach(live, {.out = pipe.write.get()}));
    relay.flush();
    const auto ended = std::make_shared<WrittenOutput>("second");
    ASSERT_TRUE(relay.attach(ended, {.out = pipe.write.get()}));
    relay.detach(ended);
    relay.detach(live);
  }
  pipe.write = {};
  EXPECT_EQ(pipe.rest(), "first second");
}

// A socket that keeps the bounds of messages shows the writes.
TEST(OutputRelayTest, KeepsTheOrderOfStdoutAndStderrInOnePlaceByOneWrite) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()), 0);
  const base::Fd reader(ends[0]), writer(ends[1]);
  OutputRelay relay;
  const auto both = std::make_shared<WrittenOutput>("1");
  both->add(true, "2");
  both->add(false, "3");
  ASSERT_TRUE(relay.attach(both, {.out = writer.get(), .err = writer.get()}));
  relay.detach(both);
  relay.flush();
  std::array<char, 16> read{};
  ASSERT_EQ(::recv(reader.get(), read.data(), read.size(), MSG_DONTWAIT), 3);
  EXPECT_EQ(std::string_view(read.data(), 3), "123");
}

TEST(OutputRelayTest, WritesToTwoPlacesWhatBelongsThere) {
  Pipe out, err;
  {
    OutputRelay relay;
    const auto both = std::make_shared<WrittenOutput>("1");
    both->add(true, "2");
    both->add(false, "3");
    ASSERT_TRUE(relay.attach(both, {.out = out.write.get(), .err = err.write.get()}));
    relay.detach(both);
  }
  out.write = {};
  err.write = {};
  EXPECT_EQ(out.rest(), "13");
  EXPECT_EQ(err.rest(), "2");
}

TEST(OutputRelayTest, BoundsWhatEndedRunsLeaveUnreadAndGoesOnOnceItIsRead) {
  Pipe pipe;
  const std::string much(OutputRelay::kLeftBytesMax / 4, 'x');
  OutputRelay relay;
  int ended = 0;
  for (; ended < 100; ++ended) {
    const auto output = std::make_shared<WrittenOutput>(much);
    if (!relay.attach(output, {.out = pipe.write.get()})) {
      break;
    }
    relay.detach(output);
  }
  EXPECT_EQ(ended, 4);

  std::jthread reader([&] { EXPECT_EQ(pipe.rest().size(), 4 * much.size()); });
  relay.flush();
  EXPECT_TRUE(relay.attach(std::make_shared<WrittenOutput>(""), {.out = pipe.write.get()}));
  pipe.write = {};
}

}  // namespace
}  // namespace airssys::wasm::runtime
