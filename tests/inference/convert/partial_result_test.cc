// SPDX-License-Identifier: Apache-2.0
// An interrupted conversion goes on; what is not its own it leaves alone.
#include "inference/convert/partial_result.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "inference/convert/importance_file.h"
#include "tests/inference/convert/convert_fixture.h"
#include "verify/base/text.h"

namespace inference {
namespace {

namespace fs = std::filesystem;
using tests::ReadFile;
using tests::TempDir;
using verify::DType;
using verify::ErrorCode;
using verify::StrCat;

// A tiny model, what a conversion gives without interruption, and the ways to
// interrupt one. Units of 1000 bytes: 80 of them.
class PartialResultTest : public testing::Test {
 protected:
  PartialResultTest()
      : config_(tests::TinyConfig()),
        input_(WriteMistralFolder(dir_, "in", config_)),
        output_(dir_.File("out/out.gguf")),
        partial_(output_ + ".partial"),
        journal_(output_ + ".partial-journal") {
    fs::create_directory(dir_.File("out"));
    auto options = Options();
    options.output = dir_.File("whole.gguf");
    EXPECT_TRUE(ConvertNow(options));
    whole_ = ReadFile(options.output);
  }

  ConvertOptions Options() const {
    return {.input = input_,
            .output = output_,
            .to = DType::kQ8_0,
            .unit_bytes = 1000};
  }

  // Cut off after so many units.
  void Interrupt(const ConvertOptions& options, int units) {
    CancellingSink sink(units);
    const auto outcome = Convert(options, sink.token(), &sink);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, ErrorCode::kCancelled);
    EXPECT_NE(outcome.error().hint.find("run the same command again"),
              std::string::npos);
    EXPECT_FALSE(fs::exists(options.output));
    EXPECT_TRUE(fs::exists(options.output + ".partial"));
    EXPECT_TRUE(fs::exists(options.output + ".partial-journal"));
  }

  // Goes on to the end; the bytes that were there already.
  uint64_t Resume(const ConvertOptions& options) {
    const auto outcome = ConvertNow(options);
    EXPECT_TRUE(outcome) << outcome.error().ToString();
    if (!outcome) return 0;
    EXPECT_FALSE(fs::exists(options.output + ".partial"));
    EXPECT_FALSE(fs::exists(options.output + ".partial-journal"));
    return outcome->resumed_bytes;
  }

  void ExpectWhole() { EXPECT_TRUE(ReadFile(output_) == whole_); }

  void Overwrite(const std::string& path, uint64_t offset,
                 std::string_view bytes) {
    const int fd = ::open(path.c_str(), O_WRONLY);
    ASSERT_GE(fd, 0);
    EXPECT_EQ(
        ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset)),
        static_cast<ssize_t>(bytes.size()));
    ::close(fd);
  }

  const TempDir dir_;
  const verify::ModelConfig config_;
  const std::string input_;
  const std::string output_;
  const std::string partial_;
  const std::string journal_;
  std::string whole_;
};

TEST_F(PartialResultTest, GoesOnWhereItWasCutOff) {
  Interrupt(Options(), 10);
  const auto again = Options();
  std::optional<ConvertForecast> forecast;
  auto options = again;
  options.on_forecast = [&](const ConvertForecast& f) { forecast = f; };
  const uint64_t resumed = Resume(options);
  // Ten units of 952 to 1000 bytes: whole rows of 68 or 102, norms of 256.
  EXPECT_GE(resumed, 10 * 800u);
  EXPECT_LE(resumed, 10 * 1100u);
  ExpectWhole();
  ASSERT_TRUE(forecast.has_value());
  EXPECT_EQ(forecast->resume_bytes, resumed);
  EXPECT_EQ(forecast->total_bytes, whole_.size());
  EXPECT_EQ(forecast->needed_bytes, 0u);  // its space was taken at once
  EXPECT_TRUE(forecast->notes.empty());
}

TEST_F(PartialResultTest, GoesOnSeveralTimes) {
  for (const int units : {1, 12, 30, 50}) Interrupt(Options(), units);
  EXPECT_GT(Resume(Options()), 40 * 800u);
  ExpectWhole();
}

TEST_F(PartialResultTest, DoesNotDependOnThreadsWhenItGoesOn) {
  auto options = Options();
  options.num_threads = 1;
  Interrupt(options, 20);
  options.num_threads = 3;
  EXPECT_GT(Resume(options), 0u);
  ExpectWhole();
}

TEST_F(PartialResultTest, LeavesNothingIfNothingWasWritten) {
  verify::CancelToken cancel;
  cancel.Cancel();
  const auto outcome = Convert(Options(), cancel, nullptr);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kCancelled);
  EXPECT_TRUE(fs::is_empty(dir_.File("out")));
}

// What weighs errors decides the bytes.
TEST_F(PartialResultTest, GoesOnWithTheSameImportanceAlone) {
  ImportanceMatrix matrix;
  matrix.dataset = "a";
  ImportanceEntry& entry = matrix.entries["blk.1.ffn_up_exps.weight"];
  entry = {.cols = 64, .sums = std::vector<float>(192, 1), .counts = {9, 9, 9}};
  const auto save = [&](const char* name) {
    return dir_.Write(name, SerializeImportance(matrix));
  };
  const std::string first = save("first.gguf");
  entry.sums[5] = 40;
  const std::string second = save("second.gguf");
  auto options = Options();
  options.to = DType::kQ4_0;
  options.importance.from = ImportanceChoice::From::kFile;
  options.importance.file = first;
  Interrupt(options, 10);
  EXPECT_GT(Resume(options), 0u);
  const std::string with_first = ReadFile(output_);
  fs::remove(output_);

  Interrupt(options, 10);
  options.importance.file = second;
  std::optional<ConvertForecast> forecast;
  options.on_forecast = [&](const ConvertForecast& f) { forecast = f; };
  EXPECT_EQ(Resume(options), 0u);
  ASSERT_TRUE(forecast.has_value());
  EXPECT_NE(forecast->notes.back().find("started anew"), std::string::npos);
  ASSERT_TRUE(forecast->importance.has_value());
  EXPECT_EQ(forecast->importance->num_tensors, 1u);
  EXPECT_EQ(forecast->importance->dataset, "a");
  EXPECT_FALSE(ReadFile(output_) == with_first);
}

TEST_F(PartialResultTest, StartsAnewForOtherOptions) {
  Interrupt(Options(), 10);
  auto options = Options();
  options.to = DType::kBF16;
  std::vector<std::string> notes;
  options.on_forecast = [&](const ConvertForecast& f) { notes = f.notes; };
  EXPECT_EQ(Resume(options), 0u);
  ASSERT_EQ(notes.size(), 1u);
  EXPECT_NE(notes[0].find("started anew"), std::string::npos);
  fs::remove(output_);
  EXPECT_EQ(Resume(Options()), 0u);
  ExpectWhole();
}

TEST_F(PartialResultTest, StartsAnewForAChangedSource) {
  Interrupt(Options(), 10);
  // The same bytes in a new file.
  const std::string weights = input_ + "/consolidated.safetensors";
  fs::copy_file(weights, weights + ".new");
  fs::rename(weights + ".new", weights);
  EXPECT_EQ(Resume(Options()), 0u);
  ExpectWhole();
}

TEST_F(PartialResultTest, StartsAnewAfterABadJournal) {
  for (const std::string& journal :
       {std::string(), std::string("GGUF"), std::string(100'000, '\0')}) {
    Interrupt(Options(), 10);
    dir_.Write("out/out.gguf.partial-journal", journal);
    EXPECT_EQ(Resume(Options()), 0u);
    ExpectWhole();
    fs::remove(output_);
  }
}

TEST_F(PartialResultTest, BelievesNoJournalWithoutLookingAtTheData) {
  // Blocks that never reached the disk, and a file that is gone.
  Interrupt(Options(), 30);
  Overwrite(partial_, whole_.size() / 8, std::string(40, 'x'));
  const uint64_t damaged = Resume(Options());
  EXPECT_GT(damaged, 0u);
  ExpectWhole();
  fs::remove(output_);
  Interrupt(Options(), 30);
  fs::remove(partial_);
  EXPECT_LT(Resume(Options()), damaged);
  ExpectWhole();
}

TEST_F(PartialResultTest, GoesOnFromATornJournal) {
  Interrupt(Options(), 30);
  fs::resize_file(journal_, fs::file_size(journal_) - 5);
  EXPECT_GT(Resume(Options()), 0u);
  ExpectWhole();
}

TEST_F(PartialResultTest, LetsTwoAtItOnlyOneAfterTheOther) {
  Interrupt(Options(), 10);
  const int fd = ::open(journal_.c_str(), O_RDWR);
  ASSERT_EQ(::flock(fd, LOCK_EX | LOCK_NB), 0);
  const auto outcome = ConvertNow(Options());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kBusy);
  EXPECT_EQ(outcome.error().id, "E-LOCKED");
  ::close(fd);
  EXPECT_GT(Resume(Options()), 0u);
}

TEST_F(PartialResultTest, LeavesAloneWhatIsNotItsOwn) {
  dir_.Write("out/out.gguf.partial", "precious");
  auto outcome = ConvertNow(Options());
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().id, "E-EXISTS");
  EXPECT_EQ(ReadFile(partial_), "precious");
  fs::remove(partial_);

  // A folder with more in it than files of weights.
  auto options = Options();
  options.to = DType::kBF16;
  options.form = ResultForm::kHuggingFace;
  options.output = dir_.File("hf");
  Interrupt(options, 3);
  dir_.Write("hf.partial/mine/precious", "precious");
  options.to = DType::kF32;
  outcome = ConvertNow(options);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().id, "E-EXISTS");
  EXPECT_EQ(ReadFile(dir_.File("hf.partial/mine/precious")), "precious");

  // Links are not followed.
  dir_.Write("victim", "precious");
  fs::create_symlink(dir_.File("victim"), journal_);
  EXPECT_FALSE(ConvertNow(Options()));
  EXPECT_EQ(ReadFile(dir_.File("victim")), "precious");
  EXPECT_TRUE(fs::is_symlink(journal_));
}

TEST_F(PartialResultTest, GoesOnWithFolders) {
  auto options = Options();
  options.to = DType::kF16;
  options.form = ResultForm::kHuggingFace;
  options.split_bytes = 40'000;
  options.output = dir_.File("uncut");
  Resume(options);
  options.output = dir_.File("hf");
  Interrupt(options, 25);
  EXPECT_TRUE(fs::is_directory(options.output + ".partial"));
  EXPECT_GT(Resume(options), 0u);
  size_t count = 0;
  for (const auto& entry : fs::directory_iterator(dir_.File("uncut"))) {
    const std::string name = entry.path().filename().string();
    EXPECT_TRUE(ReadFile(StrCat(options.output, "/", name)) ==
                ReadFile(entry.path().string()))
        << name;
    ++count;
  }
  EXPECT_GT(count, 4u);
}

TEST_F(PartialResultTest, NoticesASourceThatChangesMeanwhile) {
  auto options = Options();
  options.on_forecast = [&](const ConvertForecast&) {
    Overwrite(input_ + "/consolidated.safetensors",
              fs::file_size(input_ + "/consolidated.safetensors") - 1, "\1");
  };
  auto outcome = ConvertNow(options);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, ErrorCode::kMismatch);
  EXPECT_EQ(outcome.error().id, "E-CHANGED");
  EXPECT_TRUE(fs::is_empty(dir_.File("out")));
}

TEST_F(PartialResultTest, NoticesASourceThatBecomesShorter) {
  auto options = Options();
  options.on_forecast = [&](const ConvertForecast&) {
    fs::resize_file(input_ + "/consolidated.safetensors", 8192);
  };
  const auto outcome = ConvertNow(options);
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().id, "E-CHANGED");
  EXPECT_TRUE(fs::is_empty(dir_.File("out")));
}

}  // namespace
}  // namespace inference
