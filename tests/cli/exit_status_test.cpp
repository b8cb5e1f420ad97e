#include "support/granted_command.hpp"

namespace airssys::wasm::test {
namespace {

class ExitStatusTest : public GrantsTest {};

TEST_F(ExitStatusTest, TheExitStatusIsTheGuests) {
  write("zero.wat",
        command("(call $out (i32.const 64) (i32.const 6)) (call $exit (i32.const 0)) unreachable", R"(hello\n)"));
  write("one.wat",
        command("(call $out (i32.const 64) (i32.const 6)) (call $exit (i32.const 1)) unreachable", R"(hello\n)"));
  write("ok.wat", command("(i32.const 0)"));
  write("err.wat", command("(i32.const 1)"));
  for (const auto& [guest, status] :
       std::vector<std::pair<std::string, int>>{{"zero.wat", 0}, {"one.wat", 1}, {"ok.wat", 0}, {"err.wat", 1}}) {
    SCOPED_TRACE(guest);
    const auto ended = run({"run", guest, "--report", "report.json"});
    EXPECT_EQ(ended.out, guest == "zero.wat" || guest == "one.wat" ? "hello\n" : "");
    EXPECT_EQ(ended.err, "") << "it is the guest who says why";
    EXPECT_EQ(ended.status, status);
    const auto report = Json::parse(content("report.json"));
    EXPECT_EQ(report["outcome"], status == 0 ? "returned" : "stopped");
    EXPECT_EQ(report["stop"].is_null(), status == 0);
    if (status != 0) {
      EXPECT_EQ(report["stop"]["reason"], "exited");
      EXPECT_EQ(report["stop"]["exit_status"], status);
    }
  }
}

TEST_F(ExitStatusTest, AnExitWithANumberHasThatStatus) {
  write("exit.wat", R"((component
    (import "wasi:cli/exit@0.2.0" (instance $exit (export "exit-with-code" (func (param "status-code" u8)))))
    (import "wasi:cli/environment@0.2.0" (instance $environment (export "get-arguments" (func (result (list string))))))
    (core module $memory (memory (export "mem") 1) (global $top (mut i32) (i32.const 64))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (global.get $top) (global.set $top (i32.add (global.get $top) (i32.const 64)))))
    (core instance $mi (instantiate $memory)) (alias core export $mi "mem" (core memory $mem)) (alias core export $mi "realloc" (core func $realloc))
    (core func $exit (canon lower (func $exit "exit-with-code")))
    (core func $arguments (canon lower (func $environment "get-arguments") (memory $mem) (realloc (func $realloc))))
    (core module $m (import "" "mem" (memory 1)) (import "" "exit" (func $exit (param i32))) (import "" "arguments" (func $arguments (param i32)))
      (func (export "run") (result i32) (call $arguments (i32.const 16)) (call $exit (i32.sub (i32.load8_u (i32.load offset=8 (i32.load (i32.const 16)))) (i32.const 48))) unreachable))
    (core instance $i (instantiate $m (with "" (instance (export "mem" (memory $mem)) (export "exit" (func $exit)) (export "arguments" (func $arguments))))))
    (func $run (result (result)) (canon lift (core func $i "run")))
    (instance $runs (export "run" (func $run))) (export "wasi:cli/run@0.2.0" (instance $runs))))");
  EXPECT_EQ(run({"run", "exit.wat", "0"}).status, 0);
  const auto ended = run({"run", "exit.wat", "7", "--report", "report.json"});
  EXPECT_EQ(ended.status, 7);
  EXPECT_EQ(ended.err, "");
  EXPECT_EQ(Json::parse(content("report.json"))["stop"]["exit_status"], 7);
}

}  // namespace
}  // namespace airssys::wasm::test
