// SPDX-License-Identifier: Apache-2.0
#include "verify/checkpoint/pickle_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/support/byte_builder.h"
#include "tests/support/expect_error.h"
#include "tests/support/pickle_builder.h"

namespace verify {
namespace {

using tests::ByteBuilder;
using tests::ExpectError;
using tests::PickleBuilder;

Result<PickleTree> Read(const std::string& bytes) {
  return ReadPickle(AsBytes(bytes));
}

void ExpectCorrupt(const PickleBuilder& pickle, std::string_view part,
                   std::string_view id = "E-PICKLE") {
  ExpectError(Read(pickle.str()), ErrorCode::kCorrupt, part, id);
}

TEST(PickleReaderTest, ReadsScalars) {
  // The bytes of pickle.dumps((None, True, -2, 1.5, 'é', 2**40), protocol=2)
  // as CPython 3.11 writes them, without memo.
  const std::string bytes =
      std::string("\x80\x02(N\x88J\xfe\xff\xff\xffG", 11) +
      std::string("\x3f\xf8\0\0\0\0\0\0", 8) +
      std::string("X\x02\0\0\0\xc3\xa9\x8a\x06\0\0\0\0\0\x01t.", 17);
  const auto tree = Read(bytes);
  ASSERT_TRUE(tree) << tree.error().ToString();
  const PickleValue& root = (*tree)[tree->root()];
  ASSERT_EQ(root.kind, PickleKind::kTuple);
  const auto items = tree->Items(root);
  ASSERT_EQ(items.size(), 6u);
  EXPECT_EQ((*tree)[items[0]].kind, PickleKind::kNone);
  EXPECT_TRUE((*tree)[items[1]].boolean);
  EXPECT_EQ((*tree)[items[2]].integer, -2);
  EXPECT_EQ((*tree)[items[3]].real, 1.5);
  EXPECT_EQ((*tree)[items[4]].text, "\xc3\xa9");
  EXPECT_EQ((*tree)[items[5]].integer, int64_t{1} << 40);
}

TEST(PickleReaderTest, ReadsLong1AsTwosComplement) {
  const auto read = [](std::string_view bytes) {
    const PickleBuilder pickle = PickleBuilder().Raw(bytes).Op('.');
    const auto tree = Read(pickle.str());
    EXPECT_TRUE(tree);
    return (*tree)[tree->root()].integer;
  };
  // Examples of pickle's encode_long.
  EXPECT_EQ(read(std::string_view("\x8a\x00", 2)), 0);
  EXPECT_EQ(read(std::string_view("\x8a\x02\xff\x00", 4)), 255);
  EXPECT_EQ(read("\x8a\x02\xff\x7f"), 32767);
  EXPECT_EQ(read(std::string_view("\x8a\x02\x00\xff", 4)), -256);
  EXPECT_EQ(read("\x8a\x01\x80"), -128);
  ExpectError(Read(PickleBuilder().Raw("\x8a\x09").Raw("123456789.").str()),
              ErrorCode::kLimit, "9 bytes");
}

TEST(PickleReaderTest, ReadsDictsListsAndMemo) {
  const auto pickle = PickleBuilder()
                          .Op('}')
                          .Put(0)
                          .Op('(')
                          .Text("a")
                          .Put(300)
                          .Raw("](")
                          .Int(1)
                          .Int(2)
                          .Raw("e")
                          .Text("b")
                          .Get(300)
                          .Op('u')
                          .Text("c")
                          .Raw("Ns.");
  const auto tree = Read(pickle.str());
  ASSERT_TRUE(tree) << tree.error().ToString();
  const auto items = tree->Items((*tree)[tree->root()]);
  ASSERT_EQ(items.size(), 6u);
  EXPECT_EQ(tree->Items((*tree)[items[1]]).size(), 2u);
  EXPECT_EQ((*tree)[items[3]].text, "a");  // by way of the memo
  EXPECT_EQ((*tree)[items[5]].kind, PickleKind::kNone);
}

TEST(PickleReaderTest, ReadsOrderedDictWithState) {
  const auto pickle = PickleBuilder()
                          .Global("collections", "OrderedDict")
                          .Raw(")R")
                          .Raw("(")
                          .Text("a")
                          .Int(1)
                          .Raw("u}")
                          .Text("_metadata")
                          .Raw("Nsb.");
  const auto tree = Read(pickle.str());
  ASSERT_TRUE(tree) << tree.error().ToString();
  const PickleValue& root = (*tree)[tree->root()];
  EXPECT_EQ(root.kind, PickleKind::kOrderedDict);
  EXPECT_EQ(tree->Items(root).size(), 2u);
}

TEST(PickleReaderTest, ReadsTensorInParameterAndTypedTensor) {
  const auto parameter = PickleBuilder()
                             .Global("torch._utils", "_rebuild_parameter")
                             .Op('(')
                             .Tensor("HalfStorage", "0", 4, 0, {4}, {1})
                             .Raw("\x88")
                             .Global("collections", "OrderedDict")
                             .Raw(")RtR.");
  const auto first = Read(parameter.str());
  ASSERT_TRUE(first) << first.error().ToString();
  EXPECT_EQ((*first)[first->root()].kind, PickleKind::kTensorV2);

  const auto typed = PickleBuilder()
                         .Global("torch._tensor", "_rebuild_from_type_v2")
                         .Op('(')
                         .Global("torch._utils", "_rebuild_tensor_v2")
                         .Global("torch.nn.parameter", "Parameter")
                         .Op('(')
                         .Storage("HalfStorage", "0", 4)
                         .Int(0)
                         .Tuple({4})
                         .Tuple({1})
                         .Raw("\x89")
                         .Raw("N")
                         .Raw("t}tR.");
  const auto second = Read(typed.str());
  ASSERT_TRUE(second) << second.error().ToString();
  EXPECT_EQ((*second)[second->root()].kind, PickleKind::kTensorV2);
}

// What malicious models carry. The names must come out whole, with the place.
TEST(PickleReaderTest, C11RefusesForeignGlobalsByName) {
  struct Case {
    const char* module;
    const char* name;
  };
  for (const Case& c :
       {Case{"os", "system"}, Case{"posix", "system"}, Case{"nt", "system"},
        Case{"builtins", "eval"}, Case{"builtins", "exec"},
        Case{"__builtin__", "apply"}, Case{"subprocess", "Popen"},
        Case{"pkgutil", "resolve_name"}, Case{"pickle", "loads"},
        Case{"torch", "load"}, Case{"torch.storage", "_load_from_bytes"},
        Case{"runpy", "_run_code"}, Case{"collections", "OrderedDict.x"},
        Case{"torch._utils", "_rebuild_tensor_v2 "}, Case{"webbrowser", "open"},
        Case{"collections", "orderedDict"}}) {
    const auto pickle = PickleBuilder()
                            .Raw("}")
                            .Text("k")
                            .Global(c.module, c.name)
                            .Op('(')
                            .Text("touch /tmp/pwned")
                            .Raw("tRs.");
    const auto result = Read(pickle.str());
    ExpectError(result, ErrorCode::kCorrupt,
                std::string(c.module) + " " + c.name, "E-PICKLE-GLOBAL");
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().offset, 9u);
    EXPECT_NE(result.error().message.find("at byte 9"), std::string::npos);
    EXPECT_NE(result.error().message.find("nothing was executed"),
              std::string::npos);
  }
}

TEST(PickleReaderTest, EscapesNameOfForeignGlobal) {
  const auto pickle =
      PickleBuilder().Global("o\x1b[31ms", "sys\xe2\x80\xaetem").Op('.');
  ExpectCorrupt(pickle, "o\\x1b[31ms", "E-PICKLE-GLOBAL");
}

// Forms that reach a global without GLOBAL.
TEST(PickleReaderTest, C11NamesGlobalBehindOtherOpcodes) {
  ExpectCorrupt(PickleBuilder().Raw("(").Text("id").Raw("ios\nsystem\n."),
                "os system", "E-PICKLE-GLOBAL");
  // Protocol 4 as pickle.dumps writes it: FRAME, SHORT_BINUNICODE, MEMOIZE.
  ExpectCorrupt(PickleBuilder(4)
                    .Raw("\x95")
                    .Raw(ByteBuilder().U64(30).str())
                    .Raw("\x8c\x05posix\x94\x8c\x06system\x94\x93\x94")
                    .Raw("\x8c\x02id\x94\x85\x94R\x94."),
                "posix system", "E-PICKLE-GLOBAL");
  ExpectCorrupt(PickleBuilder().Text("os").Text("system").Raw("\x93."),
                "os system", "E-PICKLE-GLOBAL");
  ExpectCorrupt(
      PickleBuilder().Text("os").Put(1).Text("system").Put(2).Raw("\x93."),
      "os system", "E-PICKLE-GLOBAL");
  // The two names fetched from the memo, with other values in between.
  ExpectCorrupt(PickleBuilder()
                    .Text("os")
                    .Put(1)
                    .Text("system")
                    .Put(70000)
                    .Raw("NN")
                    .Get(1)
                    .Get(70000)
                    .Raw("\x93."),
                "os system", "E-PICKLE-GLOBAL");
  ExpectCorrupt(PickleBuilder(-1).Raw("S'os'\np0\nS'system'\np1\n\x93."),
                "\"os system\"", "E-PICKLE-GLOBAL");
  // Protocol 0: no PROTO at all.
  ExpectCorrupt(PickleBuilder(-1).Raw("cos\nsystem\n(S'id'\ntR."), "os system",
                "E-PICKLE-GLOBAL");
  ExpectCorrupt(PickleBuilder(-1).Raw("(S'id'\nios\nsystem\n."), "os system",
                "E-PICKLE-GLOBAL");
}

TEST(PickleReaderTest, C11RefusesOtherOpcodesByName) {
  struct Case {
    std::string bytes;
    const char* name;
  };
  for (const Case& c : {
           Case{"N0", "POP"},
           Case{"(1", "POP_MARK"},
           Case{"N2", "DUP"},
           Case{"I1\n", "INT"},
           Case{"L1L\n", "LONG"},
           Case{"F1\n", "FLOAT"},
           Case{"S'a'\n", "STRING"},
           Case{"Va\n", "UNICODE"},
           Case{"Pa\n", "PERSID"},
           Case{std::string("T\1\0\0\0a", 6), "BINSTRING"},
           Case{"(d", "DICT"},
           Case{"(l", "LIST"},
           Case{"(o", "OBJ"},
           Case{"Np0\n", "PUT"},
           Case{"g0\n", "GET"},
           Case{std::string("B\1\0\0\0a", 6), "BINBYTES"},
           Case{"C\1a", "SHORT_BINBYTES"},
           Case{"\x82\x01", "EXT1"},
           Case{"\x83\x01\x01", "EXT2"},
           Case{std::string("\x84\1\1\1\1", 5), "EXT4"},
           Case{std::string("\x8b\0\0\0\0", 5), "LONG4"},
           Case{"\x8c\x01w", "SHORT_BINUNICODE"},
           Case{"\x8f\x28\x90", "ADDITEMS"},
           Case{"(\x91", "FROZENSET"},
           Case{"\x92", "NEWOBJ_EX"},
           Case{"\x94", "MEMOIZE"},
           Case{std::string("\x95\0\0\0\0\0\0\0\0", 9), "FRAME"},
           Case{std::string("\x96\0\0\0\0\0\0\0\0", 9), "BYTEARRAY8"},
           Case{"\x97", "NEXT_BUFFER"},
           Case{"\x98", "READONLY_BUFFER"},
       }) {
    ExpectCorrupt(PickleBuilder().Raw(c.bytes).Op('.'),
                  std::string("opcode ") + c.name + " at byte ",
                  "E-PICKLE-OPCODE");
  }
  ExpectCorrupt(PickleBuilder().Raw("\x93."), "STACK_GLOBAL",
                "E-PICKLE-OPCODE");
  ExpectCorrupt(PickleBuilder().Raw("\xff."), "no opcode", "E-PICKLE-OPCODE");
  // PROTO a second time.
  ExpectCorrupt(PickleBuilder().Raw("\x80\x02N."), "opcode PROTO",
                "E-PICKLE-OPCODE");
}

TEST(PickleReaderTest, RefusesCallsOfWhatIsNoFunction) {
  constexpr std::string_view kId = "E-PICKLE-CALL";
  ExpectCorrupt(PickleBuilder().Text("eval").Raw(")R."), "no function", kId);
  ExpectCorrupt(PickleBuilder().Global("torch", "FloatStorage").Raw(")R."),
                "must not be called", kId);
  ExpectCorrupt(PickleBuilder().Global("torch", "Tensor").Raw(")R."),
                "must not be called", kId);
  ExpectCorrupt(PickleBuilder().Global("torch", "float16").Raw(")R."),
                "must not be called", kId);
  ExpectCorrupt(PickleBuilder()
                    .Global("torch._utils", "_rebuild_tensor_v2")
                    .Raw(")\x81."),
                "no OrderedDict", kId);
  ExpectCorrupt(PickleBuilder().Raw("]}b."), "sets the state", kId);
  ExpectCorrupt(PickleBuilder().Raw("}}b."), "sets the state", kId);
  ExpectCorrupt(
      PickleBuilder().Global("collections", "OrderedDict").Raw(")RNb."),
      "sets the state", kId);
  ExpectCorrupt(PickleBuilder().Global("collections", "OrderedDict").Raw("]R."),
                "without a tuple");
  ExpectCorrupt(
      PickleBuilder().Global("collections", "OrderedDict").Raw("N\x85R."),
      "OrderedDict with arguments");
  // One indirection may not lead to another.
  ExpectCorrupt(PickleBuilder()
                    .Global("torch._tensor", "_rebuild_from_type_v2")
                    .Op('(')
                    .Global("torch._tensor", "_rebuild_from_type_v2")
                    .Global("torch", "Tensor")
                    .Raw(")}tR."),
                "wrong form", kId);
  ExpectCorrupt(
      PickleBuilder().Global("torch._utils", "_rebuild_tensor_v2").Raw(")R."),
      "0 arguments");
  ExpectCorrupt(PickleBuilder()
                    .Global("torch._utils", "_rebuild_parameter")
                    .Raw("NNN\x87R."),
                "no tensor");
}

TEST(PickleReaderTest, RefusesPersistentIdsThatAreNoStorage) {
  const auto with = [](const PickleBuilder& inner) {
    return PickleBuilder().Raw(inner.str()).Raw("Q.");
  };
  ExpectCorrupt(with(PickleBuilder(-1).Text("0")), "persistent id");
  ExpectCorrupt(with(PickleBuilder(-1).Raw(")")), "persistent id");
  ExpectCorrupt(with(PickleBuilder(-1)
                         .Raw("(")
                         .Text("module")
                         .Global("torch", "FloatStorage")
                         .Text("0")
                         .Text("cpu")
                         .Int(1)
                         .Raw("t")),
                "persistent id");
  ExpectCorrupt(with(PickleBuilder(-1)
                         .Raw("(")
                         .Text("storage")
                         .Global("torch", "float32")
                         .Text("0")
                         .Text("cpu")
                         .Int(1)
                         .Raw("t")),
                "persistent id");
  ExpectCorrupt(with(PickleBuilder(-1)
                         .Raw("(")
                         .Text("storage")
                         .Global("torch", "FloatStorage")
                         .Text("0")
                         .Text("cpu")
                         .Int(-1)
                         .Raw("t")),
                "persistent id");
}

TEST(PickleReaderTest, C14RefusesItemsOfWrongTargets) {
  ExpectCorrupt(PickleBuilder().Raw("]NNs."), "no dict");
  ExpectCorrupt(PickleBuilder().Raw("](NNu."), "no dict");
  ExpectCorrupt(
      PickleBuilder().Tensor("HalfStorage", "0", 1, 0, {1}, {1}).Raw("NNs."),
      "no dict");
  ExpectCorrupt(PickleBuilder().Raw("}Na."), "no list");
  ExpectCorrupt(PickleBuilder().Raw(")(Ne."), "no list");
  ExpectCorrupt(PickleBuilder().Raw("\x8f(Ne."), "no list");
  ExpectCorrupt(PickleBuilder().Raw("}(NNNu."), "without a value");
  ExpectCorrupt(PickleBuilder().Raw("}]Ns."), "neither text nor a number");
}

TEST(PickleReaderTest, RefusesStackAndMarkErrors) {
  ExpectCorrupt(PickleBuilder().Raw("."), "empty stack");
  ExpectCorrupt(PickleBuilder().Raw("R."), "empty stack");
  ExpectCorrupt(PickleBuilder().Raw("N(R."), "empty stack");
  ExpectCorrupt(PickleBuilder().Raw("N(\x85."), "empty stack");
  ExpectCorrupt(PickleBuilder().Raw("N(."), "empty stack");
  ExpectCorrupt(PickleBuilder().Raw("(a."), "empty stack");
  ExpectCorrupt(PickleBuilder().Raw("q\x01."), "reads an empty stack");
  ExpectCorrupt(PickleBuilder().Raw("t."), "no mark");
  ExpectCorrupt(PickleBuilder().Raw("NN."), "left over");
  ExpectCorrupt(PickleBuilder().Raw("(N."), "left over");
  ExpectCorrupt(PickleBuilder().Raw("h\x05."), "never written");
  ExpectCorrupt(PickleBuilder().Get(70000).Raw("."), "never written");
  ExpectCorrupt(PickleBuilder().Raw("Nq\x01Nq\x01."), "written twice");
  ExpectCorrupt(PickleBuilder().Raw("}q\x01(h\x01h\x01u."), "");
}

TEST(PickleReaderTest, C13RefusesCycles) {
  // A list in itself, directly.
  ExpectCorrupt(PickleBuilder().Raw("]q\x01h\x01"
                                    "a."),
                "into itself");
  // By way of a tuple: [([],)], the list held before it grows.
  ExpectCorrupt(PickleBuilder().Raw("]q\x01(h\x01\x85"
                                    "e."),
                "holds");
  // A dict that holds a list that holds the dict.
  ExpectCorrupt(PickleBuilder().Raw("}q\x01").Text("k").Raw("]h\x01"
                                                            "as."),
                "holds");
}

TEST(PickleReaderTest, C12RefusesWhatIsNoSinglePickle) {
  ExpectCorrupt(PickleBuilder(-1), "does not begin with PROTO");
  ExpectCorrupt(PickleBuilder(6).Raw("N."), "does not begin with PROTO");
  ExpectCorrupt(PickleBuilder(-1).Raw("N."), "does not begin with PROTO");
  ExpectCorrupt(PickleBuilder().Raw("N"), "without STOP");
  ExpectCorrupt(PickleBuilder().Raw("N.garbage"), "7 bytes after STOP");
  ExpectCorrupt(PickleBuilder().Raw("N.\x80\x02N."), "4 bytes after STOP");
  ExpectCorrupt(PickleBuilder().Raw("ccollections"), "no end");
}

TEST(PickleReaderTest, C13RefusesExpansionWithinBoundedMemory) {
  // Text that claims 2 GiB.
  ExpectError(Read(PickleBuilder().Raw(std::string("X\0\0\0\x80.", 6)).str()),
              ErrorCode::kCorrupt, "truncated");
  ExpectError(
      Read(PickleBuilder().Text(std::string((1u << 20) + 1, 'a')).str()),
      ErrorCode::kLimit, "text of");
  ExpectError(Read(PickleBuilder().Raw("N").Put(0x7fffffff).str()),
              ErrorCode::kLimit, "memo entry");
  // Depth: tuples in tuples.
  PickleBuilder deep;
  deep.Raw("N");
  for (int i = 0; i < 100; ++i) deep.Raw("\x85");
  ExpectError(Read(deep.Raw(".").str()), ErrorCode::kLimit, "nested deeper");
  // Marks and references: as many as the pickle is long.
  ExpectError(
      Read(PickleBuilder().Raw(std::string(kMaxPickleStack + 1, '(')).str()),
      ErrorCode::kLimit, "stack");
  ExpectError(
      Read(PickleBuilder().Raw(std::string(kMaxPickleStack + 1, 'N')).str()),
      ErrorCode::kLimit, "stack");
}

// Ten levels of ten references each: 10^10 values if it were unfolded.
TEST(PickleReaderTest, SharesValuesInsteadOfUnfoldingThem) {
  PickleBuilder pickle;
  pickle.Raw("N\x85").Put(0);
  for (uint32_t level = 1; level <= 10; ++level) {
    pickle.Raw("(");
    for (int i = 0; i < 10; ++i) pickle.Get(level - 1);
    pickle.Raw("t").Put(level);
  }
  // Every level stays on the stack; one tuple gathers them.
  const auto tree = Read(
      PickleBuilder().Raw("(").Raw(pickle.str().substr(2)).Raw("t.").str());
  ASSERT_TRUE(tree) << tree.error().ToString();
  EXPECT_LT(tree->size(), 20u);
}

TEST(PickleReaderTest, RefusesEveryTruncation) {
  const std::string bytes = tests::SmallStateDict();
  ASSERT_TRUE(Read(bytes));
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(Read(bytes.substr(0, size))) << size;
  }
}

TEST(PickleReaderTest, SurvivesEveryFlippedByte) {
  const std::string bytes = tests::SmallStateDict();
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int value = 0; value < 256; ++value) {
      std::string flipped = bytes;
      flipped[i] = static_cast<char>(value);
      const auto tree = Read(flipped);
      if (tree) {
        EXPECT_LT(tree->root(), tree->size());
      }
    }
  }
}

}  // namespace
}  // namespace verify
