#include <cmath>
#include <limits>

#include "support/host.hpp"

namespace airssys::wasm::test {
namespace {

/// One function `echo`: parameters, result and body of the core function in `core`, those of the lifted one in `type`.
/// `defined` are types that need a name.
std::string echo_component(const std::string& defined, const std::string& core, const std::string& type) {
  return "(component " + defined + R"((core module $m (memory (export "mem") 1) (global $top (mut i32) (i32.const 1024))
      (func (export "realloc") (param i32 i32 i32 i32) (result i32) (local $at i32)
        (local.set $at (i32.and (i32.add (global.get $top) (i32.sub (local.get 2) (i32.const 1))) (i32.sub (i32.const 0) (local.get 2))))
        (global.set $top (i32.add (local.get $at) (local.get 3)))
        (local.get $at))
      (func (export "echo") )" +
         core + R"())
    (core instance $i (instantiate $m))
    (func (export "echo") )" +
         type + R"( (canon lift (core func $i "echo") (memory $i "mem") (realloc (func $i "realloc"))))))";
}

/// It answers with the list that it was given, as it lies in memory.
std::string echo_list(const std::string& defined, const std::string& element) {
  return echo_component(
      defined,
      "(param i32 i32) (result i32) (i32.store (i32.const 16) (local.get 0)) (i32.store (i32.const 20) (local.get 1)) "
      "(i32.const 16)",
      "(param \"v\" (list " + element + ")) (result (list " + element + "))");
}

/// A type of its own, which a function may name.
std::string named(const std::string& type) { return "(type $t' " + type + ") (export $t \"t\" (type $t'))"; }

std::string labels(const std::string& before, int count) {
  std::string out;
  for (int i = 0; i < count; ++i) {
    out += " " + before + std::to_string(i) + "\"";
  }
  return out;
}
Flags flags(std::initializer_list<int> set) {
  Flags out;
  for (const int i : set) {
    out.names.push_back("f" + std::to_string(i));
  }
  return out;
}
Flags all_flags(int count) {
  Flags out;
  for (int i = 0; i < count; ++i) {
    out.names.push_back("f" + std::to_string(i));
  }
  return out;
}
Value some(Value value) { return Option{Payload(std::move(value))}; }
Value none() { return Option{}; }
Value ok(Payload value = {}) { return ResultValue{true, std::move(value)}; }
Value err(Payload value = {}) { return ResultValue{false, std::move(value)}; }

struct Kind {
  std::string name, defined, type;
  std::vector<Value> values;
};
void PrintTo(const Kind& kind, std::ostream* out) { *out << kind.name; }

template <class Number>
Kind integer(std::string name) {
  using Limits = std::numeric_limits<Number>;
  return {name, "", name, {Limits::min(), Number{0}, Number{1}, static_cast<Number>(-1), Limits::max()}};
}
template <class Number>
Kind real(std::string name) {
  using Limits = std::numeric_limits<Number>;
  return {
      name,
      "",
      name,
      {Number{0}, -Number{0}, Number{1.5}, static_cast<Number>(0.1), Limits::denorm_min(), Limits::min(), Limits::max(),
       Limits::lowest(), Limits::epsilon(), Limits::infinity(), -Limits::infinity(), Limits::quiet_NaN()}};
}

std::vector<Kind> kinds() {
  using namespace std::string_literals;
  const std::string item = named(R"((record (field "a" u8) (field "b" string) (field "last-part" f64)))");
  const auto item_of = [](std::uint8_t a, std::string b, double c) {
    return Value(Record{{{"a", a}, {"b", std::move(b)}, {"last-part", c}}});
  };
  const std::string shape = named(R"((variant (case "none") (case "small" u8) (case "real" f32) (case "big" s64)
    (case "text" string) (case "pair" (tuple u8 s64)) (case "maybe" (option u8))))");
  const std::vector<Value> shapes = {Variant{"none", {}},
                                     Variant{"small", Value(std::uint8_t{255})},
                                     Variant{"real", Value(-1.5F)},
                                     Variant{"big", Value(std::numeric_limits<std::int64_t>::min())},
                                     Variant{"text", Value("grüße")},
                                     Variant{"pair", Value(Tuple{{std::uint8_t{1}, std::int64_t{-1}}})},
                                     Variant{"maybe", none()},
                                     Variant{"maybe", some(std::uint8_t{7})}};
  return {
      {"bool", "", "bool", {true, false}},
      integer<std::int8_t>("s8"),
      integer<std::uint8_t>("u8"),
      integer<std::int16_t>("s16"),
      integer<std::uint16_t>("u16"),
      integer<std::int32_t>("s32"),
      integer<std::uint32_t>("u32"),
      integer<std::int64_t>("s64"),
      integer<std::uint64_t>("u64"),
      real<float>("f32"),
      real<double>("f64"),
      {"char",
       "",
       "char",
       {U'a', U'\0', U'\n', U'\'', U'"', U'\\', U'\x7f', U'ß', char32_t{0xD7FF}, char32_t{0xE000}, char32_t{0xFFFF},
        U'🦀', char32_t{0x10FFFF}}},
      {"string",
       "",
       "string",
       {"", "a", "\0"s, "a\0b"s, "\"'\\{}[]()%,:\n\r\t\x01\x7f", "grüße, 漢字, 🦀", "\xf4\x8f\xbf\xbf", "\u0301\u2028",
        std::string(10'000, 'x')}},
      {"bytes", "", "(list u8)", {ByteList{}, ByteList{0}, ByteList{0, 1, 127, 128, 255}, ByteList(1'000, 7)}},
      {"list",
       "",
       "(list u32)",
       {List{}, List{{std::uint32_t{0}}}, List{{std::uint32_t{1}, std::numeric_limits<std::uint32_t>::max()}}}},
      {"list_of_lists", "", "(list (list string))", {List{}, List{{List{}, List{{"", "x"}}, List{{"\0"s}}}}}},
      {"record", item, "$t", {item_of(0, "", 0.0), item_of(255, "text", -2.5)}},
      {"record_of_keywords",
       named(R"((record (field "true" u8) (field "ok" u8) (field "nan" u8) (field "HTTP-status" u8)))"),
       "$t",
       {Record{{{"true", std::uint8_t{1}},
                {"ok", std::uint8_t{2}},
                {"nan", std::uint8_t{3}},
                {"HTTP-status", std::uint8_t{4}}}}}},
      {"record_of_options",
       named(R"((record (field "a" (option u8)) (field "b" (option (option u8)))))"),
       "$t",
       {Record{{{"a", none()}, {"b", none()}}}, Record{{{"a", none()}, {"b", some(none())}}},
        Record{{{"a", some(std::uint8_t{1})}, {"b", some(some(std::uint8_t{2}))}}}}},
      {"tuple",
       "",
       "(tuple u8 string s64)",
       {Tuple{{std::uint8_t{1}, "", std::int64_t{0}}},
        Tuple{{std::uint8_t{255}, "x", std::numeric_limits<std::int64_t>::min()}}}},
      {"tuple_of_one", "", "(tuple u8)", {Tuple{{std::uint8_t{1}}}}},
      {"variant", shape, "$t", shapes},
      {"variant_of_keywords",
       named(R"((variant (case "some" u8) (case "none") (case "err" u8) (case "inf") (case "true")))"),
       "$t",
       {Variant{"some", Value(std::uint8_t{1})}, Variant{"none", {}}, Variant{"err", Value(std::uint8_t{2})},
        Variant{"inf", {}}, Variant{"true", {}}}},
      {"enum", named(R"((enum "red" "dark-blue" "X"))"), "$t", {Enum{"red"}, Enum{"dark-blue"}, Enum{"X"}}},
      {"enum_of_keywords",
       named(R"((enum "true" "false" "some" "none" "ok" "err" "inf" "nan"))"),
       "$t",
       {Enum{"true"}, Enum{"false"}, Enum{"some"}, Enum{"none"}, Enum{"ok"}, Enum{"err"}, Enum{"inf"}, Enum{"nan"}}},
      {"enum_of_300",
       named("(enum " + labels("\"c", 300) + ")"),
       "$t",
       {Enum{"c0"}, Enum{"c255"}, Enum{"c256"}, Enum{"c299"}}},
      {"option", "", "(option u32)", {none(), some(std::uint32_t{0}), some(std::uint32_t{7})}},
      {"option_in_option", "", "(option (option string))", {none(), some(none()), some(some("")), some(some("none"))}},
      {"option_thrice",
       "",
       "(option (option (option bool)))",
       {none(), some(none()), some(some(none())), some(some(some(false))), some(some(some(true)))}},
      {"result",
       "",
       "(result u32 (error string))",
       {ok(Value(std::uint32_t{0})), ok(Value(std::uint32_t{9})), err(Value("")), err(Value("no"))}},
      {"result_of_nothing", "", "(result)", {ok(), err()}},
      {"result_or_error", "", "(result (error string))", {ok(), err(Value("no"))}},
      {"result_without_error", "", "(result string)", {ok(Value("yes")), err()}},
      {"result_of_option",
       "",
       "(result (option u8) (error (result)))",
       {ok(none()), ok(some(std::uint8_t{1})), err(ok()), err(err())}},
      {"option_of_result", "", "(option (result))", {none(), some(ok()), some(err())}},
      {"flags_1", named("(flags" + labels("\"f", 1) + ")"), "$t", {flags({}), flags({0})}},
      {"flags_9",
       named("(flags" + labels("\"f", 9) + ")"),
       "$t",
       {flags({}), flags({0}), flags({8}), flags({1, 7, 8}), all_flags(9)}},
      {"flags_32",
       named("(flags" + labels("\"f", 32) + ")"),
       "$t",
       {flags({}), flags({0}), flags({31}), flags({0, 7, 8, 15, 16, 30, 31}), all_flags(32)}},
      {"flags_of_keywords",
       named(R"((flags "true" "ok" "nan"))"),
       "$t",
       {Flags{{"true"}}, Flags{{"ok", "nan"}}, Flags{{"true", "ok", "nan"}}}},
      {"all_together",
       shape,
       "(tuple (list (option $t)) (result (list (tuple char $t)) (error f32)))",
       {Tuple{{List{}, err(Value(1.5F))}},
        Tuple{{List{{none(), some(shapes[4]), some(shapes[7])}},
               ok(Value(List{{Tuple{{U'ß', shapes[0]}}, Tuple{{U'x', shapes[3]}}}}))}}}},
  };
}

CallBudget roomy() { return {small().limits, 1s}; }

class ValueTest : public HostTest, public ::testing::WithParamInterface<Kind> {};

TEST_P(ValueTest, GoesIntoAGuestAndComesBack) {
  auto guest = load(echo_list(GetParam().defined, GetParam().type));
  auto context = small();
  context.limits.max_fuel = 100'000_fuel;
  for (const auto& value : GetParam().values) {
    const Value list = List{{value, value}};
    const auto report = engine.run(guest, "echo", {list}, context);
    ASSERT_TRUE(report) << to_json(value) << ": " << report.error();
    EXPECT_EQ(report.value(), list) << to_json(value) << " came back as " << to_json(report.value().value());
  }
  const Value all = List{GetParam().values};
  EXPECT_EQ(engine.run(guest, "echo", {all}, context).value(), all);
  EXPECT_EQ(engine.start(guest, "echo", {all}, context).wait().value(), all);
  auto instance = engine.instantiate(guest, context).value();
  EXPECT_EQ(instance.run("echo", {all}, roomy()).value(), all);
}

TEST_P(ValueTest, SurvivesItsTextForms) {
  const auto guest = load(echo_list(GetParam().defined, GetParam().type));
  for (const auto& value : GetParam().values) {
    const Value list = List{{value}};
    const auto json = to_json(list);
    const auto from_json = engine.parse_json(guest, "echo", "[" + json + "]");
    ASSERT_TRUE(from_json) << json << ": " << from_json.error();
    EXPECT_EQ(from_json->at(0), list) << json;
    const auto wave = to_wave(list);
    ASSERT_TRUE(wave) << json << ": " << wave.error();
    const auto from_wave = engine.parse_wave(guest, "echo", "(" + *wave + ")");
    ASSERT_TRUE(from_wave) << *wave << ": " << from_wave.error();
    EXPECT_EQ(from_wave->at(0), list) << *wave;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, ValueTest, ::testing::ValuesIn(kinds()),
                         [](const auto& each) { return each.param.name; });

class FlatTest : public HostTest {};

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

/// One value with the sign that it has.
template <class Number>
bool negative_zero(const Value& value) {
  const auto* number = value.get<Number>();
  return number != nullptr && *number == 0 && std::signbit(*number);
}

TEST_F(FlatTest, ZeroKeepsItsSign) {
  const auto check = [&]<class Number>(const std::string& type, Number zero) {
    const auto guest = load(echo_component("", "(param " + type + ") (result " + type + ") (local.get 0)",
                                           "(param \"v\" " + type + ") (result " + type + ")"));
    const Value value = zero;
    EXPECT_TRUE(negative_zero<Number>(*engine.run(guest, "echo", {value}, small()).value()));
    EXPECT_TRUE(negative_zero<Number>(engine.parse_json(guest, "echo", "[" + to_json(value) + "]").value().at(0)));
    EXPECT_TRUE(
        negative_zero<Number>(engine.parse_wave(guest, "echo", "(" + to_wave(value).value() + ")").value().at(0)));
  };
  check("f32", -0.0F);
  check("f64", -0.0);
}

/// What the text forms of a type take and what they do not, side by side.
struct Text {
  std::string defined, type;
  std::vector<std::string> json_taken, json_refused, wave_taken, wave_refused;
};
const std::string kRecord = named(R"((record (field "a" u8) (field "b" (option string))))");
const std::string kVariant = named(R"((variant (case "idle") (case "busy" u8)))");
const std::string kColor = named(R"((enum "red" "blue"))");
const std::string kBits = named(R"((flags "read" "write" "run"))");

class RefusalTest : public HostTest {
 protected:
  void expect_taken(const Result<std::vector<Value>>& values, const std::string& text) {
    EXPECT_TRUE(values) << text << ": " << values.error();
  }
  void expect_refused(const Result<std::vector<Value>>& values, const std::string& text) {
    ASSERT_FALSE(values) << text << " became " << to_json(values->at(0));
    const auto* kind = std::get_if<BadCall>(&values.error().kind);
    ASSERT_NE(kind, nullptr) << text << ": " << values.error().reason();
    EXPECT_EQ(kind->function, "echo");
    EXPECT_THAT(values.error().help, ::testing::HasSubstr("func(v: list<")) << text;
  }
  Result<std::vector<Value>> json(const ComponentHandle& guest, const std::string& text) {
    return engine.parse_json(guest, "echo", "[[" + text + "]]");
  }
  Result<std::vector<Value>> wave(const ComponentHandle& guest, const std::string& text) {
    return engine.parse_wave(guest, "echo", "([" + text + "])");
  }
  /// A call with such a value, in any way, is refused and harms no instance.
  void never_reaches(const std::string& defined, const std::string& type, const std::vector<Value>& refused) {
    const auto guest = load(echo_list(defined, type));
    auto instance = engine.instantiate(guest, small()).value();
    for (const auto& value : refused) {
      const Value list = List{{value}};
      for (const auto& report :
           {engine.run(guest, "echo", {list}, small()), engine.start(guest, "echo", {list}, small()).wait(),
            instance.run("echo", {list}, roomy())}) {
        EXPECT_THAT(report, Stops("bad_call")) << type << " " << to_json(value);
        EXPECT_EQ(report.outcome(), Outcome::Refused) << type << " " << to_json(value);
      }
    }
    EXPECT_FALSE(instance.spent()) << type;
  }
  void expect(const Text& row) {
    SCOPED_TRACE(row.type + " " + row.defined);
    const auto guest = load(echo_list(row.defined, row.type));
    for (const auto& text : row.json_taken) {
      expect_taken(json(guest, text), text);
    }
    for (const auto& text : row.json_refused) {
      expect_refused(json(guest, text), text);
    }
    for (const auto& text : row.wave_taken) {
      expect_taken(wave(guest, text), text);
    }
    for (const auto& text : row.wave_refused) {
      expect_refused(wave(guest, text), text);
    }
  }
};

TEST_F(RefusalTest, IntegersEndWhereTheirTypeEnds) {
  struct Row {
    std::string type;
    std::vector<std::string> taken, refused;
  };
  for (const auto& row :
       {Row{"s8", {"-128", "127"}, {"-129", "128", "255", "4294967168"}},
        Row{"u8", {"0", "255"}, {"-1", "256", "4294967296"}},
        Row{"s16", {"-32768", "32767"}, {"-32769", "32768", "65535"}},
        Row{"u16", {"0", "65535"}, {"-1", "65536", "-65535"}},
        Row{"s32", {"-2147483648", "2147483647"}, {"-2147483649", "2147483648", "4294967295"}},
        Row{"u32", {"0", "4294967295"}, {"-1", "4294967296", "-4294967295"}},
        Row{"s64", {"-9223372036854775808", "9223372036854775807"}, {"-9223372036854775809", "9223372036854775808"}},
        Row{"u64", {"0", "18446744073709551615"}, {"-1", "-9223372036854775808", "18446744073709551616"}}}) {
    const auto guest = load(echo_list("", row.type));
    auto refused = row.refused;
    refused.insert(refused.end(), {"1.5", "0.5", "-0.5", "1e30", "-1e30", "\"1\"", "true", "[1]",
                                   "99999999999999999999999", "-99999999999999999999999"});
    for (const auto& text : row.taken) {
      expect_taken(json(guest, text), row.type + " " + text);
      expect_taken(wave(guest, text), row.type + " " + text);
    }
    for (const auto& text : refused) {
      expect_refused(json(guest, text), row.type + " " + text);
      expect_refused(wave(guest, text), row.type + " " + text);
    }
    expect_refused(json(guest, "null"), row.type);
  }
}

// The largest f32 is often written with the fewest digits, a little more than it is.
TEST_F(RefusalTest, FloatsEndWhereTheirTypeEnds) {
  const auto f32 = load(echo_list("", "f32")), f64 = load(echo_list("", "f64"));
  for (const std::string text : {"3.4028234663852886e38", "-3.4028235e38", "1e-45", "1e-50", "16777217"}) {
    expect_taken(json(f32, text), text);
  }
  for (const std::string text :
       {"1e39", "-1e39", "3.5e38", "1e308", "\"1\"", "\"infinity\"", "\"NaN\"", "true", "null"}) {
    expect_refused(json(f32, text), text);
  }
  for (const std::string text : {"1e39", "1.7976931348623157e308", "-5e-324", "\"nan\"", "\"inf\"", "\"-inf\""}) {
    expect_taken(json(f64, text), text);
  }
  for (const std::string text : {"1e309", "-1e309", "\"+inf\"", "[]", "{}"}) {
    expect_refused(json(f64, text), text);
  }
}

// As its reference parser has it; docs/values.md says so.
TEST_F(RefusalTest, AFloatTooLargeBecomesInfiniteInWave) {
  const auto f32 = load(echo_list("", "f32")), f64 = load(echo_list("", "f64"));
  expect_taken(wave(f32, "3.4028235e38, -1e-50, inf, -inf, nan"), "f32");
  EXPECT_EQ(wave(f32, "1e39").value(), wave(f32, "inf").value());
  expect_taken(wave(f64, "1e39, -5e-324"), "f64");
  EXPECT_EQ(wave(f64, "-1e309").value(), wave(f64, "-inf").value());
}

TEST_F(RefusalTest, WhatIsNoValueOfItsTypeIsRefused) {
  for (const auto& row :
       {Text{"",
             "bool",
             {"true", "false"},
             {"1", "0", "\"true\"", "null"},
             {"true", "false"},
             {"1", "True", "\"true\"", "yes"}},
        Text{"",
             "char",
             {"\"x\"", "\"\\u00df\"", "\"\\ud83e\\udd80\"", "\"🦀\"", "\"\\u0000\""},
             {"\"\"", "\"ab\"", "\"e\\u0301\"", "120", "\"\\ud800\"", "\"\\udfff\"", "\"\\udd80\\ud83e\"",
              "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "null"},
             {"'x'", "'ß'", "'🦀'", "'\\u{1f980}'", "'\\u{10ffff}'", "'\\u{0}'", "'\\n'"},
             {"''", "'ab'", "'e\u0301'", "\"x\"", "120", "'\\u{d800}'", "'\\u{dfff}'", "'\\u{110000}'", "'\\u{}'",
              "'\\ud800'", "'\\x'"}},
        Text{
            "",
            "string",
            {"\"\"", "\"\\u0000\"", "\"\\ud83e\\udd80\""},
            {"1", "null", "[\"x\"]", "\"\\ud800\"", "\"x\\udfffy\"", "\"\xff\"", "\"\xed\xa0\x80\"", "\"\x01\"", "'x'"},
            {"\"\"", "\"\\u{0}\"", "\"\\u{10ffff}\""},
            {"1", "x", "'x'", "\"\\u{d800}\"", "\"\\u{110000}\"", "\"\\x\"", "\"a\nb\""}},
        Text{"",
             "(list u8)",
             {"[]", "[0, 255]"},
             {"[256]", "[-1]", "[1.5]", "\"ab\"", "{}", "null", "[1, null]"},
             {"[]", "[0, 255]"},
             {"[256]", "[-1]", "[1.5]", "\"ab\"", "(1)"}},
        Text{"",
             "(tuple u8 string)",
             {R"([1, "x"])"},
             {"[]", "[1]", R"([1, "x", 2])", R"(["x", 1])", R"({"0": 1, "1": "x"})"},
             {R"((1, "x"))"},
             {"()", "(1)", R"((1, "x", 2))", R"(("x", 1))", R"([1, "x"])"}},
        Text{kRecord,
             "$t",
             {R"({"a": 1, "b": "x"})", R"({"b": null, "a": 1})", R"({"a": 1})"},
             {"{}", R"({"b": "x"})", R"({"a": null})", R"({"a": 1, "c": 1})", R"({"A": 1})", R"({"a": 1, "": 1})",
              R"({"a": 256})", R"({"a": 1, "b": 2})", "[1]"},
             {R"({a: 1, b: some("x")})", R"({b: none, a: 1})", "{a: 1}"},
             {"{:}", R"({b: "x"})", "{a: none}", "{a: 1, c: 1}", "{A: 1}", "{a: 256}", "{a: 1, b: 2}", "(1)"}},
        Text{kVariant,
             "$t",
             {"\"idle\"", R"({"busy": 1})"},
             {"\"idl\"", "\"Idle\"", "\"busy\"", R"({"idle": null})", R"({"idle": 1})", R"({"busy": null})",
              R"({"busy": 256})", "{}", R"({"busy": 1, "idle": null})", "null", "0"},
             {"idle", "busy(1)"},
             {"idl", "Idle", "busy", "busy()", "idle(1)", "busy(none)", "busy(256)", "busy(1, 2)", "\"idle\"", "0"}},
        Text{kColor,
             "$t",
             {"\"red\""},
             {"\"green\"", "\"Red\"", "\"\"", "0", "null", R"({"red": null})"},
             {"red"},
             {"green", "Red", "0", "\"red\"", "red(1)"}},
        Text{kBits,
             "$t",
             {"[]", "[\"read\"]", R"(["read", "run"])"},
             {"[\"delete\"]", R"(["read", "Run"])", "[1]", "[null]", "\"read\"", "1", "null", R"({"read": true})"},
             {"{}", "{read}", "{read, run}"},
             {"{delete}", "{read, Run}", "{read: true}", "[read]", "read", "1"}},
        Text{"",
             "(option (option u8))",
             {"null", R"({"some": null})", R"({"some": 1})"},
             {"1", R"({"none": null})", R"({"some": 256})", R"({"some": 1, "more": 2})", R"({"some": {"some": 1}})"},
             {"none", "some(none)", "some(some(1))"},
             {"some", "some()", "some(some(256))", "none(1)", "some(some(some(1)))"}},
        Text{"",
             "(result u8 (error string))",
             {R"({"ok": 1})", R"({"err": "x"})"},
             {"1", "null", "{}", R"({"ok": null})", R"({"ok": "x"})", R"({"err": 1})", R"({"ok": 1, "err": "x"})",
              R"({"OK": 1})", "\"ok\""},
             {"ok(1)", R"(err("x"))"},
             {"ok", "err", "ok()", "ok(256)", R"(ok("x"))", "err(1)", "OK(1)"}},
        Text{"",
             "(result)",
             {R"({"ok": null})", R"({"err": null})"},
             {R"({"ok": 1})", R"({"err": ""})", "\"ok\"", "null", "{}"},
             {"ok", "err"},
             {"ok(1)", "err(none)", "none"}}}) {
    expect(row);
  }
}

// The last one does not simply win.
TEST_F(RefusalTest, WhatIsSaidTwiceIsRefused) {
  for (const auto& row : {Text{kRecord,
                               "$t",
                               {},
                               {R"({"a": 1, "a": 1})", R"({"a": 1, "a": 2})", R"({"a": 1, "b": "x", "b": null})",
                                R"({"a": 1, "b": null, "\u0062": "x"})"},
                               {},
                               {"{a: 1, a: 1}", "{a: 1, a: 2}", "{a: 1, %a: 1}", R"({a: 1, b: "x", b: none})"}},
                          Text{kVariant, "$t", {}, {R"({"busy": 1, "busy": 2})"}, {}, {}},
                          Text{"", "(option (option u8))", {}, {R"({"some": 1, "some": 2})"}, {}, {}},
                          Text{"", "(result u8)", {}, {R"({"ok": 1, "ok": 2})"}, {}, {}},
                          Text{kBits,
                               "$t",
                               {},
                               {R"(["read", "read"])", R"(["read", "run", "read"])"},
                               {},
                               {"{read, read}", "{read, run, %read}"}}}) {
    expect(row);
  }
}

// It keeps a name from being a keyword.
TEST_F(RefusalTest, APercentSignInWaveIsNoPartOfTheName) {
  for (const auto& row : {Text{kRecord, "$t", {}, {}, {"{%a: 1}", "{a: 1, %b: none}"}, {"{%c: 1}"}},
                          Text{kVariant, "$t", {}, {}, {"%idle", "%busy(1)"}, {"%busi(1)"}},
                          Text{kColor, "$t", {}, {}, {"%red"}, {"%rot", "%%red"}}}) {
    expect(row);
  }
}

// In whichever order they are written, alphabetical or not.
TEST_F(RefusalTest, FlagsComeInTheOrderOfTheirType) {
  const auto guest = load(echo_list(named(R"((flags "read" "write" "exec"))"), "$t"));
  const Value all = List{{Flags{{"read", "write", "exec"}}}};
  EXPECT_EQ(engine.run(guest, "echo", {all}, small()).value(), all);
  for (const std::string text : {R"(["read", "write", "exec"])", R"(["exec", "write", "read"])"}) {
    EXPECT_EQ(json(guest, text).value().at(0), all) << text;
  }
  for (const std::string text : {"{read, write, exec}", "{exec, write, read}"}) {
    EXPECT_EQ(wave(guest, text).value().at(0), all) << text;
  }
}

TEST_F(RefusalTest, AValueThatIsNoneOfItsTypeNeverReachesTheGuest) {
  using namespace std::string_literals;
  struct Row {
    std::string defined, type;
    std::vector<Value> refused;
  };
  const auto record = [](std::vector<std::pair<std::string, Value>> fields) {
    return Value(Record{std::move(fields)});
  };
  const Value one = std::uint8_t{1}, two = std::uint8_t{2};
  for (const auto& row :
       {Row{"", "u8", {std::int8_t{1}, std::uint16_t{1}, std::int32_t{1}, true, U'a', "1", none(), List{}}},
        Row{"", "s64", {std::int32_t{1}, std::uint64_t{1}, 1.0}}, Row{"", "f32", {1.0, std::int32_t{1}}},
        Row{"",
            "char",
            {char32_t{0xD800}, char32_t{0xDFFF}, char32_t{0x110000}, char32_t{0xFFFFFFFF}, "a", std::uint32_t{97}}},
        Row{"", "string", {U'a', ByteList{'a'}}},
        Row{"", "(list u8)", {"a", List{{std::int8_t{1}}}, List{{one, std::uint16_t{2}}}, Tuple{{one}}}},
        Row{"", "(list u16)", {ByteList{1}, List{{one}}}},
        Row{"", "(tuple u8 u8)", {Tuple{{one}}, Tuple{{one, two, one}}, List{{one, two}}, Tuple{{one, "2"}}}},
        Row{named(R"((record (field "a" u8) (field "b" u8)))"),
            "$t",
            {record({{"a", one}}), record({{"b", one}, {"a", two}}), record({{"a", one}, {"c", two}}),
             record({{"a", one}, {"a", two}}), record({{"a", one}, {"b", two}, {"b", two}}),
             record({{"a", one}, {"b", "2"}}), Tuple{{one, two}}}},
        Row{named(R"((variant (case "idle") (case "busy" u8)))"),
            "$t",
            {Variant{"idl", {}}, Variant{"idle", one}, Variant{"busy", {}}, Variant{"busy", Value("1")}, Enum{"idle"}}},
        Row{named(R"((enum "red" "blue"))"), "$t", {Enum{"green"}, Enum{""}, "red", Variant{"red", {}}}},
        Row{named(R"((flags "read" "write"))"), "$t", {Flags{{"delete"}}, Flags{{"read", ""}}, Enum{"read"}}},
        Row{"", "(option u8)", {one, some("1"), some(none())}},
        Row{"", "(result u8)", {ok(), ok(Value("1")), err(one), one}},
        Row{"", "(result)", {ok(one), err(one), none()}}}) {
    never_reaches(row.defined, row.type, row.refused);
  }
}

TEST_F(RefusalTest, TextThatIsNoUtf8NeverReachesTheGuest) {
  using namespace std::string_literals;
  never_reaches("", "string", {"\xff"s, "a\x80"s, "\xed\xa0\x80"s, "\xf4\x90\x80\x80"s, "\xc0\x80"s, "gr\xc3"s});
}

TEST_F(RefusalTest, AFlagThatIsSetTwiceNeverReachesTheGuest) {
  never_reaches(kBits, "$t", {Flags{{"read", "read"}}, Flags{{"read", "run", "read"}}});
}

}  // namespace
}  // namespace airssys::wasm::test
