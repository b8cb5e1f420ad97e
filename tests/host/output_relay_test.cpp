#include "host/output_relay.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/fd.hpp"

namespace airssys::wasm::host {
namespace {

/// What a guest has written: pieces as the bridge makes them.
class WrittenOutput final : public wasmtime::Output {
 public:
  explicit WrittenOutput(std::string_view to_stdout) { add(false, to_stdout); }
  void add(bool is_err, std::string_view text) {
    if (text.empty()) {
      return;
    }
    const std::lock_guard lock(mutex_);
    const auto size = static_cast<std::uint32_t>(text.size());
    pieces_.push_back(is_err ? 1 : 0);
    const auto* raw = reinterpret_cast<const std::uint8_t*>(&size);
    pieces_.insert(pieces_.end(), raw, raw + sizeof size);
    pieces_.insert(pieces_.end(), text.begin(), text.end());
  }
  [[nodiscard]] base::Buffer take(wasmtime::Streams chosen) override {
    EXPECT_TRUE(chosen.out);
    const std::lock_guard lock(mutex_);
    const auto pieces = std::exchange(pieces_, {});
    auto* copy = new std::uint8_t[pieces.size()];
    std::ranges::copy(pieces, copy);
    return {copy, pieces.size(), pieces.size(),
            [](std::uint8_t* data, std::size_t, std::size_t) noexcept { delete[] data; }};
  }

  void allow(std::uint64_t) override {}
  std::uint64_t fail(wasmtime::Streams chosen, const Failing& how) noexcept override {
    const std::lock_guard lock(mutex_);
    told_.push_back({chosen.out, how.os_error, how.stays, how.lost});
    return 0;
  }
  [[nodiscard]] std::uint64_t lost() noexcept override { return 0; }

  struct Told {
    bool out;
    int os_error;
    bool stays;
    std::uint64_t lost;
    friend bool operator==(const Told&, const Told&) = default;
  };
  [[nodiscard]] std::vector<Told> told() {
    const std::lock_guard lock(mutex_);
    return told_;
  }

 private:
  std::mutex mutex_;
  std::vector<std::uint8_t> pieces_;
  std::vector<Told> told_;
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

// A program that embeds the library has its own mind about SIGPIPE.
TEST(OutputRelayTest, TellsTheGuestThatNobodyReadsAndRaisesNoSignal) {
  ASSERT_NE(std::signal(SIGPIPE, SIG_DFL), SIG_ERR);
  OutputRelay relay;
  Pipe pipe;
  const auto output = std::make_shared<WrittenOutput>("123");
  output->add(true, "45");
  Pipe err;
  ASSERT_TRUE(relay.attach(output, {.out = pipe.write.get(), .err = err.write.get()}));
  pipe.read = {};
  const auto flushed = relay.flush();
  EXPECT_EQ(flushed.os_error, EPIPE);
  EXPECT_EQ(flushed.lost.count, 3U);
  EXPECT_EQ(output->told(), (std::vector<WrittenOutput::Told>{{true, EPIPE, true, 3}}));
  relay.detach(output);
  err.write = {};
  EXPECT_EQ(err.rest(), "45");
}

/// Files may grow to so many bytes while it lives, and the signal for those that would grow further does what the
/// system has it do: end the process.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_DFL)) {
    EXPECT_EQ(::getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit small{bytes, before_.rlim_max};
    EXPECT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  sighandler_t handler_;
};

TEST(OutputRelayTest, TellsTheGuestOfAFileSizeLimitAndRaisesNoSignal) {
  OutputRelay relay;
  const base::Fd file(::open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_TRUE(file);
  const auto output = std::make_shared<WrittenOutput>("12345");
  FlushedOutput flushed;
  {
    const FileSizeLimit limit(2);
    static_cast<void>(relay.attach(output, {.out = file.get()}));
    flushed = relay.flush();
  }
  EXPECT_EQ(flushed.os_error, EFBIG);
  EXPECT_EQ(flushed.lost.count, 3U);
  EXPECT_EQ(output->told(), (std::vector<WrittenOutput::Told>{{true, EFBIG, false, 3}}));
  relay.detach(output);
}

TEST(OutputRelayTest, TellsTheGuestOfAFullDiskThatItMayTryAgain) {
  OutputRelay relay;
  const base::Fd full(::open("/dev/full", O_WRONLY | O_CLOEXEC));
  const auto output = std::make_shared<WrittenOutput>("123");
  ASSERT_TRUE(relay.attach(output, {.out = full.get()}));
  EXPECT_EQ(relay.flush().lost.count, 3U);
  output->add(false, "45");
  EXPECT_EQ(relay.flush().lost.count, 5U);
  EXPECT_EQ(output->told(), (std::vector<WrittenOutput::Told>{{true, ENOSPC, false, 3}, {true, ENOSPC, false, 2}}));
  relay.detach(output);
}

// One that floods, and a reader that keeps up with it: a flush waits for what was there, not until the flood is over.
TEST(OutputRelayTest, FlushWaitsForWhatWasWrittenBeforeTheCall) {
  OutputRelay relay;
  Pipe pipe;
  std::atomic<bool> over = false;
  std::jthread flood([&] {
    const auto output = std::make_shared<WrittenOutput>("");
    EXPECT_TRUE(relay.attach(output, {.out = pipe.write.get()}));
    while (!over) {
      output->add(false, "more and more");
      relay.nudge();
      std::this_thread::yield();
    }
    relay.detach(output);
  });
  char first = 0;
  ASSERT_EQ(::read(pipe.read.get(), &first, 1), 1) << "the flood has begun";
  std::jthread reader([&] { static_cast<void>(pipe.rest()); });
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(relay.flush(std::chrono::seconds{3}).complete);
  }
  over = true;
  flood.join();
  relay.flush();
  pipe.write = {};
}

/// A relay with more to write than the pipe holds, of which somebody has lost patience once.
struct StuckRelay {
  OutputRelay relay;
  Pipe pipe;
  const std::string much = std::string(1U << 20U, 'x');
  const std::shared_ptr<WrittenOutput> output = std::make_shared<WrittenOutput>(much);

  StuckRelay() {
    EXPECT_TRUE(relay.attach(output, {.out = pipe.write.get()}));
    EXPECT_FALSE(relay.flush(std::chrono::milliseconds{1}).complete);
  }
};

TEST(OutputRelayTest, FlushHasPatience) {
  StuckRelay stuck;
  std::jthread reader([&] { EXPECT_EQ(stuck.pipe.rest().size(), stuck.much.size()); });
  EXPECT_TRUE(stuck.relay.flush().complete);
  stuck.relay.detach(stuck.output);
  stuck.pipe.write = {};
}

// Somebody who flushes and loses patience must not take the nudge of a guest with him, which may be waiting for room.
TEST(OutputRelayTest, WhatCameBehindAStuckChunkFollowsItWithoutAnotherNudge) {
  StuckRelay stuck;
  auto& [relay, pipe, much, output] = stuck;
  output->add(false, "and more");
  relay.nudge();
  EXPECT_FALSE(relay.flush(std::chrono::milliseconds{1}).complete);
  std::vector<char> some(1U << 20U);
  for (std::size_t left = much.size() + std::string_view("and more").size(); left > 0;) {
    const auto n = ::read(pipe.read.get(), some.data(), std::min(left, some.size()));
    ASSERT_GT(n, 0);
    left -= static_cast<std::size_t>(n);
  }
  relay.detach(output);
}

// Whoever made the descriptor need not have made it one that blocks.
TEST(OutputRelayTest, WaitsForRoomInAPipeThatDoesNotBlock) {
  OutputRelay relay;
  Pipe pipe;
  ASSERT_EQ(::fcntl(pipe.write.get(), F_SETFL, O_NONBLOCK), 0);
  const std::string much(1U << 20U, 'x');
  const auto output = std::make_shared<WrittenOutput>(much);
  ASSERT_TRUE(relay.attach(output, {.out = pipe.write.get()}));
  std::jthread reader([&] { EXPECT_EQ(pipe.rest().size(), much.size()); });
  EXPECT_EQ(relay.flush().lost.count, 0U);
  relay.detach(output);
  pipe.write = {};
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
}  // namespace airssys::wasm::host
