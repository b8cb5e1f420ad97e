#include "support/values.hpp"

namespace airssys::wasm::test {
namespace {

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
    return parse_json(guest, "echo", "[[" + text + "]]");
  }
  Result<std::vector<Value>> wave(const ComponentHandle& guest, const std::string& text) {
    return parse_wave(guest, "echo", "([" + text + "])");
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
