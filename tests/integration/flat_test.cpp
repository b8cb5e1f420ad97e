#include "support/values.hpp"

namespace airssys::wasm::test {
namespace {

class FlatTest : public HostTest {};

/// One value with the sign that it has.
template <class Number>
bool negative_zero(const Value& value) {
  const auto* number = value.get<Number>();
  return number != nullptr && *number == 0 && std::signbit(*number);
}

// Where values travel as numbers of the core language instead of through memory.
TEST_F(FlatTest, ScalarsComeBackThroughRegisters) {
  const auto color = named(R"((enum "red" "dark-blue"))"), bits = named("(flags" + labels("\"f", 32) + ")");
  struct Row {
    std::string defined, type, core;
    std::vector<Value> values;
  };
  const auto of = [](const auto& kind, std::string core) { return Row{"", kind.type, std::move(core), kind.values}; };
  for (const auto& row :
       {Row{"", "bool", "i32", {true, false}}, of(integer<std::int8_t>("s8"), "i32"),
        of(integer<std::uint8_t>("u8"), "i32"), of(integer<std::int16_t>("s16"), "i32"),
        of(integer<std::uint16_t>("u16"), "i32"), of(integer<std::int32_t>("s32"), "i32"),
        of(integer<std::uint32_t>("u32"), "i32"), of(integer<std::int64_t>("s64"), "i64"),
        of(integer<std::uint64_t>("u64"), "i64"), of(real<float>("f32"), "f32"), of(real<double>("f64"), "f64"),
        Row{"", "char", "i32", {U'\0', U'ß', char32_t{0x10FFFF}}},
        Row{color, "$t", "i32", {Enum{"red"}, Enum{"dark-blue"}}},
        Row{bits, "$t", "i32", {flags({}), flags({0}), flags({31}), flags({3, 30}), all_flags(32)}},
        Row{"", "(result)", "i32", {ok(), err()}}, Row{"", "(tuple u8)", "i32", {Tuple{{std::uint8_t{9}}}}}}) {
    const auto guest =
        load(echo_component(row.defined, "(param " + row.core + ") (result " + row.core + ") (local.get 0)",
                            "(param \"v\" " + row.type + ") (result " + row.type + ")"));
    for (const auto& value : row.values) {
      const auto report = engine.run(guest, "echo", {value}, small());
      ASSERT_TRUE(report) << row.type << " " << to_json(value) << ": " << report.error();
      EXPECT_EQ(report.value(), value) << row.type << " " << to_json(value);
    }
  }
}

// All cases of a variant share the same numbers, whatever their types: f32 and pointers go in an i64.
TEST_F(FlatTest, CasesThatShareTheirNumbersKeepTheirPayloads) {
  const auto guest = load(echo_component(
      named(R"((variant (case "none") (case "small" s8) (case "real" f32) (case "big" s64) (case "text" string)))"),
      "(param i32 i64 i32) (result i32) (i32.store8 (i32.const 16) (local.get 0)) "
      "(i64.store (i32.const 24) (local.get 1)) "
      "(if (i32.eq (local.get 0) (i32.const 4)) (then (i32.store (i32.const 28) (local.get 2)))) (i32.const 16)",
      R"((param "v" $t) (result $t))"));
  for (const Value& value :
       {Value(Variant{"none", {}}), Value(Variant{"small", Value(std::int8_t{-128})}),
        Value(Variant{"real", Value(-1.5F)}), Value(Variant{"big", Value(std::numeric_limits<std::int64_t>::min())}),
        Value(Variant{"big", Value(std::int64_t{-1})}), Value(Variant{"text", Value("")}),
        Value(Variant{"text", Value("grüße")})}) {
    const auto report = engine.run(guest, "echo", {value}, small());
    ASSERT_TRUE(report) << to_json(value) << ": " << report.error();
    EXPECT_EQ(report.value(), value) << to_json(value);
  }
}

// Strings and bytes of such functions do not become values on the way.
TEST_F(FlatTest, StringsAndBytesComeBackAsTheyWere) {
  using namespace std::string_literals;
  const std::string core =
      "(param i32 i32) (result i32) (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) "
      "(i32.const 16)";
  const auto text = load(echo_component("", core, R"((param "v" string) (result string))"));
  const auto bytes = load(echo_component("", core, R"((param "v" (list u8)) (result (list u8)))"));
  for (const std::string& value :
       {""s, "\0"s, "a\0b"s, "grüße, 漢字, 🦀"s, "\xf4\x8f\xbf\xbf"s, std::string(60'000, 'x')}) {
    EXPECT_EQ(engine.run(text, "echo", {value}, small()).value(), Value(value)) << value;
    EXPECT_EQ(engine.start(text, "echo", {value}, small()).wait().value(), Value(value)) << value;
    const ByteList raw(value.begin(), value.end());
    EXPECT_EQ(engine.run(bytes, "echo", {raw}, small()).value(), Value(raw)) << value;
    EXPECT_EQ(engine.start(bytes, "echo", {raw}, small()).wait().value(), Value(raw)) << value;
  }
  EXPECT_EQ(engine.run(bytes, "echo", {ByteList{0xff, 0xed, 0xa0, 0x80}}, small()).value(),
            Value(ByteList{0xff, 0xed, 0xa0, 0x80}))
      << "bytes need not be text";
  for (const std::string& bad : {"\xff"s, "a\x80"s, "\xed\xa0\x80"s, "\xf4\x90\x80\x80"s, "\xc0\x80"s, "gr\xc3"s}) {
    EXPECT_THAT(engine.run(text, "echo", {bad}, small()), Stops("bad_call")) << "no UTF-8";
    EXPECT_THAT(engine.start(text, "echo", {bad}, small()).wait(), Stops("bad_call")) << "no UTF-8";
  }
}

TEST_F(FlatTest, ZeroKeepsItsSign) {
  const auto check = [&]<class Number>(const std::string& type, Number zero) {
    const auto guest = load(echo_component("", "(param " + type + ") (result " + type + ") (local.get 0)",
                                           "(param \"v\" " + type + ") (result " + type + ")"));
    const Value value = zero;
    EXPECT_TRUE(negative_zero<Number>(*engine.run(guest, "echo", {value}, small()).value()));
    EXPECT_TRUE(negative_zero<Number>(parse_json(guest, "echo", "[" + to_json(value) + "]").value().at(0)));
    EXPECT_TRUE(negative_zero<Number>(parse_wave(guest, "echo", "(" + to_wave(value).value() + ")").value().at(0)));
  };
  check("f32", -0.0F);
  check("f64", -0.0);
}

}  // namespace
}  // namespace airssys::wasm::test
