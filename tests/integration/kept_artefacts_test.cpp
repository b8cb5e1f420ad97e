#include "support/load.hpp"

namespace airssys::wasm::test {
namespace {

class KeptArtefactsTest : public LoadTest {};

// What others could have written is not trusted: native code would run with our rights.
TEST_F(KeptArtefactsTest, ACacheThatOthersCanWriteIsNotUsed) {
  const Scratch scratch;
  const auto& directory = scratch.path();
  auto settings = config();
  settings.cache_directory = directory;
  const auto wat = component(R"((func (export "run") (result i32) i32.const 42))", kRun);
  const auto files = [&] { return std::distance(std::filesystem::directory_iterator(directory), {}); };
  {
    auto trusting = WasmEngine::create(settings).value();
    EXPECT_THAT(trusting.load_text(wat).value().notes(), ::testing::IsEmpty());
    EXPECT_FALSE(trusting.flush_cache());
    EXPECT_EQ(files(), 1);
  }
  std::filesystem::permissions(directory, std::filesystem::perms::all);
  auto wary = WasmEngine::create(settings).value();
  const auto guest = wary.load_text(wat).value();
  EXPECT_THAT(guest.notes(), ::testing::ElementsAre(::testing::HasSubstr("can be written by others")));
  EXPECT_EQ(wary.run(guest, "run", {}, small()).value(), Value(std::int32_t{42}));
}

// Nor is a file in it: here it holds another component's code.
TEST_F(KeptArtefactsTest, AnArtefactThatOthersCanWriteIsNotUsed) {
  const Scratch scratch;
  const auto answer = [&](int n) {
    auto settings = config();
    settings.cache_directory = scratch.path() / std::to_string(n);
    auto host = WasmEngine::create(settings).value();
    const auto text = component("(func (export \"run\") (result i32) i32.const " + std::to_string(n) + ")", kRun);
    return host.run(host.load_text(text).value(), "run", {}, small()).value();
  };
  const auto kept = [&](int n) {
    const auto directory = scratch.path() / std::to_string(n);
    // What was used again lies there.
    const auto again = directory / "again";
    const bool protected_one = std::filesystem::exists(again) && !std::filesystem::is_empty(again);
    return std::filesystem::directory_iterator(protected_one ? again : directory)->path();
  };
  static_cast<void>(answer(1));
  static_cast<void>(answer(2));
  std::filesystem::copy_file(kept(1), kept(2), std::filesystem::copy_options::overwrite_existing);
  std::filesystem::permissions(kept(2), std::filesystem::perms::others_write, std::filesystem::perm_options::add);
  EXPECT_EQ(answer(2), Value(std::int32_t{2}));
  // Nor does one that is no file hold anybody up.
  const auto path = kept(2);
  std::filesystem::remove(path);
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(answer(2), Value(std::int32_t{2}));
}

// A file in which a bit has turned, wherever it be, is native code that would do anything: it is compiled anew.
TEST_F(KeptArtefactsTest, ADamagedArtefactIsReplaced) {
  const Scratch scratch;
  auto settings = config();
  settings.cache_directory = scratch.path();
  auto host = WasmEngine::create(settings).value();
  const auto wat = component(R"((func (export "run") (result i32) i32.const 42))", kRun);
  static_cast<void>(host.load_text(wat).value());
  ASSERT_FALSE(host.flush_cache());
  const auto kept = std::filesystem::directory_iterator(scratch.path())->path();
  const auto content = [&] {
    std::ifstream in(kept, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  const auto sound = content();
  std::vector<std::string> damaged = {"", "no artefact", sound + '\0', sound.substr(0, sound.size() - 1)};
  constexpr std::size_t kStep = 997;
  for (std::size_t at = 0; at < sound.size(); at += kStep) {
    damaged.push_back(sound);
    damaged.back()[at] = static_cast<char>(sound[at] ^ (1 << at % 8));
  }
  for (const auto& bytes : damaged) {
    std::ofstream(kept, std::ios::binary) << bytes;
    const auto guest = host.load_text(wat);
    ASSERT_TRUE(guest) << guest.error();
    EXPECT_FALSE(guest->load_usage().from_cache);
    EXPECT_EQ(host.run(*guest, "run", {}, small()).value(), Value(std::int32_t{42}));
    ASSERT_FALSE(host.flush_cache());
    EXPECT_EQ(content(), sound) << "compiled again, to the same";
  }
}

}  // namespace
}  // namespace airssys::wasm::test
