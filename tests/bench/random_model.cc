// SPDX-License-Identifier: Apache-2.0
// Writes a model of random weights in the layout of Mistral's torrents, for
// benchmarks that need the true size and none of the sense:
//
//   random_model FOLDER mixtral|mistral [--layers N]
//
// `mixtral`: 4 layers of Mixtral 8x7B (12.1 GB); `mistral`: 8 layers of
// Mistral 7B (4.0 GB). FOLDER gets consolidated.00.pth, as torch.save lays it
// out, and params.json; a tokenizer.model with 32000 pieces has to be laid
// beside them. The other forms follow from it by `lodestone convert`.
//
// Weights are bf16, normal with a standard deviation of 0.02, norms one. The
// same arguments give the same bytes.
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/byte_builder.h"
#include "tests/support/pickle_builder.h"
#include "verify/container/crc32.h"

namespace {

constexpr int64_t kDim = 4096;
constexpr int64_t kHidden = 14336;
constexpr int64_t kKeyDim = 1024;  // 8 key and value heads of 128
constexpr int64_t kVocabulary = 32000;
constexpr int kExperts = 8;
constexpr double kDeviation = 0.02;
constexpr uint32_t kFull32 = 0xffffffff;

uint16_t RoundToBf16(float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Weights by 16 random bits: the quantiles of the normal distribution, found
// by halving, so that one look-up makes a weight.
std::vector<uint16_t> NormalQuantiles() {
  std::vector<uint16_t> out(65536);
  for (int i = 0; i < 65536; ++i) {
    const double wanted = (i + 0.5) / 65536;
    double low = -8;
    double high = 8;
    for (int step = 0; step < 60; ++step) {
      const double middle = (low + high) / 2;
      const double below = std::erfc(-middle / std::sqrt(2.0)) / 2;
      (below < wanted ? low : high) = middle;
    }
    out[static_cast<size_t>(i)] =
        RoundToBf16(static_cast<float>(low * kDeviation));
  }
  return out;
}

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;

  int64_t numel() const {
    int64_t product = 1;
    for (const int64_t extent : shape) product *= extent;
    return product;
  }
};

std::vector<Tensor> Tensors(bool is_mixture, int layers) {
  std::vector<Tensor> out = {{"tok_embeddings.weight", {kVocabulary, kDim}},
                             {"norm.weight", {kDim}},
                             {"output.weight", {kVocabulary, kDim}}};
  const auto add_feed_forward = [&](const std::string& prefix) {
    out.push_back({prefix + "w1.weight", {kHidden, kDim}});
    out.push_back({prefix + "w2.weight", {kDim, kHidden}});
    out.push_back({prefix + "w3.weight", {kHidden, kDim}});
  };
  for (int layer = 0; layer < layers; ++layer) {
    const std::string prefix = "layers." + std::to_string(layer) + ".";
    out.push_back({prefix + "attention.wq.weight", {kDim, kDim}});
    out.push_back({prefix + "attention.wk.weight", {kKeyDim, kDim}});
    out.push_back({prefix + "attention.wv.weight", {kKeyDim, kDim}});
    out.push_back({prefix + "attention.wo.weight", {kDim, kDim}});
    out.push_back({prefix + "attention_norm.weight", {kDim}});
    out.push_back({prefix + "ffn_norm.weight", {kDim}});
    const std::string feed_forward = prefix + "feed_forward.";
    if (!is_mixture) {
      add_feed_forward(feed_forward);
      continue;
    }
    out.push_back({feed_forward + "gate.weight", {kExperts, kDim}});
    for (int expert = 0; expert < kExperts; ++expert) {
      add_feed_forward(feed_forward + "experts." + std::to_string(expert) +
                       ".");
    }
  }
  return out;
}

std::string StateDict(const std::vector<Tensor>& tensors) {
  tests::PickleBuilder pickle;
  pickle.Op('}').Op('(');
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::vector<int64_t>& shape = tensors[i].shape;
    std::vector<int64_t> strides(shape.size(), 1);
    for (size_t d = shape.size() - 1; d > 0; --d) {
      strides[d - 1] = strides[d] * shape[d];
    }
    const int64_t numel = tensors[i].numel();
    pickle.Text(tensors[i].name)
        .Tensor("BFloat16Storage", std::to_string(i), numel, 0, shape, strides);
  }
  return pickle.Op('u').Op('.').str();
}

// The archive as torch.save writes it, member by member, to the disk: stored,
// payloads at multiples of 64, sizes after them, zip64 where offsets need it.
class TorchArchive {
 public:
  explicit TorchArchive(const std::string& path)
      : file_(path, std::ios::binary) {
    file_.exceptions(std::ios::badbit | std::ios::failbit);
  }

  void Begin(std::string_view name) {
    member_ = {"consolidated/" + std::string(name), offset_, 0, 0};
    const size_t unfilled = offset_ + 30 + member_.name.size() + 4;
    const auto fill = static_cast<uint16_t>((64 - unfilled % 64) % 64);
    tests::ByteBuilder header;
    header.U32(0x04034b50).U16(0).U16(0x0808).U16(0).U32(0);
    header.U32(0).U32(0).U32(0);
    header.U16(static_cast<uint16_t>(member_.name.size()))
        .U16(static_cast<uint16_t>(fill + 4))
        .Text(member_.name)
        .Text("FB")
        .U16(fill)
        .Text(std::string(fill, 'Z'));
    Write(header.str());
  }

  void Append(std::string_view bytes) {
    member_.crc = verify::Crc32(
        {reinterpret_cast<const std::byte*>(bytes.data()), bytes.size()},
        member_.crc);
    member_.size += static_cast<uint32_t>(bytes.size());
    Write(bytes);
  }

  void End() {
    tests::ByteBuilder descriptor;
    descriptor.U32(0x08074b50).U32(member_.crc);
    if (member_.header < kFull32) {
      descriptor.U32(member_.size).U32(member_.size);
    } else {
      descriptor.U64(member_.size).U64(member_.size);
    }
    Write(descriptor.str());
    AddToDirectory();
  }

  void Finish() {
    const uint64_t begin = offset_;
    Write(directory_.str());
    const uint64_t size = offset_ - begin;
    const uint64_t record = offset_;
    const auto count16 = static_cast<uint16_t>(count_);
    const auto low = [](uint64_t value) {
      return static_cast<uint32_t>(value < kFull32 ? value : kFull32);
    };
    tests::ByteBuilder tail;
    tail.U32(0x06064b50).U64(44).U16(0x031e).U16(45).U32(0).U32(0);
    tail.U64(count_).U64(count_).U64(size).U64(begin);
    tail.U32(0x07064b50).U32(0).U64(record).U32(1);
    tail.U32(0x06054b50).U16(0).U16(0).U16(count16).U16(count16);
    tail.U32(low(size)).U32(low(begin)).U16(0);
    Write(tail.str());
    file_.close();
  }

 private:
  struct Member {
    std::string name;
    uint64_t header = 0;
    uint32_t crc = 0;
    uint32_t size = 0;
  };

  void AddToDirectory() {
    const bool is_wide = member_.header >= kFull32;
    directory_.U32(0x02014b50).U16(0).U16(0).U16(0x0808).U16(0).U32(0);
    directory_.U32(member_.crc).U32(member_.size).U32(member_.size);
    directory_.U16(static_cast<uint16_t>(member_.name.size()))
        .U16(is_wide ? 12 : 0)
        .U16(0)
        .U16(0)
        .U16(0)
        .U32(0)
        .U32(is_wide ? kFull32 : static_cast<uint32_t>(member_.header))
        .Text(member_.name);
    if (is_wide) directory_.U16(1).U16(8).U64(member_.header);
    ++count_;
  }

  void Write(std::string_view bytes) {
    file_.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    offset_ += bytes.size();
  }

  std::ofstream file_;
  uint64_t offset_ = 0;
  uint64_t count_ = 0;
  Member member_;
  tests::ByteBuilder directory_;
};

// Splitmix64 (Steele, Lea, Flood 2014), four weights a draw.
class Weights {
 public:
  std::string_view Fill(const Tensor& tensor, int64_t count) {
    block_.resize(static_cast<size_t>(count));
    if (tensor.shape.size() == 1) {
      for (uint16_t& value : block_) value = RoundToBf16(1.0f);
    } else {
      for (size_t i = 0; i < block_.size(); i += 4) {
        uint64_t bits = Next();
        for (size_t j = i; j < i + 4; ++j, bits >>= 16) {
          block_[j] = quantiles_[bits & 0xffff];
        }
      }
    }
    return {reinterpret_cast<const char*>(block_.data()), block_.size() * 2};
  }

 private:
  uint64_t Next() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  std::vector<uint16_t> quantiles_ = NormalQuantiles();
  std::vector<uint16_t> block_;
  uint64_t state_ = 1;
};

std::string Params(bool is_mixture, int layers) {
  std::string out = R"({"dim": 4096, "n_layers": )" + std::to_string(layers) +
                    R"(, "head_dim": 128, "hidden_dim": 14336, "n_heads": 32)"
                    R"(, "n_kv_heads": 8, "norm_eps": 1e-05, )"
                    R"("rope_theta": 1000000.0, "vocab_size": 32000)";
  if (is_mixture) {
    out += R"(, "moe": {"num_experts_per_tok": 2, "num_experts": 8})";
  }
  return out + "}\n";
}

void WriteModel(const std::filesystem::path& folder, bool is_mixture,
                int layers) {
  constexpr int64_t kBlock = 1 << 20;  // every tensor's numel is n * 4
  const std::vector<Tensor> tensors = Tensors(is_mixture, layers);
  std::filesystem::create_directories(folder);
  std::ofstream(folder / "params.json") << Params(is_mixture, layers);
  TorchArchive archive((folder / "consolidated.00.pth").string());
  archive.Begin("data.pkl");
  archive.Append(StateDict(tensors));
  archive.End();
  Weights weights;
  for (size_t i = 0; i < tensors.size(); ++i) {
    archive.Begin("data/" + std::to_string(i));
    for (int64_t left = tensors[i].numel(); left > 0; left -= kBlock) {
      archive.Append(weights.Fill(tensors[i], left < kBlock ? left : kBlock));
    }
    archive.End();
  }
  archive.Begin("version");
  archive.Append("3\n");
  archive.End();
  archive.Finish();
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view shape = argc > 2 ? argv[2] : "";
  const bool is_mixture = shape == "mixtral";
  int layers = is_mixture ? 4 : 8;
  if (argc == 5 && std::string_view(argv[3]) == "--layers") {
    layers = std::atoi(argv[4]);
  }
  if ((!is_mixture && shape != "mistral") || layers < 1 ||
      (argc != 3 && argc != 5)) {
    std::fprintf(stderr,
                 "usage: random_model FOLDER mixtral|mistral [--layers N]\n");
    return 2;
  }
  try {
    WriteModel(argv[1], is_mixture, layers);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "random_model: %s: %s\n", argv[1], error.what());
    return 1;
  }
  return 0;
}
