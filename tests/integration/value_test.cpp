#include "support/values.hpp"

namespace airssys::wasm::test {
namespace {

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
    const auto from_json = parse_json(guest, "echo", "[" + json + "]");
    ASSERT_TRUE(from_json) << json << ": " << from_json.error();
    EXPECT_EQ(from_json->at(0), list) << json;
    const auto wave = to_wave(list);
    ASSERT_TRUE(wave) << json << ": " << wave.error();
    const auto from_wave = parse_wave(guest, "echo", "(" + *wave + ")");
    ASSERT_TRUE(from_wave) << *wave << ": " << from_wave.error();
    EXPECT_EQ(from_wave->at(0), list) << *wave;
  }
}

INSTANTIATE_TEST_SUITE_P(Every, ValueTest, ::testing::ValuesIn(kinds()),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace airssys::wasm::test
