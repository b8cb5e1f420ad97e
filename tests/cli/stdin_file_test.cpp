#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <csignal>

#include "support/command.hpp"
#include "support/wasi_command.hpp"

namespace airssys::wasm::test {
namespace {

class StdinFileTest : public CommandTest {
 protected:
  StdinFileTest() { write("cat.wat", kCat); }
  void make_fifo() { ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0); }
  [[nodiscard]] Json report() const { return Json::parse(std::ifstream(directory / "r.json")); }
};

// Nothing is opened where it could block: whoever has no writer waits under its own limits.
TEST_F(StdinFileTest, AFifoThatNobodyWritesToKeepsToTheTimeout) {
  make_fifo();
  const auto began = std::chrono::steady_clock::now();
  const auto late = run({"run", "cat.wat", "--stdin", "fifo", "--timeout", "500ms", "--report", "r.json"});
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_EQ(late.status, 124) << late.err;
  EXPECT_GE(took, 500ms);
  EXPECT_LT(took, 1500ms);
  EXPECT_EQ(report()["stop"]["phase"], "call");
  const auto stopped = run({"run", "cat.wat", "--stdin", "fifo"}, "", after(300ms, SIGINT));
  EXPECT_EQ(stopped.status, 130) << stopped.err;
}

TEST_F(StdinFileTest, AFifoIsReadFromItsFirstWriterToItsLast) {
  make_fifo();
  const auto ended = type(
      "airssys-wasm run cat.wat --stdin fifo & p=$!; sleep 0.2; exec 3>fifo; printf 'one ' >&3; sleep 0.1; "
      "printf two >&3; exec 3>&-; wait $p; echo \" $?\"");
  EXPECT_EQ(ended.out, "one two 0\n") << ended.err;
}

// Somebody else has a lease on the file: the kernel lets nobody open it until that is given back, 45 s at most.
TEST_F(StdinFileTest, AFileThatDoesNotOpenKeepsToTheTimeout) {
  write("leased", "bytes");
  const int leased = ::open((directory / "leased").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::fcntl(leased, F_SETLEASE, F_WRLCK), 0);
  // Breaking the lease sends us a signal, which would end us.
  const auto before = std::signal(SIGIO, SIG_IGN);
  const auto began = std::chrono::steady_clock::now();
  const auto late = run({"run", "cat.wat", "--stdin", "leased", "--timeout", "500ms"});
  EXPECT_EQ(late.status, 124) << late.err;
  EXPECT_LT(std::chrono::steady_clock::now() - began, 2s);
  ASSERT_EQ(::close(leased), 0);
  EXPECT_EQ(run({"run", "cat.wat", "--stdin", "leased"}).out, "bytes");
  std::signal(SIGIO, before);
}

}  // namespace
}  // namespace airssys::wasm::test
