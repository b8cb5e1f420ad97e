#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "support/host.hpp"
#include "support/scratch.hpp"

namespace airssys::wasm::test {
namespace {

using ::testing::ElementsAre;
using ::testing::FieldsAre;

/// A component with one memory, whose `run` has the core body `body` and answers a u32; `imports` are component level,
/// `functions` the lowered core functions, as `(export "name" (func $name))`, `wants` how the core module imports them.
std::string guest(const std::string& imports, const std::string& functions, const std::string& wants,
                  const std::string& body) {
  return "(component " + imports + R"(
 (core module $m (import "w" "mem" (memory 1)) )" +
         wants +
         R"( (data (i32.const 64) "secret") (data (i32.const 80) "example.org") (data (i32.const 96) "/x") (func (export "run") (result i32) )" +
         body +
         R"())
 (core instance $i (instantiate $m (with "w" (instance (export "mem" (memory $mem)) )" +
         functions + R"())))
 (func (export "run") (result u32) (canon lift (core func $i "run")))))";
}
const std::string kMemory = R"(
 (core module $memory (memory (export "mem") 1) (global $top (mut i32) (i32.const 4096))
   (func (export "realloc") (param i32 i32 i32 i32) (result i32) (global.set $top (i32.and (i32.add (global.get $top) (i32.const 7)) (i32.const -8)))
     (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3)))))
 (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem)) (alias core export $mi "realloc" (core func $realloc)))";

/// A call of one method of a directory: `parameters` after self as WIT types in WAT, `core` the flat core parameters
/// after self, `arguments` their values. `$dir` is the preopened directory, `answer` what comes with success.
std::string on_directory(const std::string& method, const std::string& parameters, const std::string& core,
                         const std::string& arguments, const std::string& answer = "") {
  const auto imports = R"(
 (import "wasi:clocks/wall-clock@0.2.0" (instance $wall
   (type $dt' (record (field "seconds" u64) (field "nanoseconds" u32))) (export "datetime" (type $dt (eq $dt')))))
 (alias export $wall "datetime" (type $datetime))
 (import "wasi:filesystem/types@0.2.0" (instance $types
   (export "descriptor" (type $d (sub resource)))
   (type $pf' (flags "symlink-follow")) (export "path-flags" (type $pf (eq $pf')))
   (type $ec' (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist" "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop" "too-many-links" "message-size" "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory" "insufficient-space" "not-directory" "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device" "overflow" "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy" "cross-device"))
   (export "error-code" (type $ec (eq $ec')))
   (alias outer 1 $datetime (type $odt)) (export "datetime" (type $dt (eq $odt)))
   (type $ty' (enum "unknown" "block-device" "character-device" "directory" "fifo" "symbolic-link" "regular-file" "socket"))
   (export "descriptor-type" (type $ty (eq $ty')))
   (type $st' (record (field "type" $ty) (field "link-count" u64) (field "size" u64) (field "data-access-timestamp" (option $dt))
     (field "data-modification-timestamp" (option $dt)) (field "status-change-timestamp" (option $dt))))
   (export "descriptor-stat" (type $st (eq $st')))
   (type $mh' (record (field "lower" u64) (field "upper" u64))) (export "metadata-hash-value" (type $mh (eq $mh')))
   (export "[method]descriptor.)" +
                       method + R"(" (func (param "self" (borrow $d)) )" + parameters + R"( (result (result )" +
                       answer + R"( (error $ec)))))))
 (alias export $types "descriptor" (type $descriptor))
 (import "wasi:filesystem/preopens@0.2.0" (instance $preopens (alias outer 1 $descriptor (type $od)) (export "descriptor" (type $d (eq $od)))
   (export "get-directories" (func (result (list (tuple (own $d) string))))))))" +
                       kMemory + R"(
 (core func $dirs (canon lower (func $preopens "get-directories") (memory $mem) (realloc (func $realloc))))
 (core func $do (canon lower (func $types "[method]descriptor.)" +
                       method + R"(") (memory $mem) (realloc (func $realloc)))))";
  return guest(
      imports, R"((export "dirs" (func $dirs)) (export "do" (func $do)))",
      R"((import "w" "dirs" (func $dirs (param i32))) (import "w" "do" (func $do (param i32 )" + core + R"( i32))))",
      R"((local $dir i32) (call $dirs (i32.const 16)) (local.set $dir (i32.load (i32.load (i32.const 16))))
     (call $do (local.get $dir) )" +
          arguments + R"( (i32.const 32))
     (i32.or (i32.load8_u (i32.const 32)) (i32.shl (i32.load8_u (i32.const 33)) (i32.const 8))))");
}

/// `asks` answers 1 and the error's number above it.
constexpr std::uint32_t kError = 1;

class DenialTest : public HostTest {
 protected:
  void SetUp() override { std::ofstream(directory / "secret") << "x"; }
  const Scratch scratch;
  const std::filesystem::path& directory = scratch.path();
};

const std::string kPath = "(i32.const 64) (i32.const 6)";

TEST_F(DenialTest, EveryChangeOfAReadOnlyDirectoryIsRefusedAndCountedByItsPath) {
  struct Change {
    const char* method;
    const char* parameters;
    const char* core;
    std::string arguments;
  };
  const std::vector<Change> changes = {
      {"create-directory-at", R"((param "path" string))", "i32 i32", "(i32.const 64) (i32.const 3)"},
      {"remove-directory-at", R"((param "path" string))", "i32 i32", kPath},
      {"unlink-file-at", R"((param "path" string))", "i32 i32", kPath},
      {"symlink-at", R"((param "old-path" string) (param "new-path" string))", "i32 i32 i32 i32",
       kPath + " (i32.const 64) (i32.const 3)"},
      {"rename-at", R"((param "old-path" string) (param "new-descriptor" (borrow $d)) (param "new-path" string))",
       "i32 i32 i32 i32 i32", kPath + " (local.get $dir) (i32.const 64) (i32.const 3)"},
      {"link-at",
       R"((param "old-path-flags" $pf) (param "old-path" string) (param "new-descriptor" (borrow $d)) (param "new-path" string))",
       "i32 i32 i32 i32 i32 i32", "(i32.const 0) " + kPath + " (local.get $dir) (i32.const 64) (i32.const 3)"},
  };
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", false}};
  for (const auto& change : changes) {
    SCOPED_TRACE(change.method);
    const auto report = run(on_directory(change.method, change.parameters, change.core, change.arguments), context);
    ASSERT_TRUE(report) << report.error() << report.error().guest_text;
    EXPECT_EQ(*report.value()->get<std::uint32_t>() & 0xffU, kError);
    const auto path = std::string_view(change.parameters).find("new-path") != std::string_view::npos ||
                              change.method == std::string_view("create-directory-at")
                          ? "sec"
                          : "secret";
    EXPECT_THAT(report.denials, ElementsAre(FieldsAre(Capability::Filesystem, path, 1U)));
    EXPECT_EQ(report.usage().host_calls.at("wasi"), 2U) << "get-directories and this one";
  }
  EXPECT_TRUE(std::filesystem::exists(directory / "secret"));
  context.limits.on_denied = OnDenied::Stop;
  const auto stopped = run(on_directory("unlink-file-at", R"((param "path" string))", "i32 i32", kPath), context);
  ASSERT_THAT(stopped, Stops("capability_denied"));
  EXPECT_EQ(kind_of<CapabilityDenied>(stopped).capability, Capability::Filesystem);
  EXPECT_EQ(stopped.denials.size(), 1U);
  context.wasi.directories[0].writable = true;
  const auto allowed = run(on_directory("unlink-file-at", R"((param "path" string))", "i32 i32", kPath), context);
  ASSERT_TRUE(allowed) << allowed.error();
  EXPECT_TRUE(allowed.denials.empty());
  EXPECT_FALSE(std::filesystem::exists(directory / "secret"));
}

// Opening it waits until somebody opens the other end: a thread of the directory's would be gone with each run.
TEST_F(DenialTest, TimesOfAFifoAreNotSetAndNoThreadWaitsForIt) {
  ASSERT_EQ(::mkfifo((directory / "fifo").c_str(), 0600), 0);
  const auto set_times = [](const char* name) {
    auto wat =
        on_directory("set-times-at",
                     R"((param "path-flags" $pf) (param "path" string) (param "accessed" $nt) (param "modified" $nt))",
                     "i32 i32 i32 i32 i64 i32 i32 i64 i32",
                     "(i32.const 1) (i32.const 128) (i32.const " + std::to_string(std::strlen(name)) +
                         ") (i32.const 1) (i64.const 0) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 0)");
    const std::string types = "(export \"descriptor-type\"";
    wat.insert(
        wat.find(types),
        R"((type $nt' (variant (case "no-change") (case "now") (case "timestamp" $dt))) (export "new-timestamp" (type $nt (eq $nt'))) )");
    const std::string data = "(data (i32.const 64)";
    return wat.insert(wat.find(data), std::string("(data (i32.const 128) \"") + name + "\") ");
  };
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", true}};
  // More often than the directory has threads.
  for (int i = 0; i < 20; ++i) {
    const auto report = run(set_times("fifo"), context);
    ASSERT_TRUE(report) << report.error() << report.error().guest_text;
    EXPECT_EQ(*report.value()->get<std::uint32_t>() & 0xffU, kError);
    EXPECT_THAT(report.denials, ElementsAre(FieldsAre(Capability::Filesystem, "fifo", 1U)));
  }
  const auto neighbour = run(set_times("secret"), context);
  ASSERT_TRUE(neighbour) << neighbour.error() << neighbour.error().guest_text;
  EXPECT_EQ(*neighbour.value()->get<std::uint32_t>() & 0xffU, 0U);
}

TEST_F(DenialTest, AskingAboutWhatIsOutsideIsCountedToo) {
  const std::string absolute = "(i32.const 96) (i32.const 2)";
  auto context = small();
  context.wasi.directories = {{directory.string(), "/data", false}};
  for (const auto& asks : {on_directory("readlink-at", R"((param "path" string))", "i32 i32", absolute, "string"),
                           on_directory("stat-at", R"((param "path-flags" $pf) (param "path" string))", "i32 i32 i32",
                                        "(i32.const 0) " + absolute, "$st"),
                           on_directory("metadata-hash-at", R"((param "path-flags" $pf) (param "path" string))",
                                        "i32 i32 i32", "(i32.const 0) " + absolute, "$mh")}) {
    context.limits.on_denied = OnDenied::Answer;
    const auto report = run(asks, context);
    ASSERT_TRUE(report) << report.error() << report.error().guest_text;
    EXPECT_EQ(*report.value()->get<std::uint32_t>() & 0xffU, kError);
    EXPECT_THAT(report.denials, ElementsAre(FieldsAre(Capability::Filesystem, "/x", 1U)));
    context.limits.on_denied = OnDenied::Stop;
    EXPECT_THAT(run(asks, context), Stops("capability_denied"));
  }
}

const std::string kNetwork = R"(
 (import "wasi:sockets/network@0.2.0" (instance $network
   (export "network" (type $n (sub resource)))
   (type $ec' (enum "unknown" "access-denied" "not-supported" "invalid-argument" "out-of-memory" "timeout" "concurrency-conflict" "not-in-progress" "would-block" "invalid-state" "new-socket-limit" "address-not-bindable" "address-in-use" "remote-unreachable" "connection-refused" "connection-reset" "connection-aborted" "datagram-too-large" "name-unresolvable" "temporary-resolver-failure" "permanent-resolver-failure"))
   (export "error-code" (type $ec (eq $ec')))
   (type $f' (enum "ipv4" "ipv6")) (export "ip-address-family" (type $f (eq $f')))))
 (alias export $network "network" (type $net)) (alias export $network "error-code" (type $error)) (alias export $network "ip-address-family" (type $family)))";

std::string socket(const std::string& kind) {
  const auto imports = kNetwork + R"(
 (import "wasi:sockets/)" +
                       kind + R"(@0.2.0" (instance $sockets (export ")" + kind + R"(-socket" (type $s (sub resource)))))
 (alias export $sockets ")" +
                       kind + R"(-socket" (type $socket))
 (import "wasi:sockets/)" +
                       kind + R"(-create-socket@0.2.0" (instance $create
   (alias outer 1 $socket (type $os)) (export ")" +
                       kind + R"(-socket" (type $s (eq $os)))
   (alias outer 1 $error (type $oe)) (export "error-code" (type $ec (eq $oe)))
   (alias outer 1 $family (type $of)) (export "ip-address-family" (type $f (eq $of)))
   (export "create-)" + kind +
                       R"(-socket" (func (param "address-family" $f) (result (result (own $s) (error $ec))))))))" +
                       kMemory + R"(
 (core func $do (canon lower (func $create "create-)" +
                       kind + R"(-socket") (memory $mem))))";
  return guest(imports, R"((export "do" (func $do)))", R"((import "w" "do" (func $do (param i32 i32))))",
               R"((call $do (i32.const 0) (i32.const 32)) (call $do (i32.const 1) (i32.const 32))
    (i32.or (i32.load8_u (i32.const 32)) (i32.shl (i32.load8_u (i32.const 36)) (i32.const 8))))");
}

TEST_F(DenialTest, SocketsAnswerAccessDeniedAndAreCounted) {
  constexpr std::uint32_t kAccessDenied = 1;
  using Socket = std::pair<std::string, Capability>;
  for (const auto& [kind, capability] : {Socket{"tcp", Capability::NetworkTcp}, {"udp", Capability::NetworkUdp}}) {
    const auto report = run(socket(kind), small());
    ASSERT_TRUE(report) << report.error() << report.error().guest_text;
    EXPECT_EQ(*report.value()->get<std::uint32_t>(), kError | kAccessDenied << 8U);
    EXPECT_THAT(report.denials, ElementsAre(FieldsAre(capability, "", 2U)));
    EXPECT_EQ(report.usage().host_calls.at("wasi"), 2U);
    auto context = small();
    context.limits.on_denied = OnDenied::Stop;
    const auto stopped = run(socket(kind), context);
    ASSERT_THAT(stopped, Stops("capability_denied"));
    EXPECT_EQ(kind_of<CapabilityDenied>(stopped).capability, capability);
    EXPECT_EQ(stopped.usage().host_calls.at("wasi"), 1U) << "it ended at the first";
  }
}

TEST_F(DenialTest, NamesAreNotLookedUp) {
  const auto imports = kNetwork + R"(
 (import "wasi:sockets/instance-network@0.2.0" (instance $instance
   (alias outer 1 $net (type $on)) (export "network" (type $n (eq $on)))
   (export "instance-network" (func (result (own $n))))))
 (import "wasi:sockets/ip-name-lookup@0.2.0" (instance $lookup
   (alias outer 1 $net (type $on)) (export "network" (type $n (eq $on)))
   (alias outer 1 $error (type $oe)) (export "error-code" (type $ec (eq $oe)))
   (export "resolve-address-stream" (type $s (sub resource)))
   (export "resolve-addresses" (func (param "network" (borrow $n)) (param "name" string) (result (result (own $s) (error $ec))))))))" +
                       kMemory + R"(
 (core func $net (canon lower (func $instance "instance-network")))
 (core func $do (canon lower (func $lookup "resolve-addresses") (memory $mem) (realloc (func $realloc)))))";
  const auto report =
      run(guest(imports, R"((export "net" (func $net)) (export "do" (func $do)))",
                R"((import "w" "net" (func $net (result i32))) (import "w" "do" (func $do (param i32 i32 i32 i32))))",
                R"((call $do (call $net) (i32.const 80) (i32.const 11) (i32.const 32)) (i32.load8_u (i32.const 32)))"),
          small());
  ASSERT_TRUE(report) << report.error() << report.error().guest_text;
  EXPECT_EQ(report.value(), Value(kError));
  EXPECT_THAT(report.denials, ElementsAre(FieldsAre(Capability::NetworkNameLookup, "example.org", 1U)));
}

constexpr std::string_view kSend =
    R"((drop (call $authority (local.get $r) (i32.const 1) (i32.const 80) (i32.const 11)))
    (drop (call $path (local.get $r) (i32.const 1) (i32.const 96) (i32.const 2)))
    (call $handle (local.get $r) (i32.const 0) (i32.const 0) (i32.const 128)) (i32.load8_u (i32.const 128)))";

/// `wasi:http` as far as sending `GET example.org/` goes; `$r` is the request, `$f` further fields.
std::string request(std::string_view body = kSend) {
  const auto used = R"(
 (import "wasi:http/types@0.2.0" (instance $types
   (export "fields" (type $fields (sub resource))) (export "outgoing-request" (type $request (sub resource)))
   (export "request-options" (type $options (sub resource))) (export "future-incoming-response" (type $response (sub resource)))
   (type $dns' (record (field "rcode" (option string)) (field "info-code" (option u16)))) (export "DNS-error-payload" (type $dns (eq $dns')))
   (type $tls' (record (field "alert-id" (option u8)) (field "alert-message" (option string)))) (export "TLS-alert-received-payload" (type $tls (eq $tls')))
   (type $size' (record (field "field-name" (option string)) (field "field-size" (option u32)))) (export "field-size-payload" (type $size (eq $size')))
   (type $ec' (variant (case "DNS-timeout") (case "DNS-error" $dns) (case "destination-not-found") (case "destination-unavailable") (case "destination-IP-prohibited") (case "destination-IP-unroutable")
     (case "connection-refused") (case "connection-terminated") (case "connection-timeout") (case "connection-read-timeout") (case "connection-write-timeout") (case "connection-limit-reached")
     (case "TLS-protocol-error") (case "TLS-certificate-error") (case "TLS-alert-received" $tls) (case "HTTP-request-denied") (case "HTTP-request-length-required") (case "HTTP-request-body-size" (option u64))
     (case "HTTP-request-method-invalid") (case "HTTP-request-URI-invalid") (case "HTTP-request-URI-too-long") (case "HTTP-request-header-section-size" (option u32)) (case "HTTP-request-header-size" (option $size))
     (case "HTTP-request-trailer-section-size" (option u32)) (case "HTTP-request-trailer-size" $size) (case "HTTP-response-incomplete") (case "HTTP-response-header-section-size" (option u32))
     (case "HTTP-response-header-size" $size) (case "HTTP-response-body-size" (option u64)) (case "HTTP-response-trailer-section-size" (option u32)) (case "HTTP-response-trailer-size" $size)
     (case "HTTP-response-transfer-coding" (option string)) (case "HTTP-response-content-coding" (option string)) (case "HTTP-response-timeout") (case "HTTP-upgrade-failed") (case "HTTP-protocol-error")
     (case "loop-detected") (case "configuration-error") (case "internal-error" (option string)))) (export "error-code" (type $ec (eq $ec')))
   (type $he' (variant (case "invalid-syntax") (case "forbidden") (case "immutable"))) (export "header-error" (type $he (eq $he')))
   (export "[constructor]fields" (func (result (own $fields))))
   (export "[method]fields.append" (func (param "self" (borrow $fields)) (param "name" string) (param "value" (list u8)) (result (result (error $he)))))
   (export "[constructor]outgoing-request" (func (param "headers" (own $fields)) (result (own $request))))
   (export "[method]outgoing-request.set-path-with-query" (func (param "self" (borrow $request)) (param "path-with-query" (option string)) (result (result))))
   (export "[method]outgoing-request.set-authority" (func (param "self" (borrow $request)) (param "authority" (option string)) (result (result)))))"
                    R"())
 (alias export $types "outgoing-request" (type $req)) (alias export $types "request-options" (type $opt))
 (alias export $types "future-incoming-response" (type $resp)) (alias export $types "error-code" (type $err))
 (import "wasi:http/outgoing-handler@0.2.0" (instance $handler
   (alias outer 1 $req (type $oreq)) (export "outgoing-request" (type $r (eq $oreq)))
   (alias outer 1 $opt (type $oopt)) (export "request-options" (type $o (eq $oopt)))
   (alias outer 1 $resp (type $oresp)) (export "future-incoming-response" (type $f (eq $oresp)))
   (alias outer 1 $err (type $oerr)) (export "error-code" (type $e (eq $oerr)))
   (export "handle" (func (param "request" (own $r)) (param "options" (option (own $o))) (result (result (own $f) (error $e))))))))" +
                    std::string(kMemory) + R"(
 (core func $fields (canon lower (func $types "[constructor]fields")))
 (core func $append (canon lower (func $types "[method]fields.append") (memory $mem)))
 (core func $request (canon lower (func $types "[constructor]outgoing-request")))
 (core func $authority (canon lower (func $types "[method]outgoing-request.set-authority") (memory $mem)))
 (core func $path (canon lower (func $types "[method]outgoing-request.set-path-with-query") (memory $mem)))
 (core func $handle (canon lower (func $handler "handle") (memory $mem) (realloc (func $realloc)))))";
  return guest(
      used,
      R"((export "fields" (func $fields)) (export "append" (func $append)) (export "request" (func $request)) (export "authority" (func $authority)) (export "handle" (func $handle)) (export "path" (func $path)))",
      R"((import "w" "fields" (func $fields (result i32))) (import "w" "append" (func $append (param i32 i32 i32 i32 i32 i32))) (import "w" "request" (func $request (param i32) (result i32)))
   (import "w" "authority" (func $authority (param i32 i32 i32 i32) (result i32))) (import "w" "path" (func $path (param i32 i32 i32 i32) (result i32))) (import "w" "handle" (func $handle (param i32 i32 i32 i32))))",
      "(local $r i32) (local $f i32) (local.set $r (call $request (call $fields))) (local.set $f (call $fields))" +
          std::string(body));
}

TEST_F(DenialTest, HttpIsLinkedAndItsRequestsAreDenied) {
  const auto report = run(request(), small());
  ASSERT_TRUE(report) << report.error() << report.error().guest_text;
  EXPECT_THAT(report.denials, ElementsAre(FieldsAre(Capability::HttpOutbound, "GET https://example.org/x", 1U)));
  auto context = small();
  context.limits.on_denied = OnDenied::Stop;
  EXPECT_EQ(kind_of<CapabilityDenied>(run(request(), context)).capability, Capability::HttpOutbound);
}

// A request keeps what it is given in the host's memory, and a guest can have many.
TEST_F(DenialTest, TextsOfARequestAreBounded) {
  const auto with = [](std::string_view text, int bytes) {
    const auto n = std::to_string(bytes);
    const auto* first = text == "path" ? "47" : "97";
    return request("(memory.fill (i32.const 4096) (i32.const 97) (i32.const " + n +
                   ")) (i32.store8 (i32.const 4096) (i32.const " + first + ")) (call $" + std::string(text) +
                   " (local.get $r) (i32.const 1) (i32.const 4096) (i32.const " + n + "))");
  };
  auto context = small();
  context.limits.max_fuel = 100'000_fuel;
  for (const auto* text : {"authority", "path"}) {
    for (const auto& [bytes, refused] : {std::pair{8'192, 0U}, std::pair{8'193, 1U}}) {
      const auto report = run(with(text, bytes), context);
      ASSERT_TRUE(report) << report.error() << report.error().guest_text;
      EXPECT_EQ(report.value(), Value(std::uint32_t{refused})) << text << ' ' << bytes;
    }
  }
}

// So does a set of fields. What the library counts of each is more than its bytes.
TEST_F(DenialTest, FieldsOfARequestAreBounded) {
  const auto with_fields = [](int times) {
    return request(
        "(memory.fill (i32.const 4096) (i32.const 97) (i32.const 1024)) (local.set $r (i32.const " +
        std::to_string(times) +
        ")) (loop $l (call $append (local.get $f) (i32.const 80) (i32.const 7) (i32.const 4096) "
        "(i32.const 1024) (i32.const 128)) (br_if $l (local.tee $r (i32.sub (local.get $r) (i32.const 1))))) "
        "(i32.load8_u (i32.const 128))");
  };
  auto context = small();
  context.limits.max_fuel = 100'000_fuel;
  const auto held = run(with_fields(30), context);
  ASSERT_TRUE(held) << held.error() << held.error().guest_text;
  EXPECT_EQ(held.value(), Value(std::uint32_t{0}));
  const auto kind = kind_of<ResourceLimitExceeded>(run(with_fields(32), context));
  EXPECT_EQ(kind.resource, "http_field_bytes");
  EXPECT_EQ(kind.limit, 32'768U);
  EXPECT_EQ(kind.unit, "bytes");
}

}  // namespace
}  // namespace airssys::wasm::test
