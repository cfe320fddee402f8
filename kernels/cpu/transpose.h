// Between row-major [samples, features] and a feature-major tile.
#pragma once
#include "vector.h"

namespace sparse_agents {
namespace SA_ISA {

constexpr int64_t kStrip = 16; // features handled together: their cache lines stay open

// Padding lanes repeat the last sample: whatever the network computes there is finite when the real
// samples are, and zero times finite is zero in the weight gradient.
template <class T>
void pack(const T *rows, int64_t samples, int64_t features, int64_t width, T *tile) {
  for (int64_t f0 = 0; f0 < features; f0 += kStrip) {
    const int64_t f1 = f0 + kStrip < features ? f0 + kStrip : features;
    for (int64_t s = 0; s < samples; s++)
      for (int64_t f = f0; f < f1; f++) tile[f * width + s] = rows[s * features + f];
    for (int64_t s = samples; s < width; s++)
      for (int64_t f = f0; f < f1; f++) tile[f * width + s] = tile[f * width + samples - 1];
  }
}

// A gradient's padding is zero: the padded samples do not exist.
template <class T>
void pack_gradient(const T *rows, int64_t samples, int64_t features, int64_t width, T *tile) {
  pack(rows, samples, features, width, tile);
  for (int64_t f = 0; f < features; f++)
    for (int64_t s = samples; s < width; s++) tile[f * width + s] = 0;
}

template <class T>
void unpack(const T *tile, int64_t samples, int64_t features, int64_t width, T *rows) {
  for (int64_t f0 = 0; f0 < features; f0 += kStrip) {
    const int64_t f1 = f0 + kStrip < features ? f0 + kStrip : features;
    for (int64_t s = 0; s < samples; s++)
      for (int64_t f = f0; f < f1; f++) rows[s * features + f] = tile[f * width + s];
  }
}

} // namespace SA_ISA
} // namespace sparse_agents
