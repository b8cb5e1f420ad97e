#include <initializer_list>

#include "support/host.hpp"

/// Guests that misuse handles, streams and futures.
namespace airssys::wasm::test {
namespace {

struct Misuse {
  const char* name;
  std::string wat;
  TrapCode code;
};
void PrintTo(const Misuse& misuse, std::ostream* out) { *out << misuse.name; }

struct Builtin {
  std::string_view name, type, definition;
};
constexpr Builtin kNewResource{"new", "(param i32) (result i32)", "resource.new $r'"};
constexpr Builtin kDropResource{"drop", "(param i32)", "resource.drop $r'"};
constexpr Builtin kDropOther{"drop-other", "(param i32)", "resource.drop $q"};
constexpr Builtin kNewSet{"set", "(result i32)", "waitable-set.new"};
constexpr Builtin kDropSet{"drop-set", "(param i32)", "waitable-set.drop"};
constexpr Builtin kJoin{"join", "(param i32 i32)", "waitable.join"};
constexpr Builtin kNewStream{"stream", "(result i64)", "stream.new $s"};
constexpr Builtin kRead{"read", "(param i32 i32 i32) (result i32)", "stream.read $s async (memory $mem)"};
constexpr Builtin kCancelRead{"cancel-read", "(param i32) (result i32)", "stream.cancel-read $s async"};
constexpr Builtin kDropReadable{"drop-readable", "(param i32)", "stream.drop-readable $s"};

constexpr std::string_view kResources =
    R"((type $r' (resource (rep i32))) (type $q (resource (rep i32))) (export $r "r" (type $r')) )";
constexpr std::string_view kStreams = R"((type $s (stream u8)) (core module $memory (memory (export "mem") 1))
  (core instance $memory (instantiate $memory)) (alias core export $memory "mem" (core memory $mem)) )";

/// A component whose core function `run` calls builtins and returns 5.
std::string calling(std::string_view types, std::initializer_list<Builtin> builtins, std::string_view body,
                    std::string_view lift = kRun) {
  std::string definitions, imports, given;
  for (const auto& builtin : builtins) {
    const auto name = std::string(builtin.name), type = std::string(builtin.type);
    definitions += "(core func $" + name + " (canon " + std::string(builtin.definition) + ")) ";
    imports += "(import \"\" \"" + name + "\" (func $" + name + " " + type + ")) ";
    given += "(export \"" + name + "\" (func $" + name + ")) ";
  }
  return "(component " + std::string(types) + definitions + "(core module $m " + imports +
         R"((func (export "run") (result i32) (local $h i32) )" + std::string(body) + " i32.const 5))" +
         R"((core instance $i (instantiate $m (with "" (instance )" + given + ")))) " + std::string(lift) + ")";
}

std::vector<Misuse> misuses() {
  // The low half of what makes a stream is the readable end.
  const std::string stream = "(local.set $h (i32.wrap_i64 (call $stream))) ";
  const std::string read = "(drop (call $read (local.get $h) (i32.const 0) (i32.const 1))) ";
  return {
      {"ForgedHandleDropped", calling(kResources, {kDropResource}, "(call $drop (i32.const 5))"),
       TrapCode::UnknownHandle},
      {"HandleDroppedTwice",
       calling(kResources, {kNewResource, kDropResource},
               "(local.set $h (call $new (i32.const 1))) (call $drop (local.get $h)) (call $drop (local.get $h))"),
       TrapCode::UnknownHandle},
      {"ForgedHandleReturned",
       calling(kResources, {}, "", R"((func (export "run") (result (own $r)) (canon lift (core func $i "run"))))"),
       TrapCode::UnknownHandle},
      {"ForgedStreamDropped", calling(kStreams, {kDropReadable}, "(call $drop-readable (i32.const 5))"),
       TrapCode::UnknownHandle},
      {"ResourceOfAnotherType",
       calling(kResources, {kNewResource, kDropOther}, "(call $drop-other (call $new (i32.const 1)))"),
       TrapCode::HandleType},
      {"SetDroppedAsAResource", calling(kResources, {kNewSet, kDropResource}, "(call $drop (call $set))"),
       TrapCode::HandleType},
      {"SetReturnedAsAResource",
       calling(kResources, {kNewSet}, "(return (call $set))",
               R"((func (export "run") (result (own $r)) (canon lift (core func $i "run"))))"),
       TrapCode::HandleType},
      {"SetDroppedWithAMember",
       calling(kStreams, {kNewStream, kNewSet, kJoin, kDropSet},
               stream + "(call $join (local.get $h) (call $set)) (call $drop-set (i32.const 3))"),
       TrapCode::HandleInUse},
      {"StreamDroppedWhileRead",
       calling(kStreams, {kNewStream, kRead, kDropReadable}, stream + read + "(call $drop-readable (local.get $h))"),
       TrapCode::HandleInUse},
      {"StreamReadTwice", calling(kStreams, {kNewStream, kRead}, stream + read + read), TrapCode::StreamMisuse},
      {"NoReadCancelled",
       calling(kStreams, {kNewStream, kCancelRead}, stream + "(drop (call $cancel-read (local.get $h)))"),
       TrapCode::StreamMisuse},
  };
}

class MisuseTest : public HostTest, public ::testing::WithParamInterface<Misuse> {};

// Whether Wasmtime says it by a type or by text, and whether generated code, a builtin or the host finds it.
TEST_P(MisuseTest, IsATrapWithTheCodeOfItsKind) {
  const auto report = run(GetParam().wat, small());
  ASSERT_THAT(report, Stops("trap"));
  EXPECT_EQ(kind_of<Trapped>(report).code, GetParam().code) << name(kind_of<Trapped>(report).code);
  EXPECT_EQ(report.error().phase, Phase::Call);
  EXPECT_FALSE(report.error().guest_text.empty());
}

INSTANTIATE_TEST_SUITE_P(Every, MisuseTest, ::testing::ValuesIn(misuses()),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace airssys::wasm::test
