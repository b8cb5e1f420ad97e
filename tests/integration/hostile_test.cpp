#include "support/hostile.hpp"

namespace airssys::wasm::test {
namespace {

/// One hostile guest with the truth about its end. Removing an arm of the classifier fails its row.
struct Hostile {
  const char* name;
  std::string wat;
  ExecutionContext context;
  const char* reason;
  Phase phase;
  std::optional<TrapCode> trap = {};
  /// More to check: numbers.
  std::function<void(const Report&)> check = [](const Report&) {};
};

/// `run` answers a string at the pointer pair that the core function `run` stores; with `post` as its post-return.
std::string answering(std::string_view fields, std::string_view type, std::string_view post = "") {
  return component(fields, "(func (export \"run\") (result " + std::string(type) +
                               ") (canon lift (core func $i \"run\") (memory $i \"mem\") " + std::string(post) + "))");
}
const std::string kPost = R"((post-return (func $i "post")))";
std::string with_pair(std::uint32_t first, std::uint32_t second, std::string_view more = "") {
  return R"((memory (export "mem") 1) (func (export "run") (result i32) (i32.store (i32.const 16) (i32.const )" +
         std::to_string(first) + ")) (i32.store (i32.const 20) (i32.const " + std::to_string(second) +
         ")) i32.const 16)" + std::string(more);
}

ExecutionContext tweaked(void (*change)(ExecutionContext&)) {
  auto context = small();
  change(context);
  return context;
}

void PrintTo(const Hostile& hostile, std::ostream* out) { *out << hostile.name; }

std::vector<Hostile> hostiles() {
  const auto fuel_is_10_000 = [](const Report& r) {
    const auto k = kind_of<FuelExhausted>(r);
    EXPECT_EQ(k.budget, 10'000_fuel);
    EXPECT_EQ(k.used, 10'000_fuel);
    EXPECT_EQ(r.usage().fuel, 10'000_fuel);
    EXPECT_EQ(r.usage().fuel_precision, FuelPrecision::Exact);
  };
  const auto timeout_is_100_ms = [](const Report& r) {
    const auto k = kind_of<ExecutionTimeout>(r);
    EXPECT_EQ(k.timeout, 100ms);
    EXPECT_GE(k.elapsed, 100ms);
    EXPECT_LT(k.elapsed, 600ms) << "late by more than any stall of a small machine";
  };
  const auto memory_is = [](Bytes limit, Bytes requested) {
    return [=](const Report& r) {
      const auto k = kind_of<MemoryLimitExceeded>(r);
      EXPECT_EQ(k.limit, limit);
      EXPECT_EQ(k.requested, requested);
      EXPECT_LE(k.peak, limit);
      EXPECT_GT(r.usage().memory_refused, 0U);
    };
  };
  const auto resource_is = [](const char* resource, std::uint64_t limit) {
    return [=](const Report& r) {
      const auto k = kind_of<ResourceLimitExceeded>(r);
      EXPECT_EQ(k.resource, resource);
      EXPECT_EQ(k.limit, limit);
    };
  };
  return {
      // Fuel, in every phase.
      {"loop_in_call", in_run(kLoop), small(), "fuel_exhausted", Phase::Call, {}, fuel_is_10_000},
      {"loop_in_start",
       core("(func $s " + kLoop + " drop) (start $s) (func (export \"run\") (result i32) i32.const 1)"),
       small(),
       "fuel_exhausted",
       Phase::Instantiate,
       {},
       fuel_is_10_000},
      {"loop_in_realloc",
       component(
           R"((memory (export "mem") 1) (func (export "run") (param i32 i32) (result i32) i32.const 1) )" + kRealloc +
               kLoop + ")",
           R"((func (export "run") (param "s" string) (result s32) (canon lift (core func $i "run") (memory $i "mem") (realloc (func $i "realloc")))))"),
       small(),
       "fuel_exhausted",
       Phase::Call,
       {},
       fuel_is_10_000},
      {"loop_in_post_return",
       answering(with_pair(32, 1, R"((func (export "post") (param i32) )" + kLoop + " drop)"), "string", kPost),
       small(),
       "fuel_exhausted",
       Phase::PostReturn,
       {},
       fuel_is_10_000},
      {"loop_in_post_return_of_a_dynamic_call",
       answering(with_pair(32, 1, R"((func (export "post") (param i32) )" + kLoop + " drop)"), "(tuple u32 u32)",
                 kPost),
       small(),
       "fuel_exhausted",
       Phase::PostReturn,
       {},
       fuel_is_10_000},
      // No check fires inside a straight line of code: the guest returns with nothing left, which is exhausted all the
      // same.
      {"straight_line_code",
       in_run([] {
         std::string body = "i32.const 1 ";
         for (int i = 0; i < 20'000; ++i) {
           body += "i32.const 3 i32.add ";
         }
         return body;
       }()),
       small(),
       "fuel_exhausted",
       Phase::Call,
       {},
       fuel_is_10_000},
      // Wall clock, in every phase.
      {"endless_call",
       in_run(kLoop),
       with_deadline(100ms),
       "timeout",
       Phase::Call,
       {},
       [=](const Report& r) {
         timeout_is_100_ms(r);
         EXPECT_EQ(r.usage().fuel_precision, FuelPrecision::Exact) << "a slice ends where fuel is written back";
         EXPECT_EQ(r.error().backtrace.size(), 1U);
       }},
      {"endless_start",
       core("(func $s " + kLoop + " drop) (start $s) (func (export \"run\") (result i32) i32.const 1)"),
       with_deadline(100ms),
       "timeout",
       Phase::Instantiate,
       {},
       timeout_is_100_ms},
      {"endless_post_return",
       answering(with_pair(32, 1, R"((func (export "post") (param i32) )" + kLoop + " drop)"), "string", kPost),
       with_deadline(100ms),
       "timeout",
       Phase::PostReturn,
       {},
       timeout_is_100_ms},
      {"endless_post_return_of_a_dynamic_call",
       answering(with_pair(32, 1, R"((func (export "post") (param i32) )" + kLoop + " drop)"), "(tuple u32 u32)",
                 kPost),
       with_deadline(100ms),
       "timeout",
       Phase::PostReturn,
       {},
       timeout_is_100_ms},
      // Without a result nothing tells post-return from the call (docs/limits.md).
      {"endless_post_return_without_result",
       component(R"((func (export "run")) (func (export "post") )" + kLoop + " drop)",
                 R"((func (export "run") (canon lift (core func $i "run") (post-return (func $i "post")))))"),
       with_deadline(100ms),
       "timeout",
       Phase::Call,
       {},
       timeout_is_100_ms},
      {"cpu_time",
       in_run(kLoop),
       [] {
         auto c = with_deadline(5s);
         c.limits.max_cpu_time = 50ms;
         return c;
       }(),
       "cpu_time",
       Phase::Call,
       {},
       [](const Report& r) {
         const auto k = kind_of<CpuTimeExceeded>(r);
         EXPECT_EQ(k.limit, 50ms);
         EXPECT_GE(k.used, 50ms);
         EXPECT_LT(k.used, 500ms);
       }},
      // Memory.
      {"minimum_over_the_limit",
       core(R"((memory 32) (func (export "run") (result i32) i32.const 1))"),
       small(),
       "memory_limit",
       Phase::Instantiate,
       {},
       memory_is(1_MiB, 2_MiB)},
      {"grows_and_gives_up",
       core(
           R"((memory 1) (func (export "run") (result i32) (if (i32.eq (memory.grow (i32.const 31)) (i32.const -1)) (then unreachable)) i32.const 1))"),
       small(), "memory_limit", Phase::Call, TrapCode::UnreachableCodeReached, memory_is(1_MiB, 2_MiB)},
      {"grows_and_is_stopped",
       in_run("(drop (memory.grow (i32.const 31))) i32.const 1) (memory 1"),
       tweaked([](auto& c) { c.limits.stop_on_refused_growth = true; }),
       "memory_limit",
       Phase::Call,
       {},
       memory_is(1_MiB, 2_MiB)},
      {"several_small_memories",
       core(R"((memory 8) (memory 8) (memory 8) (func (export "run") (result i32) i32.const 1))"),
       small(),
       "memory_limit",
       Phase::Instantiate,
       {},
       memory_is(1_MiB, Bytes{24 * 65536})},
      {"a_table_is_memory",
       core(R"((table 200000 funcref) (func (export "run") (result i32) i32.const 1))"),
       small(),
       "memory_limit",
       Phase::Instantiate,
       {},
       memory_is(1_MiB, Bytes{1'600'000})},
      // A trap of its own after a refusal stays a trap.
      {"refused_and_divides_by_zero",
       core(
           R"((memory 1) (func (export "run") (result i32) (drop (memory.grow (i32.const 31))) (i32.div_u (i32.const 1) (i32.const 0))))"),
       small(), "trap", Phase::Call, TrapCode::IntegerDivisionByZero,
       [](const Report& r) { EXPECT_EQ(r.usage().memory_refused, 1U); }},
      // Bulk operations cost fuel by the byte and do not begin when they cost more than is left.
      {"memory_fill_storm",
       core(
           R"((memory 16) (func (export "run") (result i32) (loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 1000000)) (br $l)) i32.const 1))"),
       small(),
       "fuel_exhausted",
       Phase::Call,
       {},
       [](const Report& r) { EXPECT_LT(r.usage().wall_time, 500ms); }},
      // Counts.
      {"too_many_memories",
       core(R"((memory 1) (memory 1) (memory 1) (func (export "run") (result i32) i32.const 1))"),
       tweaked([](auto& c) { c.limits.max_memories = 2; }),
       "resource_limit",
       Phase::Instantiate,
       {},
       resource_is("memories", 2)},
      {"too_many_tables",
       core(R"((table 1 funcref) (table 1 funcref) (func (export "run") (result i32) i32.const 1))"),
       tweaked([](auto& c) { c.limits.max_tables = 1; }),
       "resource_limit",
       Phase::Instantiate,
       {},
       resource_is("tables", 1)},
      {"too_many_instances",
       component(R"((func (export "run") (result i32) i32.const 1))",
                 "(core instance (instantiate $m)) (core instance (instantiate $m)) " + std::string(kRun)),
       tweaked([](auto& c) { c.limits.max_instances = 2; }),
       "resource_limit",
       Phase::Instantiate,
       {},
       resource_is("instances", 2)},
      {"recursion",
       core(
           R"((func $r (param i64 i64 i64 i64) (call $r (local.get 0) (local.get 1) (local.get 2) (local.get 3)) (drop (i64.add (local.get 0) (local.get 1)))) (func (export "run") (result i32) (call $r (i64.const 1) (i64.const 2) (i64.const 3) (i64.const 4)) i32.const 1))"),
       with_deadline(2s),
       "stack_overflow",
       Phase::Call,
       {},
       [](const Report& r) { EXPECT_EQ(kind_of<StackOverflow>(r).limit, 512_KiB); }},
      // Host buffers: a megabyte of empty strings becomes many times that on the host.
      {"amplifying_result",
       answering(with_pair(0, 8000), "(list string)"),
       tweaked([](auto& c) { c.limits.max_host_buffer = 64_KiB; }),
       "resource_limit",
       Phase::Call,
       {},
       resource_is("host_buffer_bytes", 65536)},
      // Each byte costs a unit of fuel.
      {"bulk_memory_beyond_the_fuel",
       core(
           R"((memory 1) (func (export "run") (result i32) (memory.fill (i32.const 0) (i32.const 1) (i32.const 60000)) i32.const 1))"),
       small(),
       "fuel_exhausted",
       Phase::Call,
       {},
       fuel_is_10_000},
      // Each task that waits has a stack.
      {"tasks_that_wait",
       waiting_tasks(),
       tweaked([](auto& c) { c.limits.max_async_resources = 30; }),
       "resource_limit",
       Phase::Call,
       {},
       resource_is("async_resources", 30)},
      {"huge_bytes_result",
       answering(with_pair(0, 65000), "(list u8)"),
       tweaked([](auto& c) { c.limits.max_host_buffer = Bytes{10'000}; }),
       "resource_limit",
       Phase::Call,
       {},
       resource_is("host_buffer_bytes", 10'000)},
      // Traps.
      {"unreachable", in_run("unreachable"), small(), "trap", Phase::Call, TrapCode::UnreachableCodeReached},
      {"unreachable_in_post_return",
       answering(with_pair(32, 1, R"((func (export "post") (param i32) unreachable))"), "string", kPost), small(),
       "trap", Phase::PostReturn, TrapCode::UnreachableCodeReached},
      {"division_by_zero", in_run("(i32.div_s (i32.const 1) (i32.const 0))"), small(), "trap", Phase::Call,
       TrapCode::IntegerDivisionByZero,
       [](const Report& r) { EXPECT_EQ(r.usage().fuel_precision, FuelPrecision::LowerBound); }},
      {"integer_overflow", in_run("(i32.div_s (i32.const -2147483648) (i32.const -1))"), small(), "trap", Phase::Call,
       TrapCode::IntegerOverflow},
      {"bad_conversion", in_run("(i32.trunc_f32_s (f32.const nan))"), small(), "trap", Phase::Call,
       TrapCode::BadConversionToInteger},
      {"out_of_bounds", core(R"((memory 1) (func (export "run") (result i32) (i32.load (i32.const 70000))))"), small(),
       "trap", Phase::Call, TrapCode::MemoryOutOfBounds},
      {"null_indirect_call",
       core(R"((table 1 funcref) (func (export "run") (result i32) (call_indirect (result i32) (i32.const 0))))"),
       small(), "trap", Phase::Call, TrapCode::IndirectCallToNull},
      {"trap_in_start", core(R"((func $s unreachable) (start $s) (func (export "run") (result i32) i32.const 1))"),
       small(), "trap", Phase::Instantiate, TrapCode::UnreachableCodeReached},
      // The canonical ABI: what the guest answers is checked, and a bad answer is the guest's.
      {"string_is_not_utf8",
       answering(
           R"((memory (export "mem") 1) (data (i32.const 64) "\ff\fe") (func (export "run") (result i32) (i32.store (i32.const 16) (i32.const 64)) (i32.store (i32.const 20) (i32.const 2)) i32.const 16))",
           "string"),
       small(), "trap", Phase::Call, TrapCode::CanonicalAbi},
      {"string_out_of_bounds", answering(with_pair(65'000, 70'000), "string"), small(), "trap", Phase::Call,
       TrapCode::CanonicalAbi},
      {"bad_char",
       component(R"((func (export "run") (result i32) i32.const 0xd800))",
                 R"((func (export "run") (result char) (canon lift (core func $i "run"))))"),
       small(), "trap", Phase::Call, TrapCode::CanonicalAbi},
      {"bad_discriminant",
       component(
           R"((func (export "run") (result i32) i32.const 7))",
           R"((type $e' (enum "a" "b")) (export $e "e" (type $e')) (func (export "run") (result $e) (canon lift (core func $i "run"))))"),
       small(), "trap", Phase::Call, TrapCode::CanonicalAbi},
      {"misaligned_result",
       answering(R"((memory (export "mem") 1) (func (export "run") (result i32) i32.const 17))", "(tuple u32 u32)"),
       small(), "trap", Phase::Call, TrapCode::CanonicalAbi},
      {"forged_handle",
       component(
           R"((import "" "drop" (func $d (param i32))) (func (export "run") (result i32) (call $d (i32.const 99)) i32.const 1))",
           "")
           .replace(0, std::string::npos,
                    R"((component (type $r (resource (rep i32))) (core func $drop (canon resource.drop $r))
 (core module $m (import "" "drop" (func $d (param i32))) (func (export "run") (result i32) (call $d (i32.const 99)) i32.const 1))
 (core instance $i (instantiate $m (with "" (instance (export "drop" (func $drop))))))
 (func (export "run") (result s32) (canon lift (core func $i "run")))))"),
       small(), "trap", Phase::Call, TrapCode::UnknownHandle},
      {"handle_flood",
       R"((component (type $r (resource (rep i32))) (core func $new (canon resource.new $r))
 (core module $m (import "" "new" (func $n (param i32) (result i32))) (func (export "run") (result i32) (loop $l (drop (call $n (i32.const 1))) (br $l)) i32.const 1))
 (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
 (func (export "run") (result s32) (canon lift (core func $i "run")))))",
       tweaked([](auto& c) { c.limits.max_handles = 100; }),
       "resource_limit",
       Phase::Call,
       {},
       resource_is("handles", 100)},
  };
}

class HostileTest : public HostTest, public ::testing::WithParamInterface<Hostile> {};

// Each hostile guest ends with its own reason, phase and numbers, and its neighbour does not notice.
TEST_P(HostileTest, EndsForItsOwnReasonAndNobodyElseNotices) {
  const auto& hostile = GetParam();
  const auto guest = load(hostile.wat);
  const auto functions = guest.functions();
  std::vector<Value> arguments;
  if (!functions.empty() && functions.back().type.parameters.size() == 1) {
    arguments.emplace_back("abcdefgh");
  }
  for (const bool blocking : {true, false}) {
    const Heartbeat neighbour(engine);
    const auto report = blocking ? engine.run(guest, "run", arguments, hostile.context)
                                 : engine.start(guest, "run", arguments, hostile.context).wait();
    ASSERT_THAT(report, Stops(hostile.reason));
    EXPECT_EQ(report.error().phase, hostile.phase) << name(report.error().phase);
    if (hostile.trap) {
      if (const auto* trapped = std::get_if<Trapped>(&report.error().kind)) {
        EXPECT_EQ(trapped->code, *hostile.trap) << name(trapped->code) << " " << report.error().guest_text;
      } else {
        EXPECT_EQ(kind_of<MemoryLimitExceeded>(report).trap, hostile.trap);
      }
    }
    EXPECT_EQ(report.outcome(), Outcome::Stopped);
    EXPECT_LE(report.usage().memory_peak, hostile.context.limits.max_memory);
    EXPECT_LT(neighbour.longest_gap(), 500ms);
    hostile.check(report);
  }
}

INSTANTIATE_TEST_SUITE_P(Every, HostileTest, ::testing::ValuesIn(hostiles()),
                         [](const auto& row) { return std::string(row.param.name); });

}  // namespace
}  // namespace airssys::wasm::test
