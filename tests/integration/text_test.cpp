#include "support/host.hpp"

namespace airssys::wasm::test {
namespace {

/// `take` has one parameter of the type `inner` around the record `item`, whose `b` may be left out.
class TextTest : public HostTest {
 protected:
  ComponentHandle taking(const std::string& inner) {
    return load(R"((component
      (type $i' (record (field "a" u32) (field "b" (option string)))) (export $item "item" (type $i'))
      (type $c' (enum "red" "green" "none")) (export $color "color" (type $c'))
      (type $f' (variant (case "circle" u8) (case "dot"))) (export $figure "figure" (type $f'))
      (type $r' (flags "read" "write" "true")) (export $rights "rights" (type $r'))
      (core module $m (memory (export "mem") 1) (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 16)
        (func (export "run") (param )" +
                std::string(core_parameters) + R"()))
      (core instance $i (instantiate $m))
      (func (export "take") (param "v" )" +
                inner + R"() (canon lift (core func $i "run") (memory $i "mem") (realloc (func $i "realloc"))))))");
  }
  std::string_view core_parameters = "i32 i32 i32 i32";
};

TEST_F(TextTest, WaveAndJsonMeanTheSameValues) {
  const auto guest = taking("$item");
  const auto wave = parse_wave(guest, "take", R"(({a: 1, b: "x"}))");
  const auto json = parse_json(guest, "take", R"([{"a": 1, "b": "x"}])");
  ASSERT_TRUE(wave) << wave.error();
  ASSERT_TRUE(json) << json.error();
  EXPECT_EQ(*wave, *json);
  EXPECT_EQ(to_wave(wave->at(0)).value(), R"({a: 1, b: some("x")})");
  EXPECT_EQ(parse_json(guest, "take", "[" + to_json(wave->at(0)) + "]").value(), *wave);
}

TEST_F(TextTest, AFieldThatIsNotThereIsRefusedWhereverItIs) {
  struct Row {
    std::string type, core, wave, json;
  };
  const std::string bad = R"({a: 1, bb: "x"})", bad_json = R"({"a": 1, "bb": "x"})";
  for (const auto& row :
       {Row{"$item", "i32 i32 i32 i32", bad, bad_json},
        Row{"(list $item)", "i32 i32", "[" + bad + "]", "[" + bad_json + "]"},
        Row{"(tuple u8 $item)", "i32 i32 i32 i32 i32", "(1, " + bad + ")", "[1, " + bad_json + "]"},
        Row{"(option $item)", "i32 i32 i32 i32 i32", bad, bad_json},
        Row{"(option $item)", "i32 i32 i32 i32 i32", "some(" + bad + ")", bad_json},
        Row{"(result $item (error $item))", "i32 i32 i32 i32 i32", "ok(" + bad + ")", R"({"ok": )" + bad_json + "}"},
        Row{"(result $item (error $item))", "i32 i32 i32 i32 i32", "err(" + bad + ")",
            R"({"err": )" + bad_json + "}"}}) {
    SCOPED_TRACE(row.type + " " + row.wave);
    core_parameters = row.core;
    const auto guest = taking(row.type);
    const auto wave = parse_wave(guest, "take", "(" + row.wave + ")");
    ASSERT_FALSE(wave);
    EXPECT_EQ(wave.error().reason(), "bad_call");
    EXPECT_THAT(wave.error().guest_text, ::testing::HasSubstr("there is no field bb"));
    const auto json = parse_json(guest, "take", "[" + row.json + "]");
    ASSERT_FALSE(json);
    EXPECT_EQ(json.error().reason(), "bad_call");
    EXPECT_THAT(json.error().message, ::testing::HasSubstr("there is no field bb"));
  }
}

// Characters count from 1, as people count them, in what was given.
TEST_F(TextTest, WhatDoesNotFitIsNamedWithItsPlace) {
  struct Row {
    std::string type, core, wave, place, cause;
  };
  for (const auto& row : {Row{"u8", "i32", "(-1)", "2: -1", "expected a u8, which is 0 to 255"},
                          Row{"u8", "i32", "(256)", "2: 256", "expected a u8, which is 0 to 255"},
                          Row{"string", "i32 i32", "(hello)", "2: hello", "expected a string"},
                          Row{"(list u8)", "i32 i32", "([1, 2, 300])", "9: 300", "expected a u8"},
                          Row{"(list u8)", "i32 i32", "(7)", "2: 7", "expected a list"},
                          Row{"$item", "i32 i32 i32 i32", "({a: x, b: \"y\"})", "6: x", "expected a u32"},
                          Row{"$item", "i32 i32 i32 i32", "({a: 1, bb: \"y\"})", "9: bb", "there is no field bb"},
                          Row{"$item", "i32 i32 i32 i32", "({b: \"y\"})", "2: {", "the field a is missing"},
                          Row{"$color", "i32", "(rad)", "2: rad", "expected one of red, green, none"},
                          Row{"$rights", "i32", "({read, wrote})", "9: wrote", "expected some of read, write, true"},
                          Row{"(tuple u8 u8)", "i32 i32", "((1, 2, 3))", "2: (", "expected a tuple of 2 values"},
                          Row{"$figure", "i32 i32", "(circle)", "2: circle",
                              "circle takes a payload, a u8, which is 0 to 255: circle(...)"},
                          Row{"$figure", "i32 i32", "(dot(1))", "2: dot", "dot takes no payload"},
                          Row{"(tuple string u8)", "i32 i32 i32", "((\"\u00e9\u00e9\", x))", "9: x", "expected a u8"},
                          Row{"u8", "i32", "(1, 2)", "5: 2", "it takes 1 argument and is given 2"},
                          Row{"u8", "i32", "(NaN)", "3: NaN", "this is not expected here"}}) {
    SCOPED_TRACE(row.type + " " + row.wave);
    core_parameters = row.core;
    const auto values = parse_wave(taking(row.type), "take", row.wave);
    ASSERT_FALSE(values);
    EXPECT_EQ(values.error().message, "the arguments of take do not fit at character " + row.place);
    EXPECT_THAT(values.error().guest_text, ::testing::StartsWith(row.cause));
  }
}

TEST_F(TextTest, LabelsThatAreWordsOfWaveAreTakenWithAMarkAlsoInFlags) {
  core_parameters = "i32";
  const auto rights = taking("$rights");
  EXPECT_EQ(parse_wave(rights, "take", "({%true, read})").value(),
            parse_wave(rights, "take", "({true, read})").value());
  EXPECT_TRUE(parse_wave(rights, "take", "({%true})"));
  const auto color = taking("$color");
  EXPECT_TRUE(parse_wave(color, "take", "(%none)"));
  EXPECT_THAT(parse_wave(color, "take", "(none)").error().help, ::testing::StartsWith("write %none"));
}

TEST_F(TextTest, ACaseWithTheWrongPayloadIsNotSuggestedAgain) {
  core_parameters = "i32 i32";
  const auto figure = taking("$figure");
  EXPECT_THAT(parse_json(figure, "take", R"(["circle"])").error().message,
              ::testing::HasSubstr(R"(case circle: write it with its payload: {"circle": ...})"));
  EXPECT_THAT(parse_json(figure, "take", R"([{"dot": 1}])").error().message,
              ::testing::HasSubstr(R"(case dot: it has no payload, write "dot")"));
  EXPECT_THAT(parse_wave(figure, "take", "(circle)").error().help,
              ::testing::Not(::testing::HasSubstr("did you mean")));
}

TEST_F(TextTest, JsonThatCannotBeTakenSaysWhy) {
  const auto guest = taking("$item");
  constexpr std::size_t kDeep = 100'000;
  for (const auto& [text, why] :
       {std::pair{std::string(kDeep, '[') + std::string(kDeep, ']'), "nests deeper"},
        std::pair{std::string("["), "unexpected end of input"}, std::pair{std::string("[1e400]"), "beyond 1.8e308"},
        std::pair{std::string("{}"), "not a JSON array"}, std::pair{std::string("[1, 2]"), "takes 1 argument, got 2"},
        std::pair{std::string("[3]"), "argument v"}}) {
    const auto values = parse_json(guest, "take", text);
    ASSERT_FALSE(values) << why;
    EXPECT_EQ(values.error().reason(), "bad_call");
    EXPECT_THAT(values.error().message, ::testing::HasSubstr(why));
  }
}

// The report of a temporary handle is a copy, so this does not dangle.
TEST_F(TextTest, ATemporaryExecutionGivesItsReportAway) {
  const auto guest = load(component(R"((func (export "run") (result i32) i32.const 42))", kRun));
  const Report& report = engine.start(guest, "run", {}, small()).wait();
  EXPECT_EQ(report.value(), Value(std::int32_t{42}));
}

}  // namespace
}  // namespace airssys::wasm::test
