#include "support/host.hpp"

namespace airssys::wasm::test {
namespace {

/// `take` has one parameter of the type `inner` around the record `item`, whose `b` may be left out.
class TextTest : public HostTest {
 protected:
  ComponentHandle taking(const std::string& inner) {
    return load(R"((component
      (type $i' (record (field "a" u32) (field "b" (option string)))) (export $item "item" (type $i'))
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

TEST_F(TextTest, JsonThatCannotBeTakenSaysWhy) {
  const auto guest = taking("$item");
  constexpr std::size_t kDeep = 100'000;
  for (const auto& [text, why] :
       {std::pair{std::string(kDeep, '[') + std::string(kDeep, ']'), "nests deeper"},
        std::pair{std::string("["), "unexpected end of input"}, std::pair{std::string("[1e400]"), "number overflow"},
        std::pair{std::string("{}"), "no JSON array"}, std::pair{std::string("[1, 2]"), "takes 1 argument, got 2"},
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
