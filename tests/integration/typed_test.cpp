#include "support/typed.hpp"

namespace airssys::wasm::test {
namespace {

struct Point {
  std::int32_t x = 0;
  double y = 0;
  friend bool operator==(const Point&, const Point&) = default;
};
constexpr auto wit_record(const Point*) { return record(field("x", &Point::x), field("y", &Point::y)); }

enum class Color : std::uint8_t { Red, DarkBlue };
constexpr auto wit_enum(const Color*) { return std::array{"red", "dark-blue"}; }

struct Shape : std::variant<Point, std::string, std::monostate, std::string> {
  using variant::variant;
};
constexpr auto wit_variant(const Shape*) { return std::array{"corner", "label", "nothing", "remark"}; }

struct Rights {
  bool read = false;
  bool write = false;
  friend bool operator==(const Rights&, const Rights&) = default;
};
constexpr auto wit_flags(const Rights*) { return flags(field("read", &Rights::read), field("write", &Rights::write)); }

/// The same cases in another order.
struct Mixed : std::variant<std::string, Point, std::monostate, std::string> {};
constexpr auto wit_variant(const Mixed*) { return std::array{"label", "corner", "nothing", "remark"}; }

using Everything =
    std::tuple<bool, std::int8_t, std::uint8_t, std::int16_t, std::uint16_t, std::int32_t, std::uint32_t, std::int64_t,
               std::uint64_t, float, double, char32_t, std::string, std::vector<std::uint8_t>, std::vector<Point>,
               std::optional<Color>, std::expected<std::string, std::uint32_t>>;

/// Lowered, every one of these functions gets its parameter as bytes and answers them: an echo of the type `wat`, which
/// takes `size` bytes in memory and is passed as `flat` core values (a pointer when there are more than 16).
std::string echo(const std::string& types, const std::string& wat, const std::string& flat, const std::string& store) {
  return "(component " + types + R"( (core module $m (memory (export "mem") 4) (global $top (mut i32) (i32.const 4096))
   (func (export "realloc") (param i32 i32 i32 i32) (result i32)
     (global.set $top (i32.and (i32.add (global.get $top) (i32.const 15)) (i32.const -16)))
     (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3))))
   (func (export "echo") (param )" +
         flat + ") (result i32) " + store + R"( ))
 (core instance $i (instantiate $m))
 (func (export "echo") (param "v" )" +
         wat + ") (result " + wat +
         R"() (canon lift (core func $i "echo") (memory $i "mem") (realloc (func $i "realloc"))))))";
}
const std::string kPoint = R"((type $p' (record (field "x" s32) (field "y" f64))) (export $point "point" (type $p')))";
const std::string kColor = R"((type $c' (enum "red" "dark-blue")) (export $color "color" (type $c')))";
const std::string kShape =
    kPoint +
    R"((type $s' (variant (case "corner" $point) (case "label" string) (case "nothing") (case "remark" string)))
      (export $shape "shape" (type $s')))";
const std::string kRights = R"((type $r' (flags "read" "write")) (export $rights "rights" (type $r')))";
const std::string kEchoPoint =
    echo(kPoint, "$point", "i32 f64",
         "(i32.store (i32.const 16) (local.get 0)) (f64.store (i32.const 24) (local.get 1)) (i32.const 16)");

const std::string kBytes = component(
    R"((memory (export "mem") 1) (global $top (mut i32) (i32.const 4096))
       (func (export "realloc") (param i32 i32 i32 i32) (result i32) (global.get $top) (global.set $top (i32.add (global.get $top) (local.get 3))))
       (func (export "echo") (param i32 i32) (result i32) (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) (i32.const 16))
       (func (export "nothing") (param i32 i32)))",
    R"((func (export "text") (param "s" string) (result string) (canon lift (core func $i "echo") (memory $i "mem") (realloc (func $i "realloc"))))
       (func (export "bytes") (param "b" (list u8)) (result (list u8)) (canon lift (core func $i "echo") (memory $i "mem") (realloc (func $i "realloc"))))
       (func (export "nothing") (param "s" string) (canon lift (core func $i "nothing") (memory $i "mem") (realloc (func $i "realloc")))))");

/// Its fields begin with something that the guest will not answer.
struct Preset {
  std::optional<std::int32_t> number = 5;
  std::vector<std::int32_t> list{1, 2};
  std::expected<void, std::uint32_t> verdict = std::unexpected(9U);
};
constexpr auto wit_record(const Preset*) {
  return record(field("number", &Preset::number), field("list", &Preset::list), field("verdict", &Preset::verdict));
}

struct Base {
  std::int32_t x = 0;
};
struct Derived : Base {
  std::int64_t y = 0;
};
constexpr auto wit_record(const Derived*) { return record(field("x", &Base::x), field("y", &Derived::y)); }

TEST_F(TypedTest, ARecordGoesThereAndBack) {
  const auto guest = load(kEchoPoint);
  const auto point = engine.call<Point>(guest, "echo", small(), Point{-7, 2.5});
  ASSERT_TRUE(point) << point.error();
  EXPECT_EQ(*point, (Point{-7, 2.5}));
}

// One parameter of every shape that has a C++ type: more than 16 flat values travel as one pointer, and come back so.
TEST_F(TypedTest, EveryTypeGoesThereAndBack) {
  const auto guest = load(echo(kPoint + kColor,
                               "(tuple bool s8 u8 s16 u16 s32 u32 s64 u64 f32 f64 char string (list u8) (list $point) "
                               "(option $color) (result string (error u32)))",
                               "i32", "(local.get 0)"));
  const Everything all{
      true, -8,    200,  -3000,   60000,       -70000,           4000000000U,     -5000000000,          10000000000U,
      1.5F, -2.25, U'ß', "grüße", {1, 2, 255}, {{1, 2}, {3, 4}}, Color::DarkBlue, std::unexpected(404U)};
  const auto back = engine.call<Everything>(guest, "echo", small(), all);
  ASSERT_TRUE(back) << back.error() << back.error().guest_text;
  EXPECT_EQ(*back, all);
  const Everything empty{false, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, U'a', "", {}, {}, std::nullopt, "ok"};
  const auto back_empty = engine.call<Everything>(guest, "echo", small(), empty);
  ASSERT_TRUE(back_empty) << back_empty.error() << back_empty.error().guest_text;
  EXPECT_EQ(*back_empty, empty);
}

TEST_F(TypedTest, VariantsAndFlagsGoThereAndBack) {
  using Pair = std::tuple<Shape, Rights, std::expected<std::monostate, Shape>>;
  const auto list = load(echo(kShape + kRights, "(list (tuple $shape $rights (result (error $shape))))", "i32 i32",
                              "(i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) "
                              "(i32.const 16)"));
  const std::vector<Pair> all = {
      {Shape(Point{1, 2}), Rights{true, false}, {}},
      {Shape(std::in_place_index<1>, "one"), Rights{false, true}, std::unexpected(Shape(std::monostate{}))},
      {Shape(std::in_place_index<3>, "one"), Rights{true, true}, std::unexpected(Shape(Point{3, 4}))},
      {Shape(std::monostate{}), Rights{}, std::unexpected(Shape(std::in_place_index<1>, "two"))}};
  const auto back = engine.call<std::vector<Pair>>(list, "echo", small(), all);
  ASSERT_TRUE(back) << back.error() << back.error().guest_text;
  EXPECT_EQ(*back, all);
  EXPECT_FALSE((engine.bind<std::vector<std::tuple<Mixed, Rights, std::expected<void, Mixed>>>(
                    std::vector<std::tuple<Mixed, Rights, std::expected<void, Mixed>>>)>(list, "echo")));
}

TEST_F(TypedTest, TextAndBytesTakeViewsAndAnswerOwners) {
  const auto guest = load(kBytes);
  EXPECT_EQ(engine.call<std::string>(guest, "text", small(), "world").value(), "world");
  EXPECT_EQ(engine.call<std::string>(guest, "text", small(), std::string()).value(), "");
  const std::vector<std::uint8_t> bytes = {0, 1, 255};
  EXPECT_EQ(engine.call<std::vector<std::uint8_t>>(guest, "bytes", small(), std::span(bytes)).value(), bytes);
  EXPECT_EQ(engine.call<std::vector<std::uint8_t>>(guest, "bytes", small(), std::vector<std::uint8_t>()).value().size(),
            0U);
  EXPECT_TRUE(engine.call<void>(guest, "nothing", small(), "x"));
  const auto shared = engine.call<SharedBytes>(guest, "bytes", small(), bytes).value();
  EXPECT_TRUE(std::ranges::equal(shared.bytes(), bytes));
  const auto copy = shared;
  EXPECT_EQ(copy.bytes().data(), shared.bytes().data());
}

// A list<u8> may come as bytes or as a list of numbers.
TEST_F(TypedTest, BytesMayBeSpelledAsAList) {
  const auto guest = load(kBytes);
  const std::vector<Value> spelled = {Value(List{{Value(std::uint8_t{1}), Value(std::uint8_t{2})}})};
  EXPECT_EQ(engine.run(guest, "bytes", spelled, small()).value(), Value(ByteList{1, 2}));
  EXPECT_EQ(engine.start(guest, "bytes", spelled, small()).wait().value(), Value(ByteList{1, 2}));
  EXPECT_EQ(engine.run(guest, "bytes", {Value(List{})}, small()).value(), Value(ByteList{}));
}

TEST_F(TypedTest, TypesAreComparedWhenBoundAndBothAreNamed) {
  const auto guest = load(kBytes);
  const auto wrong = engine.bind<std::int32_t(std::string_view)>(guest, "text");
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().reason(), "bad_call");
  EXPECT_THAT(wrong.error().message, ::testing::HasSubstr("func(s: string) -> string"));
  EXPECT_THAT(wrong.error().message, ::testing::HasSubstr("-> s32"));
  const auto missing = engine.bind<void()>(guest, "tex");
  ASSERT_FALSE(missing);
  EXPECT_THAT(missing.error().help, ::testing::HasSubstr("did you mean text"));
  struct Unlike {};
  EXPECT_FALSE(engine.bind<void(std::vector<std::uint16_t>)>(guest, "bytes"));
}

TEST_F(TypedTest, ABoundFunctionReportsLikeAnyRun) {
  const auto text = engine.bind<std::string(std::string_view)>(load(kBytes), "text").value();
  const auto typed = text.run(small(), "abc");
  ASSERT_TRUE(typed.report);
  EXPECT_EQ(typed.value, "abc");
  EXPECT_EQ(typed.report.function, "text");
  EXPECT_GT(typed.report.usage().fuel, 0_fuel);
  EXPECT_EQ(typed.report.usage().bytes_in, 8_B);
  auto tight = small();
  tight.limits.max_fuel = 1_fuel;
  EXPECT_EQ(text(tight, "abc").error().reason(), "fuel_exhausted");
  EXPECT_EQ(text(small(), "\xff").error().reason(), "bad_call") << "not UTF-8";
}

// However a call is made, what crosses is the same.
TEST_F(TypedTest, TheBytesThatCrossAreCountedAlike) {
  const auto guest = load(kBytes);
  const std::array list_of_bytes = {
      Value(List{{Value(std::uint8_t{'a'}), Value(std::uint8_t{'b'}), Value(std::uint8_t{'c'})}})};
  for (const auto& report :
       {engine.run(guest, "text", {"abc"}, small()), engine.start(guest, "text", {"abc"}, small()).wait(),
        engine.bind<std::string(std::string_view)>(guest, "text").value().run(small(), "abc").report,
        engine.run(guest, "bytes", {ByteList{1, 2, 3}}, small()), engine.run(guest, "bytes", list_of_bytes, small())}) {
    ASSERT_TRUE(report);
    EXPECT_EQ(report.usage().bytes_in, 8_B);
    EXPECT_EQ(report.usage().bytes_out, 8_B);
  }
}

TEST_F(TypedTest, AnEnumeratorWithoutANameIsABadCall) {
  const auto guest = load(echo(kColor, "$color", "i32", "(local.get 0)"));
  EXPECT_EQ(engine.call<Color>(guest, "echo", small(), Color::DarkBlue).value(), Color::DarkBlue);
  EXPECT_EQ(engine.call<Color>(guest, "echo", small(), Color{9}).error().reason(), "bad_call");
}

TEST_F(TypedTest, AnAnswerReplacesWhatAFieldBeganWith) {
  const auto guest = load(R"((component
    (type $p' (record (field "number" (option s32)) (field "list" (list s32)) (field "verdict" (result (error u32))))) (export $p "preset" (type $p'))
    (core module $m (memory (export "mem") 1) (func (export "run") (result i32) i32.const 64))
    (core instance $i (instantiate $m))
    (func (export "run") (result $p) (canon lift (core func $i "run") (memory $i "mem")))))");
  const auto answer = engine.call<Preset>(guest, "run", small());
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(answer->number, std::nullopt);
  EXPECT_TRUE(answer->list.empty());
  EXPECT_TRUE(answer->verdict);
}

// Also where it is nested, and before anything of the guest runs.
TEST_F(TypedTest, ATextOrCharacterThatIsNoneIsABadCallWithItsPlace) {
  using Both = std::tuple<char32_t, std::string>;
  const auto guest = load(echo("", "(tuple char string)", "i32 i32 i32",
                               "(i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) "
                               "(i32.store (i32.const 24) (local.get 2)) (i32.const 16)"));
  const auto bound = engine.bind<Both(Both)>(guest, "echo").value();
  EXPECT_EQ(bound.run(small(), Both{U'x', "y"}).value, Both(U'x', "y"));
  for (const auto& bad : {Both{0xd800, "y"}, Both{0x110000, "y"}, Both{U'x', "\xff"}}) {
    const auto answer = bound.run(small(), bad);
    ASSERT_THAT(answer.report, Stops("bad_call"));
    EXPECT_EQ(answer.report.outcome(), Outcome::Refused);
    EXPECT_THAT(answer.report.error().message, ::testing::HasSubstr("echo: argument v is no value of its type"));
    EXPECT_EQ(kind_of<BadCall>(answer.report).function, "echo");
    EXPECT_THAT(answer.report.error().help, ::testing::HasSubstr("func(v: tuple<char, string>)"));
  }
}

TEST_F(TypedTest, FieldsMayBeInheritedAndLongLongIsANumber) {
  const auto guest =
      load(echo(R"((type $p' (record (field "x" s32) (field "y" s64))) (export $p "p" (type $p')))", "$p", "i32 i64",
                "(i32.store (i32.const 16) (local.get 0)) (i64.store (i32.const 24) (local.get 1)) "
                "(i32.const 16)"));
  const auto answer = engine.call<Derived>(guest, "echo", small(), Derived{{1}, 2});
  ASSERT_TRUE(answer) << answer.error();
  EXPECT_EQ(answer->x, 1);
  EXPECT_EQ(answer->y, 2);
  const auto numbers =
      load(component(R"((func (export "run") (param i64) (result i64) (local.get 0)))",
                     R"((func (export "run") (param "n" s64) (result s64) (canon lift (core func $i "run"))))"));
  EXPECT_EQ(engine.call<long long>(numbers, "run", small(), -5LL), -5LL);
}

TEST_F(TypedTest, AnInstanceHasTypedFunctionsToo) {
  auto instance = engine.instantiate(load(kBytes), small()).value();
  const auto text = instance.bind<std::string(std::string_view)>("text").value();
  const CallBudget budget{small().limits, 1s};
  EXPECT_EQ(text(budget, "one").value(), "one");
  EXPECT_EQ(text(budget, "two").value(), "two");
  EXPECT_FALSE(instance.bind<std::string()>("text"));
}

// The original's way of calling: raw little-endian bytes.
TEST_F(TypedTest, ExecuteTakesAndGivesRawBytes) {
  const auto add = load(component(
      R"((func (export "add") (param i32 i64) (result i32) (i32.add (local.get 0) (i32.wrap_i64 (local.get 1)))))",
      R"((func (export "add") (param "a" s32) (param "b" s64) (result s32) (canon lift (core func $i "add"))))"));
  ComponentInput input{{40, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0}, kRawCodec, {{"trace", "abc"}}};
  const auto sum = engine.execute(add, "add", input, small());
  ASSERT_TRUE(sum) << sum.error();
  EXPECT_EQ(sum->to_i32().value(), 42);
  EXPECT_EQ(sum->data, ComponentOutput::from_i32(42).data);
  EXPECT_EQ(sum->metadata.at("trace"), "abc");
  EXPECT_FALSE(sum->metadata.at("run_id").empty());
  EXPECT_EQ(sum->metadata.at("fuel"),
            std::to_string(engine.run(add, "add", {std::int32_t{40}, std::int64_t{2}}, small()).usage().fuel.units));
  EXPECT_GT(std::stoll(sum->metadata.at("wall_ns")), 0);
  EXPECT_EQ(engine.execute(add, "add", ComponentInput::from_i32(1), small()).error().reason(), "bad_call")
      << "too short";
  input.data.push_back(0);
  EXPECT_EQ(engine.execute(add, "add", input, small()).error().reason(), "bad_call") << "too long";
  EXPECT_EQ(engine.execute(add, "add", {{}, 7, {}}, small()).error().reason(), "bad_call") << "no such codec";
  const auto guest = load(kBytes);
  const std::vector<std::uint8_t> text = {'h', 'i'};
  EXPECT_EQ(engine.execute(guest, "text", {text, kRawCodec, {}}, small()).value().data, text);
  EXPECT_EQ(engine.execute(guest, "bytes", {text, kRawCodec, {}}, small()).value().data, text);
  EXPECT_TRUE(engine.execute(guest, "bytes", {}, small()).value().data.empty());
  EXPECT_FALSE(engine.execute(guest, "bytes", {}, small()).value().to_i32());
  EXPECT_EQ(engine.execute(load(kEchoPoint), "echo", {}, small()).error().reason(), "bad_call") << "a record";
}

}  // namespace
}  // namespace airssys::wasm::test
