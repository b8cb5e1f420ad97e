#include "support/wasi.hpp"

namespace airssys::wasm::test {
namespace {

class WasiFilesTest : public WasiTest {};

const std::string kU32 = R"((result u32) (canon lift (core func $i "run")))";
/// Opens the name at 64 in the first preopened directory (that of the result at 16); the answer is at 32.
std::string open_call(std::string_view name, int open_flags, int descriptor_flags) {
  return "(call $open (i32.load (i32.load (i32.const 16))) (i32.const 0) (i32.const 64) (i32.const " +
         std::to_string(name.size()) + ") (i32.const " + std::to_string(open_flags) + ") (i32.const " +
         std::to_string(descriptor_flags) + ") (i32.const 32))";
}

/// Opens `name` for reading (or, with `flags` 1, creating and writing) and answers the result's discriminant and, in
/// the second byte, the error code.
std::string opener(std::string_view name, int open_flags, int descriptor_flags) {
  return wasi_guest("(call $dirs (i32.const 16)) " + open_call(name, open_flags, descriptor_flags) +
                        "(i32.or (i32.load8_u (i32.const 32)) (i32.shl (i32.load8_u (i32.const 36)) (i32.const 8)))",
                    kU32, "i32", name);
}

constexpr std::uint32_t kFailed = 1, kNotPermitted = 31, kReadOnly = 33, kNoEntry = 20;
std::uint32_t code_of(const Report& report) {
  const auto* answer = report && report.value() ? report.value()->get<std::uint32_t>() : nullptr;
  if (answer == nullptr) {
    ADD_FAILURE() << report.error() << report.error().guest_text;
    return 999;
  }
  return (*answer & 0xffU) == kFailed ? *answer >> 8U : 0;
}

/// `file` is opened `times` times, with `after` the descriptor that is in local `d`.
std::string opens(int times, std::string_view after) {
  return wasi_guest("(call $dirs (i32.const 16)) (local.set $n (i32.const " + std::to_string(times) + ")) (loop $l " +
                        open_call("file", 0, 1) + "(local.set $d (i32.load (i32.const 36)))" + std::string(after) +
                        "(br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1))))) "
                        "(i32.or (i32.load8_u (i32.const 32)) (i32.shl (i32.load8_u (i32.const 36)) (i32.const 8)))",
                    kU32, "i32", "file");
}

/// Whoever opens the file waits until the lease is gone, as in a dead network mount.
class Lease {
 public:
  explicit Lease(const std::filesystem::path& path) : file_(::open(path.c_str(), O_RDWR | O_CLOEXEC)) {
    EXPECT_EQ(::fcntl(file_, F_SETLEASE, F_WRLCK), 0) << std::strerror(errno);
  }
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    ::close(file_);
    ::signal(SIGIO, before_);
  }

 private:
  /// Sent to the holder when somebody waits.
  sighandler_t before_ = ::signal(SIGIO, SIG_IGN);
  int file_;
};

/// Lists the first preopened directory `times` times, with `after` the listing that is in local `s`.
std::string lister(int times, std::string_view after) {
  return R"((component
 (import "wasi:filesystem/types@0.2.0" (instance $types
   (export "descriptor" (type $d (sub resource))) (export "directory-entry-stream" (type $s (sub resource)))
   (type $ec' (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist" "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop" "too-many-links" "message-size" "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory" "insufficient-space" "not-directory" "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device" "overflow" "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy" "cross-device"))
   (export "error-code" (type $ec (eq $ec')))
   (export "[method]descriptor.read-directory" (func (param "self" (borrow $d)) (result (result (own $s) (error $ec)))))))
 (alias export $types "descriptor" (type $descriptor)) (alias export $types "directory-entry-stream" (type $stream))
 (import "wasi:filesystem/preopens@0.2.0" (instance $preopens (alias outer 1 $descriptor (type $od)) (export "descriptor" (type $d (eq $od)))
   (export "get-directories" (func (result (list (tuple (own $d) string)))))))
 (core module $memory (memory (export "mem") 1) (global $top (mut i32) (i32.const 1024))
   (func (export "realloc") (param i32 i32 i32 i32) (result i32) (global.get $top) (global.set $top (i32.add (global.get $top) (i32.const 64)))))
 (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem)) (alias core export $mi "realloc" (core func $realloc))
 (core func $dirs (canon lower (func $preopens "get-directories") (memory $mem) (realloc (func $realloc))))
 (core func $drop (canon resource.drop $stream)) (core func $list (canon lower (func $types "[method]descriptor.read-directory") (memory $mem) (realloc (func $realloc))))
 (core module $m (import "w" "mem" (memory 1)) (import "w" "dirs" (func $dirs (param i32))) (import "w" "list" (func $list (param i32 i32))) (import "w" "drop" (func $drop (param i32)))
   (func (export "run") (result i32) (local $n i32) (local $s i32) (call $dirs (i32.const 16)) (local.set $n (i32.const )" +
         std::to_string(times) + R"())
     (loop $l (call $list (i32.load (i32.load (i32.const 16))) (i32.const 32)) (local.set $s (i32.load (i32.const 36))) )" +
         std::string(after) + R"(
       (br_if $l (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
     (i32.load8_u (i32.const 32))))
 (core instance $i (instantiate $m (with "w" (instance (export "mem" (memory $mem)) (export "dirs" (func $dirs)) (export "list" (func $list)) (export "drop" (func $drop))))))
 (func (export "run") (result u32) (canon lift (core func $i "run")))))";
}

TEST_F(WasiFilesTest, WantOfDescriptorsIsTheHostsAndNotTheDirectorys) {
  if (!NoMoreDescriptors::kBearable) {
    GTEST_SKIP() << "the undefined-behaviour sanitizer needs descriptors of its own to look at memory";
  }
  const auto component = load(wasi_guest("(i32.const 1)"));
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", false}};
  const NoMoreDescriptors none;
  EXPECT_THAT(engine.run(component, "run", {}, context), Stops("host_exhausted"));
}

TEST_F(WasiFilesTest, DirectoriesAreReadOnlyUnlessGrantedOtherwise) {
  std::ofstream(directory / "file") << "x";
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", false}};
  EXPECT_EQ(code_of(run(opener("file", 0, 1), context)), 0U);
  EXPECT_EQ(code_of(run(opener("missing", 0, 1), context)), kNoEntry);
  const auto refused = code_of(run(opener("new", 1, 2), context));
  EXPECT_TRUE(refused == kNotPermitted || refused == kReadOnly) << refused;
  EXPECT_FALSE(std::filesystem::exists(directory / "new"));
  context.wasi.directories[0].writable = true;
  EXPECT_EQ(code_of(run(opener("new", 1, 2), context)), 0U);
  EXPECT_TRUE(std::filesystem::exists(directory / "new"));
}

/// What is written without having asked for room is kept in the host until a thread gets round to it.
TEST_F(WasiFilesTest, AWriteNeedsAPermit) {
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", true}};
  const auto write = [](std::string_view before, int bytes) {
    return wasi_guest("(call $dirs (i32.const 16)) " + open_call("new", 1, 2) +
                          "(call $file-stream (i32.load (i32.const 36)) (i64.const 0) (i32.const 32))"
                          "(local.set $s (i32.load (i32.const 36)))" +
                          std::string(before) + "(call $write-now (local.get $s) (i32.const 0) (i32.const " +
                          std::to_string(bytes) + ") (i32.const 16)) (i32.load8_u (i32.const 16))",
                      kU32, "i32", "new");
  };
  // 64 KiB is what a stream of a file allows at a time.
  const auto allowed = run(write("(call $permit (local.get $s) (i32.const 48))", 65'536), context);
  ASSERT_TRUE(allowed) << allowed.error() << allowed.error().guest_text;
  EXPECT_EQ(allowed.value(), Value(std::uint32_t{0}));
  const auto refused = run(write("", 65'537), context);
  EXPECT_EQ(kind_of<Trapped>(refused).code, TrapCode::Host);
  EXPECT_THAT(refused.error().guest_text, testing::HasSubstr("without a permit"));
  context.wasi.directories.clear();
  const auto to_stdout = run(wasi_guest("(local.set $s (call $stdout)) (call $permit (local.get $s) (i32.const 16)) "
                                        "(call $write-now (local.get $s) (i32.const 64) (i32.const 6) (i32.const 16)) "
                                        "(i32.load8_u (i32.const 16))"),
                             context);
  ASSERT_TRUE(to_stdout) << to_stdout.error();
  EXPECT_EQ(to_stdout.stdout_text, "hello\n");
}

TEST_F(WasiFilesTest, NothingOutsideTheDirectoryCanBeOpened) {
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", true}};
  std::filesystem::create_symlink("/etc/passwd", directory / "link");
  for (const auto* name : {"../x", "/etc/passwd", "link"}) {
    EXPECT_NE(code_of(run(opener(name, 0, 1), context)), 0U) << name;
  }
}

// Each is a descriptor of this process, which one guest must not use up.
TEST_F(WasiFilesTest, OpenFilesAreBounded) {
  std::ofstream(directory / "file") << "x";
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", false}};
  context.limits.max_open_files = 4;
  EXPECT_EQ(code_of(run(opens(4, ""), context)), 0U) << "as many as allowed";
  EXPECT_EQ(code_of(run(opens(20, "(call $close (local.get $d))"), context)), 0U) << "what is dropped is not open";
  const auto report = run(opens(5, ""), context);
  const auto kind = kind_of<ResourceLimitExceeded>(report);
  EXPECT_EQ(kind.resource, "open_files");
  EXPECT_EQ(kind.limit, 4U);
  EXPECT_EQ(kind.attempted, 5U);
  EXPECT_EQ(report.error().phase, Phase::Call);
}

// Opening a FIFO would block a thread until somebody opens the other end.
TEST_F(WasiFilesTest, FifosAreRefused) {
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", true}};
  EXPECT_EQ(code_of(run(opener("fifo", 0, 1), context)), kNotPermitted);
}

TEST_F(WasiFilesTest, DevicesAreRefused) {
  auto context = small();
  context.wasi.directories = {{"/dev", "/data", true}};
  for (const auto* device : {"null", "zero", "random"}) {
    EXPECT_EQ(code_of(run(opener(device, 0, 1), context)), kNotPermitted) << device;
  }
}

TEST_F(WasiFilesTest, ADeadMountKeepsNobodyWaitingButThoseWhoWereGrantedIt) {
  auto settings = config();
  settings.file_threads = 1;
  auto host = WasmEngine::create(settings).value();
  const auto open_file = host.load_text(opener("file", 0, 1)).value();
  const auto granted = [&](const char* name) {
    auto context = with_deadline(200ms);
    context.wasi.directories = {{(directory / name).string(), "/data", false}};
    return context;
  };
  for (const auto* name : {"dead", "fine"}) {
    std::filesystem::create_directory(directory / name);
    std::ofstream(directory / name / "file") << "x";
  }
  const Lease lease(directory / "dead" / "file");
  std::array<std::uint64_t, 2> taken{};
  for (auto& descriptors : taken) {
    EXPECT_THAT(host.run(open_file, "run", {}, granted("dead")), Stops("timeout"));
    EXPECT_EQ(code_of(host.run(open_file, "run", {}, granted("fine"))), 0U);
    descriptors = host.statistics().engine.file_descriptors.used;
  }
  EXPECT_EQ(taken[0], taken[1]) << "an open that was not waited for is given back to the ledger";
}

// The kernel gives its thread back when the file opens; until then the end has waited long enough.
TEST_F(WasiFilesTest, TheEndOfAnEngineWaits200MillisecondsForABlockedFileCall) {
  std::optional<WasmEngine> ending = WasmEngine::create(config()).value();
  std::optional<ComponentHandle> guest = ending->load_text(opener("file", 0, 1)).value();
  std::ofstream(directory / "file") << "x";
  const Lease lease(directory / "file");
  auto context = with_deadline(50ms);
  context.wasi.directories = {{directory.string(), "/data", false}};
  EXPECT_THAT(ending->run(*guest, "run", {}, context), Stops("timeout"));
  guest.reset();
  const auto began = std::chrono::steady_clock::now();
  ending.reset();
  const auto took = std::chrono::steady_clock::now() - began;
  EXPECT_GE(took, 190ms);
  EXPECT_LT(took, 2s);
}

// docs/embedding.md says how many.
TEST_F(WasiFilesTest, TheFirst64SetsOfDirectoriesHaveThreadsOfTheirOwnAndFurtherOnesShare) {
  auto settings = config();
  settings.file_threads = 1;
  settings.max_concurrent = 4;
  settings.max_instances = 70;
  auto host = WasmEngine::create(settings).value();
  const auto open_file = host.load_text(opener("file", 0, 1)).value();
  ASSERT_FALSE(host.flush_cache()) << "its thread is counted as well";
  const auto threads = [&] { return host.statistics().engine.threads.used; };
  std::vector<Instance> kept;
  std::vector<std::uint64_t> used;
  for (int i = 0; i < 67; ++i) {
    const auto own = directory / std::to_string(i);
    std::filesystem::create_directory(own);
    std::ofstream(own / "file") << "x";
    auto context = with_deadline(1000ms);
    context.wasi.directories = {{own.string(), "/data", false}};
    kept.push_back(host.instantiate(open_file, context).value());
    EXPECT_EQ(code_of(kept.back().run("run", {}, {context.limits, context.timeout})), 0U) << i;
    used.push_back(threads());
  }
  EXPECT_EQ(std::ranges::adjacent_find(used) - used.begin(), 63) << "the 65th shares, and no one before it";
  EXPECT_EQ(used[63], used[66]);
}

// WASI holds all entries of a listed directory in the host's memory until the listing is dropped.
TEST_F(WasiFilesTest, EntriesOfListedDirectoriesAreBounded) {
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", false}};
  context.limits.max_directory_entries = 4;
  for (const auto* name : {"a", "b", "c", "d"}) {
    std::ofstream(directory / name) << "x";
  }
  const auto listed = run(lister(1, ""), context);
  ASSERT_TRUE(listed) << listed.error();
  EXPECT_EQ(listed.value(), Value(std::uint32_t{0})) << "as many as allowed";
  EXPECT_TRUE(run(lister(20, "(call $drop (local.get $s))"), context)) << "what is dropped is not held";
  const auto kind = kind_of<ResourceLimitExceeded>(run(lister(2, ""), context));
  EXPECT_EQ(kind.resource, "directory_entries");
  EXPECT_EQ(kind.limit, 4U);
  std::ofstream(directory / "e") << "x";
  EXPECT_EQ(kind_of<ResourceLimitExceeded>(run(lister(1, ""), context)).resource, "directory_entries");
}

TEST_F(WasiFilesTest, AGrantThatCannotBeMadeIsSaid) {
  auto context = small();
  context.wasi.directories = {{(directory / "missing").string(), "/data", false}};
  const auto report = run(opener("x", 0, 1), context);
  ASSERT_FALSE(report);
  EXPECT_EQ(report.outcome(), Outcome::Refused);
}

}  // namespace
}  // namespace airssys::wasm::test
