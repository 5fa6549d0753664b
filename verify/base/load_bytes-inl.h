// SPDX-License-Identifier: Apache-2.0
// Vectors from bytes at any address, for kernels that are compiled once per CPU
// target.

// The guard is a toggle: every target includes this file once.
#if defined(LODESTONE_VERIFY_BASE_LOAD_BYTES_INL_H_) == \
    defined(HWY_TARGET_TOGGLE)  // NOLINT
#ifdef LODESTONE_VERIFY_BASE_LOAD_BYTES_INL_H_
#undef LODESTONE_VERIFY_BASE_LOAD_BYTES_INL_H_
#else
#define LODESTONE_VERIFY_BASE_LOAD_BYTES_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace verify {
namespace HWY_NAMESPACE {

// Lanes of `d` from bytes at any address.
template <class D>
HWY_INLINE hwy::HWY_NAMESPACE::Vec<D> LoadBytes(D d, const std::byte* p) {
  namespace hn = hwy::HWY_NAMESPACE;
#if HWY_TARGET == HWY_SCALAR
  hn::TFromD<D> value;
  std::memcpy(&value, p, sizeof(value));
  return hn::Set(d, value);
#else
  const hn::Repartition<uint8_t, D> d8;
  return hn::BitCast(d, hn::LoadU(d8, reinterpret_cast<const uint8_t*>(p)));
#endif
}

// NOLINTNEXTLINE(google-readability-namespace-comments)
}  // namespace HWY_NAMESPACE
}  // namespace verify
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
