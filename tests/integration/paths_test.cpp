#include <span>

#include "base/digest.hpp"
#include "support/host.hpp"
#include "support/scratch.hpp"

namespace airssys::wasm::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

/// Functions in an interface, in an instance, in an instance of that, and in none.
constexpr std::string_view kMath = R"((component
  (core module $m (memory 3) (table 20 funcref)
    (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1)))
    (func (export "sub") (param i32 i32) (result i32) (i32.sub (local.get 0) (local.get 1)))
    (func (export "f") (result i32) (i32.const 42)) (func (export "g") (result i32) (i32.const 43)))
  (core instance $i (instantiate $m))
  (func $add (param "a" s32) (param "b" s32) (result s32) (canon lift (core func $i "add")))
  (func $sub (param "from" s32) (param "amount" s32) (result s32) (canon lift (core func $i "sub")))
  (func $f (result u32) (canon lift (core func $i "f"))) (func $g (result u32) (canon lift (core func $i "g")))
  (instance $ops (export "add" (func $add)) (export "sub" (func $sub)))
  (export "acme:math/ops@1.2.3" (instance $ops))
  (instance $inner (export "f" (func $f)))
  (instance $outer (export "inner" (instance $inner)) (export "g" (func $g)))
  (export "outer" (instance $outer))
  (export "sum" (func $add))))";
constexpr const char* kAdd = "acme:math/ops@1.2.3#add";
constexpr const char* kAddIs = "func(a: s32, b: s32) -> s32";
const std::vector<Value> kTwoAndThree = {std::int32_t{2}, std::int32_t{3}};

/// One interface in three versions; `which` answers which.
constexpr std::string_view kVersions = R"((component
  (core module $m (func (export "123") (result i32) (i32.const 123)) (func (export "130") (result i32) (i32.const 130))
    (func (export "200") (result i32) (i32.const 200)))
  (core instance $i (instantiate $m))
  (func $a (result u32) (canon lift (core func $i "123"))) (instance $1.2.3 (export "which" (func $a)))
  (func $b (result u32) (canon lift (core func $i "130"))) (instance $1.3.0 (export "which" (func $b)))
  (func $c (result u32) (canon lift (core func $i "200"))) (instance $2.0.0 (export "which" (func $c)))
  (export "acme:math/ops@1.3.0" (instance $1.3.0))
  (export "acme:math/ops@1.2.3" (instance $1.2.3))
  (export "acme:math/ops@2.0.0" (instance $2.0.0))))";

/// Imports an interface, one with nothing but a type, and a function of the world; answers by an interface.
constexpr std::string_view kClock = R"((component
  (import "acme:host/clock@0.1.0" (instance (export "now" (func (result u64))) (export "sleep" (func (param "ms" u32)))))
  (import "acme:host/types@0.1.0" (instance (export "id" (type (sub resource)))))
  (import "log" (func (param "line" string)))
  (core module $m (memory 2) (func (export "add") (param i32 i32) (result i32) (i32.add (local.get 0) (local.get 1))))
  (core module $n (memory 1) (memory 5) (table 7 funcref) (table 3 funcref))
  (core instance $i (instantiate $m)) (core instance (instantiate $n))
  (func $add (param "a" s32) (param "b" s32) (result s32) (canon lift (core func $i "add")))
  (instance $ops (export "add" (func $add)))
  (export "acme:math/ops@1.2.3" (instance $ops))))";

class PathsTest : public HostTest {
 protected:
  Value call(const ComponentHandle& guest, std::string_view path, std::span<const Value> arguments = {}) {
    const auto report = engine.run(guest, path, arguments, small());
    EXPECT_TRUE(report) << path << ": " << report.error();
    return report ? report.value().value_or(Value()) : Value();
  }
  static std::vector<std::string> listed(const ComponentHandle& guest) {
    const auto functions = guest.functions();
    std::vector<std::string> out;
    for (const auto& [path, type] : functions) {
      out.push_back(path + ": " + to_wit(type));
    }
    return out;
  }
  static std::vector<std::string> wanted(const ImportedItem& import) {
    std::vector<std::string> out;
    for (const auto& [name, type] : import.functions) {
      out.push_back(name + ": " + to_wit(type));
    }
    return out;
  }
  /// What each way of calling `path` answers where it refuses.
  std::vector<Error> refusals(const ComponentHandle& guest, std::string_view path, std::span<const Value> arguments,
                              std::string_view wave, std::string_view json) {
    std::vector<Error> out;
    const auto take = [&](const auto& refused) {
      refused ? void(ADD_FAILURE() << path << " was not refused") : out.push_back(refused.error());
    };
    auto instance = engine.instantiate(guest, small()).value();
    const CallBudget budget{small().limits, 1s};
    take(engine.run(guest, path, arguments, small()));
    take(engine.start(guest, path, arguments, small()).wait());
    take(instance.run(path, arguments, budget));
    take(instance.start(path, arguments, budget).wait());
    take(parse_wave(guest, path, wave));
    take(parse_json(guest, path, json));
    EXPECT_FALSE(instance.spent());
    return out;
  }
};

TEST_F(PathsTest, AFunctionIsCalledByItsPathWhereverItIs) {
  const auto guest = load(kMath);
  auto instance = engine.instantiate(guest, small()).value();
  const CallBudget budget{small().limits, 1s};
  struct Row {
    std::string_view path;
    std::vector<Value> arguments;
    Value answer;
  };
  for (const auto& [path, arguments, answer] :
       {Row{kAdd, kTwoAndThree, std::int32_t{5}}, Row{"acme:math/ops@1.2.3#sub", kTwoAndThree, std::int32_t{-1}},
        Row{"outer#inner#f", {}, std::uint32_t{42}}, Row{"outer#g", {}, std::uint32_t{43}},
        Row{"sum", kTwoAndThree, std::int32_t{5}}}) {
    EXPECT_EQ(call(guest, path, arguments), answer) << path;
    EXPECT_EQ(engine.start(guest, path, arguments, small()).wait().value(), answer) << path;
    const auto kept = instance.run(path, arguments, budget);
    EXPECT_EQ(kept.value(), answer) << path;
    EXPECT_EQ(kept.function, path);
  }
  EXPECT_EQ((engine.call<std::int32_t>(guest, kAdd, small(), std::int32_t{2}, std::int32_t{3}).value()), 5);
  EXPECT_EQ(engine.call<std::uint32_t>(guest, "outer#inner#f", small()).value(), 42U);
  EXPECT_EQ(parse_wave(guest, kAdd, "(2, 3)").value(), kTwoAndThree);
  EXPECT_EQ(parse_json(guest, kAdd, "[2, 3]").value(), kTwoAndThree);
}

TEST_F(PathsTest, EachVersionOfAnInterfaceIsAnInterfaceOfItsOwn) {
  const auto guest = load(kVersions);
  EXPECT_EQ(call(guest, "acme:math/ops@1.2.3#which"), Value(std::uint32_t{123}));
  EXPECT_EQ(call(guest, "acme:math/ops@1.3.0#which"), Value(std::uint32_t{130}));
  EXPECT_EQ(call(guest, "acme:math/ops@2.0.0#which"), Value(std::uint32_t{200}));
  for (const auto* path : {"acme:math/ops@1.2.0#which", "acme:math/ops@1.2.4#which", "acme:math/ops@1.4.0#which",
                           "acme:math/ops@1#which", "acme:math/ops@1.2#which", "acme:math/ops#which"}) {
    EXPECT_EQ(kind_of<BadCall>(engine.run(guest, path, {}, small())).function, path) << "no version is near enough";
  }
}

TEST_F(PathsTest, APathThatIsNearlyRightIsRefusedWithTheRightOneAndItsType) {
  const auto guest = load(kMath);
  struct Row {
    std::string_view path, meant, type;
  };
  for (const auto& [path, meant, type] :
       {Row{"add", kAdd, kAddIs}, Row{"acme:math/ops@1.2.4#add", kAdd, kAddIs},
        Row{"acme:math/ops@2.0.0#add", kAdd, kAddIs}, Row{"acme:math/ops#add", kAdd, kAddIs},
        Row{"acme:math/op@1.2.3#add", kAdd, kAddIs}, Row{"acme:maths/ops@1.2.3#add", kAdd, kAddIs},
        Row{"acme:math/ops@1.2.3#ad", kAdd, kAddIs}, Row{"acme:math/ops@1.2.3/add", kAdd, kAddIs},
        Row{"acme:math/ops@1.2.3#Add", kAdd, kAddIs},
        Row{"acme:math/ops@1.2.3#sum", "acme:math/ops@1.2.3#sub", "func(from: s32, amount: s32) -> s32"},
        Row{"outer#iner#f", "outer#inner#f", "func() -> u32"}, Row{"outer#inner#g", "outer#inner#f", "func() -> u32"},
        Row{"outer#h", "outer#g", "func() -> u32"}, Row{"sums", "sum", kAddIs}}) {
    const auto all = refusals(guest, path, kTwoAndThree, "(2, 3)", "[2, 3]");
    ASSERT_EQ(all.size(), 6U);
    for (const auto& error : all) {
      const auto* kind = std::get_if<BadCall>(&error.kind);
      ASSERT_NE(kind, nullptr) << path << ": " << error.reason();
      EXPECT_EQ(kind->function, path);
      EXPECT_EQ(kind->did_you_mean, meant) << path;
      EXPECT_THAT(error.help, HasSubstr(std::string(meant) + ": " + std::string(type))) << path;
      EXPECT_EQ(error.phase, Phase::Link);
    }
  }
}

TEST_F(PathsTest, WhatIsNoFunctionIsRefused) {
  const auto guest = load(kMath);
  for (const std::string& path :
       {std::string(), std::string("#"), std::string("outer"), std::string("outer#inner"), std::string("outer#inner#"),
        std::string("#outer#g"), std::string("outer##g"), std::string("inner#f"), std::string("acme:math/ops@1.2.3"),
        std::string("acme:math/ops@1.2.3#"), std::string("outer#g#"), std::string("sum\0", 4),
        std::string(1'000'000, '#')}) {
    const auto report = engine.run(guest, path, {}, small());
    EXPECT_EQ(kind_of<BadCall>(report).function, path);
    EXPECT_EQ(report.outcome(), Outcome::Refused);
  }
}

TEST_F(PathsTest, ArgumentsThatDoNotFitAreRefusedWithTheType) {
  const auto guest = load(kMath);
  const Value two = std::int32_t{2};
  struct Row {
    std::vector<Value> arguments;
    std::string_view wave, json;
  };
  for (const auto& [arguments, wave, json] :
       {Row{{}, "()", "[]"}, Row{{two}, "(2)", "[2]"}, Row{{two, two, two}, "(2, 2, 2)", "[2, 2, 2]"},
        Row{{two, "x"}, R"((2, "x"))", R"([2, "x"])"},
        Row{{two, std::int64_t{2'147'483'648}}, "(2, 2147483648)", "[2, 2147483648]"},
        Row{{two, std::uint32_t{2}}, "(2, true)", "[2, true]"}, Row{{two, 2.5}, "(2, 2.5)", "[2, 2.5]"},
        Row{{two, Option{}}, "(2, none)", "[2, null]"}, Row{{two, List{}}, "(2, [])", "[2, []]"}}) {
    for (const auto* path : {kAdd, "sum"}) {
      const auto all = refusals(guest, path, arguments, wave, json);
      ASSERT_EQ(all.size(), 6U) << wave;
      for (const auto& error : all) {
        const auto* kind = std::get_if<BadCall>(&error.kind);
        ASSERT_NE(kind, nullptr) << wave << ": " << error.reason();
        EXPECT_EQ(kind->function, path);
        EXPECT_THAT(error.help, HasSubstr(kAddIs)) << wave;
        EXPECT_EQ(error.phase, Phase::Link);
      }
    }
  }
}

TEST_F(PathsTest, FunctionsAreListedByTheirPaths) {
  EXPECT_THAT(listed(load(kMath)), UnorderedElementsAre("acme:math/ops@1.2.3#add: func(a: s32, b: s32) -> s32",
                                                        "acme:math/ops@1.2.3#sub: func(from: s32, amount: s32) -> s32",
                                                        "outer#inner#f: func() -> u32", "outer#g: func() -> u32",
                                                        "sum: func(a: s32, b: s32) -> s32"));
  EXPECT_THAT(listed(load("(component)")), IsEmpty());
  EXPECT_FALSE(load(kMath).is_command());
}

TEST_F(PathsTest, ImportsAreListedWithTheirFunctions) {
  const auto imports = load(kClock).imports();
  ASSERT_EQ(imports.size(), 3U);
  EXPECT_EQ(imports[0].name, "acme:host/clock@0.1.0");
  EXPECT_THAT(wanted(imports[0]), ElementsAre("now: func() -> u64", "sleep: func(ms: u32)"));
  EXPECT_EQ(imports[1].name, "acme:host/types@0.1.0");
  EXPECT_THAT(imports[1].functions, IsEmpty());
  EXPECT_EQ(imports[2].name, "log");
  EXPECT_THAT(wanted(imports[2]), ElementsAre("log: func(line: string)"));
  EXPECT_THAT(load(kMath).imports(), IsEmpty());
}

TEST_F(PathsTest, WhetherItsImportsAreOfferedCanBeAsked) {
  EXPECT_TRUE(load(kMath).check_imports());
  const auto checked = load(kClock).check_imports();
  ASSERT_FALSE(checked);
  EXPECT_EQ(std::get<LinkFailed>(checked.error().kind).import, "acme:host/clock@0.1.0#now");
}

TEST_F(PathsTest, WhatWitCannotSayIsShownAsTheTypesThatItHas) {
  const auto thing = load(R"((component (type $r (resource (rep i32))) (export "thing" (type $r))))").wit();
  EXPECT_THAT(thing, ::testing::StartsWith("// made from the types, since there is no WIT for this component: "));
  EXPECT_THAT(thing, HasSubstr("\nworld root {\n  resource thing;\n}\n"));
  const auto url = load(R"((component (import "url=<https://example.com/f>" (func))))").wit();
  EXPECT_THAT(url, HasSubstr("\n  import url=<https://example.com/f>: func();\n"));
  EXPECT_THAT(url, ::testing::Not(HasSubstr("internal error")));
}

constexpr std::string_view kCounters = R"((component
  (component $c
    (type $counter' (resource (rep i32))) (export $counter "counter" (type $counter'))
    (type $step' (record (field "by" u32))) (export $step "step" (type $step'))
    (core func $new (canon resource.new $counter'))
    (core module $m (import "" "new" (func $new (param i32) (result i32)))
      (func (export "make") (param i32) (result i32) (call $new (local.get 0)))
      (func (export "add") (param i32 i32) (result i32) i32.const 1)
      (func (export "copy") (param i32) (result i32) local.get 0))
    (core instance $i (instantiate $m (with "" (instance (export "new" (func $new))))))
    (func (export "[constructor]counter") (param "from" u32) (result (own $counter)) (canon lift (core func $i "make")))
    (func (export "[method]counter.add") (param "self" (borrow $counter)) (param "step" $step) (result u32)
      (canon lift (core func $i "add")))
    (func (export "[static]counter.copy") (param "one" (own $counter)) (result (own $counter)) (canon lift (core func $i "copy")))
    (func (export "make") (param "from" u32) (result (own $counter)) (canon lift (core func $i "make"))))
  (instance $i (instantiate $c)) (export "acme:count/counters@1.0.0" (instance $i))))";

TEST_F(PathsTest, SignaturesAndTypesHaveTheNamesThatTheComponentGivesThem) {
  const auto loaded = load(kCounters);
  std::string all;
  for (const auto& [path, text] : loaded.signatures()) {
    all += path + ": " + text + "\n";
  }
  EXPECT_EQ(all,
            "acme:count/counters@1.0.0#[constructor]counter: func(from: u32) -> counter\n"
            "acme:count/counters@1.0.0#[method]counter.add: func(self: borrow<counter>, step: step) -> u32\n"
            "acme:count/counters@1.0.0#[static]counter.copy: func(one: counter) -> counter\n"
            "acme:count/counters@1.0.0#make: func(from: u32) -> counter\n");
  const auto error = engine.run(loaded, "acme:count/counters@1.0.0#mak", {}, {}).error();
  EXPECT_THAT(error.help, HasSubstr("acme:count/counters@1.0.0#make: func(from: u32) -> counter"));
}

// Precompiled, it has no bytes to make WIT of.
TEST_F(PathsTest, APrecompiledComponentIsShownAsAWorldOfItsTypes) {
  const Scratch scratch;
  const auto file = scratch.path() / "counters.cwasm";
  const auto bytes = std::as_bytes(std::span(kCounters));
  ASSERT_TRUE(engine.compile_to_file({reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()}, file));
  const auto loaded = engine.load_precompiled(file);
  ASSERT_TRUE(loaded) << loaded.error();
  EXPECT_THAT(loaded->wit(), HasSubstr(R"(world root {
  export acme:count/counters@1.0.0: interface {
    resource counter {
      constructor(from: u32);
      add: func(step: step) -> u32;
      copy: static func(one: counter) -> counter;
    }
    record step { by: u32 }
    make: func(from: u32) -> counter;
  }
}
)"));
}

TEST_F(PathsTest, TheWitNamesImportsExportsAndTypes) {
  const auto wit = load(kClock).wit();
  for (const auto* line : {"import acme:host/clock@0.1.0;", "import log: func(line: string);",
                           "export acme:math/ops@1.2.3;", "package acme:math@1.2.3", "interface ops",
                           "add: func(a: s32, b: s32) -> s32;", "sleep: func(ms: u32);", "now: func() -> u64;"}) {
    EXPECT_THAT(wit, HasSubstr(line));
  }
}

TEST_F(PathsTest, WhatInstantiatingNeedsIsSaid) {
  const auto required = load(kClock).required_resources();
  ASSERT_TRUE(required);
  EXPECT_EQ(required->memories, 3U);
  EXPECT_EQ(required->tables, 2U);
  EXPECT_EQ(required->largest_initial_memory, Bytes{5 * 65'536});
  EXPECT_EQ(required->largest_initial_table, 7U);
  const auto none = load("(component)").required_resources();
  ASSERT_TRUE(none);
  EXPECT_EQ(none->memories + none->tables, 0U);
  EXPECT_EQ(none->largest_initial_memory, 0_B);
}

// `printf '\0asm\r\0\1\0' | b2sum -l 256`; the other two are published vectors.
TEST_F(PathsTest, TheDigestIsBlake2b256OfTheBytes) {
  constexpr std::array<std::uint8_t, 8> kEmptyComponent = {0, 'a', 's', 'm', 0x0d, 0, 1, 0};
  constexpr const char* kDigest = "d3461d417b7de05c1d175f524c580582339724b8b74f680a0868492bf4a9b63c";
  const auto guest = engine.load_component(kEmptyComponent, {.name = "from bytes"}).value();
  EXPECT_EQ(guest.digest(), kDigest);
  EXPECT_EQ(guest.size(), 8_B);
  EXPECT_EQ(guest.name(), "from bytes");
  EXPECT_EQ(load("(component)").id(), ComponentId("guest", kDigest)) << "text counts by the bytes that it becomes";
  EXPECT_NE(load(kMath).digest(), load(kClock).digest());
  EXPECT_EQ(load(kMath).digest(), load(kMath).digest());
  constexpr std::array<std::uint8_t, 3> kAbc = {'a', 'b', 'c'};
  EXPECT_EQ(base::hex(base::blake2b(kAbc)), "bddd813c634239723171ef3fee98579b94964e3bb1cb3e427262c8c068d52319");
  EXPECT_EQ(base::hex(base::blake2b({})), "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8");
}

// The name and the digest are those of the report too.
TEST_F(PathsTest, AReportNamesComponentAndFunction) {
  const auto guest = load(kMath);
  const auto report = engine.run(guest, kAdd, kTwoAndThree, small());
  EXPECT_EQ(report.component, guest.id());
  EXPECT_EQ(report.function, kAdd);
  const auto refused = engine.run(guest, "outer#inner", {}, small());
  EXPECT_EQ(refused.component, guest.id());
  EXPECT_EQ(refused.function, "outer#inner");
}

}  // namespace
}  // namespace airssys::wasm::test
