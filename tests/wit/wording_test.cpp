#include "wit/wording.hpp"

#include <gtest/gtest.h>

#include "wit/type_text.hpp"
#include "wit/types_of_tests.hpp"

namespace airssys::wasm::wit {
namespace {

using Kind = Type::Kind;

Type enumeration(int cases) {
  auto out = type(Kind::Enum);
  for (int i = 0; i < cases; ++i) {
    out.members.push_back({"icon-" + std::to_string(i), nullptr});
  }
  return out;
}

FunctionType taking(Type one) { return {{{"x", std::move(one)}}, {}, false}; }

TEST(WordingTest, ALongTypeIsALine) {
  const auto many = enumeration(1424);
  EXPECT_EQ(brief(many), "enum { icon-0, icon-1, icon-2, icon-3, icon-4, icon-5, ... 1418 more }");
  EXPECT_EQ(expected(many), "one of icon-0, icon-1, icon-2, icon-3, icon-4, icon-5, ... (1424 in all)");
  EXPECT_EQ(expected(enumeration(2)), "one of icon-0, icon-1");
  auto record = type(Kind::Record), tuple = type(Kind::Tuple);
  FunctionType function;
  for (int i = 0; i < 9; ++i) {
    record.members.push_back({"f" + std::to_string(i), pointer(Kind::U8)});
    tuple.members.push_back({"", pointer(Kind::U8)});
    function.parameters.push_back({"p" + std::to_string(i), type(Kind::U8)});
  }
  function.result = tuple;
  EXPECT_EQ(brief(record), "record { f0: u8, f1: u8, f2: u8, f3: u8, f4: u8, f5: u8, ... 3 more }");
  EXPECT_EQ(brief(tuple), "tuple<u8, u8, u8, u8, u8, u8, ... 3 more>");
  EXPECT_EQ(
      brief(function),
      "func(p0: u8, p1: u8, p2: u8, p3: u8, p4: u8, p5: u8, ... 3 more) -> tuple<u8, u8, u8, u8, u8, u8, ... 3 more>");
  auto deep = type(Kind::U8);
  for (int i = 0; i < 100; ++i) {
    deep = type(Kind::List, {{"", std::make_shared<Type>(deep)}});
  }
  EXPECT_EQ(brief(deep), "list<list<list<list<list<...>>>>>");
  auto named = type(Kind::Enum, {{std::string(10'000, 'n'), nullptr}});
  EXPECT_LT(brief(named).size(), 100U);
}

TEST(WordingTest, ARangeIsNamedForWholeNumbers) {
  EXPECT_EQ(expected(type(Kind::U8)), "a u8 (0 to 255)");
  EXPECT_EQ(expected(type(Kind::S64)), "an s64 (-9223372036854775808 to 9223372036854775807)");
  EXPECT_EQ(expected(type(Kind::Option, {{"", pointer(Kind::U8)}})), "an option<u8>");
}

TEST(WordingTest, TheWordAroundAPlaceIsFound) {
  EXPECT_EQ(word_at("(1, hello, 3)", 4), "hello");
  EXPECT_EQ(word_at("(1, hello, 3)", 6), "hello");
  EXPECT_EQ(word_at("({})", 1), "{}");
  EXPECT_EQ(word_at("([1])", 1), "[");
  EXPECT_EQ(word_at("(x", 9), "x");
  EXPECT_EQ(word_at("", 0), "");
}

/// What stands before the function's type.
std::string hint(std::string_view word, std::optional<Kind> kind, const FunctionType& type) {
  const auto all = wave_help(word, kind, type);
  return all.substr(0, all.find("   (its type is "));
}

TEST(WordingTest, TheHelpFitsTheMistake) {
  const auto text = taking(type(Kind::String)), real = taking(type(Kind::F64)), letter = taking(type(Kind::Char));
  EXPECT_EQ(hint("hello", Kind::String, text), "write a string in quotes: \"hello\"");
  EXPECT_EQ(hint("\"abc", std::nullopt, text), "close the string with a quote");
  EXPECT_EQ(hint("x", Kind::Char, letter), "write a char in quotes: 'x'");
  for (const auto* word : {"NaN", "Inf", "-Infinity", "infinity"}) {
    EXPECT_EQ(hint(word, std::nullopt, real), "write nan, inf or -inf, in small letters");
  }
  const auto color = taking(type(Kind::Enum, {{"red", nullptr}, {"green", nullptr}, {"none", nullptr}}));
  EXPECT_EQ(hint("none", Kind::Enum, color), "write %none, since none is a word of WAVE's own");
  EXPECT_EQ(hint("Red", std::nullopt, color), "did you mean red?");
  EXPECT_EQ(hint("gren", Kind::Enum, color), "did you mean green?");
  EXPECT_EQ(hint("purple", Kind::Enum, color), "its type is func(x: enum { red, green, none })");
  const auto record = taking(type(Kind::Record, {{"a", pointer(Kind::Option, {{"", pointer(Kind::U8)}})}}));
  EXPECT_EQ(hint("{}", Kind::Record, record), "a record is written {name: value}, and {:} where nothing is given");
  EXPECT_EQ(hint("c", Kind::Record, record), "its type is func(x: record { a: option<u8> })")
      << "a name of one other letter was not meant";
}

}  // namespace
}  // namespace airssys::wasm::wit
