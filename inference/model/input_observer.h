// SPDX-License-Identifier: Apache-2.0
// What the matrices of a model are multiplied with, shown while a forward pass
// runs: for statistics of activations (inference/convert/calibration.h).
// Tested by tests/inference/model/input_observer_test.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace inference {

// Matrices that share their input are named together.
enum class ProductInput {
  kAttention,     // q, k and v
  kAttentionOut,  // o
  kFeedForward,   // gate and up, of one expert
  kDown,          // down, of one expert
  kOutput,        // the output matrix
};

// Called on the thread that runs the pass, in an order that neither the number
// of threads nor the kind of CPU changes.
class InputObserver {
 public:
  virtual ~InputObserver() = default;

  // Where an input belongs; -1 where there is no layer or expert. A dense block
  // is expert 0.
  struct Place {
    ProductInput input = ProductInput::kOutput;
    int64_t layer = -1;
    int64_t expert = -1;
  };
  // Rows of `cols` floats, one for each token that comes there, before they are
  // rounded for the product. `weights`: of each row; empty: all 1.
  virtual void OnInput(const Place& place, std::span<const float> rows,
                       size_t cols, std::span<const float> weights) = 0;

  // Each token is shown to so many experts beside those that it is routed to,
  // the next best, whose results are not used. Of all of them a token weighs
  // what its gate gives it, relative to its best expert, squared: as much as
  // errors of that expert would count in the square of the result.
  virtual size_t more_experts() const { return 0; }
};

// Who watches one layer; `observer` null: nobody.
struct InputTap {
  InputObserver* observer = nullptr;
  int64_t layer = -1;
};

}  // namespace inference
