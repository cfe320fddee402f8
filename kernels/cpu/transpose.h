// Between row-major [samples, features] and a feature-major tile.
#pragma once
#include "vector.h"

namespace sparse_agents {
namespace SA_ISA {

// One butterfly stage: rows i and i + D exchange the lanes in which bit D differs.
#define SA_STAGE_LOW(l) ((l)&D ? n + (l)-D : (l))
#define SA_STAGE_HIGH(l) ((l)&D ? n + (l) : (l) + D)
template <int D> inline void butterfly(Vec<float> (&v)[kLanes<float>]) {
  constexpr int n = kLanes<float>;
  for (int i = 0; i < n; i++) {
    if (i & D) continue;
    const Vec<float> a = v[i], b = v[i + D];
    v[i] = SA_SHUFFLE(a, b, SA_STAGE_LOW);
    v[i + D] = SA_SHUFFLE(a, b, SA_STAGE_HIGH);
  }
}

// A square of as many rows as a vector has lanes, transposed in registers.
inline void transpose(Vec<float> (&v)[kLanes<float>]) {
  butterfly<1>(v);
  butterfly<2>(v);
#if defined(__AVX2__)
  butterfly<4>(v);
#endif
#if defined(__AVX512F__)
  butterfly<8>(v);
#endif
}

// to[j * to_stride + i] = from[i * from_stride + j] for i < rows, j < cols.
template <class T>
void transpose(const T *from, int64_t from_stride, int64_t rows, int64_t cols, T *to,
               int64_t to_stride) {
  constexpr int64_t strip = 16; // columns handled together: their cache lines stay open
  for (int64_t j0 = 0; j0 < cols; j0 += strip) {
    const int64_t j1 = j0 + strip < cols ? j0 + strip : cols;
    for (int64_t i = 0; i < rows; i++)
      for (int64_t j = j0; j < j1; j++) to[j * to_stride + i] = from[i * from_stride + j];
  }
}

inline void transpose(const float *from, int64_t from_stride, int64_t rows, int64_t cols, float *to,
                      int64_t to_stride) {
  constexpr int64_t n = kLanes<float>;
  const int64_t whole_rows = rows / n * n, whole_cols = cols / n * n;
  for (int64_t i = 0; i < whole_rows; i += n)
    for (int64_t j = 0; j < whole_cols; j += n) {
      Vec<float> v[n];
      for (int64_t k = 0; k < n; k++) memcpy(&v[k], from + (i + k) * from_stride + j, sizeof(v[k]));
      transpose(v);
      for (int64_t k = 0; k < n; k++) memcpy(to + (j + k) * to_stride + i, &v[k], sizeof(v[k]));
    }
  transpose<float>(from + whole_cols, from_stride, whole_rows, cols - whole_cols,
                   to + whole_cols * to_stride, to_stride);
  transpose<float>(from + whole_rows * from_stride, from_stride, rows - whole_rows, cols,
                   to + whole_rows, to_stride);
}

// Padding lanes are zero, of activations and of gradients: they add nothing to any sum.
template <class T>
void pack(const T *rows, int64_t samples, int64_t features, int64_t width, T *tile) {
  transpose(rows, features, samples, features, tile, width);
  for (int64_t f = 0; f < features; f++)
    for (int64_t s = samples; s < width; s++) tile[f * width + s] = 0;
}

template <class T>
void unpack(const T *tile, int64_t samples, int64_t features, int64_t width, T *rows) {
  transpose(tile, width, features, samples, rows, features);
}

} // namespace SA_ISA
} // namespace sparse_agents
