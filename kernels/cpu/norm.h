// LayerNorm between a layer's sums and its activation (Ba et al. 2016), without gain and bias: every sample's sums are
// shifted and scaled to mean 0 and variance 1 over the layer's rows. What the backward needs stays in the tile: the
// normalised sums, [rows], and behind them the scale, one feature.
#pragma once
#include <math.h>

#include "layer.h"

namespace sparse_agents {
namespace SA_ISA {

constexpr double kNormEpsilon = 1e-5; // torch's

template <class T> inline Vec<T> inverse_root(Vec<T> x) {
  for (int i = 0; i < kLanes<T>; i++) x[i] = T(1) / sqrt(x[i]);
  return x;
}

// The sums of the tile are normalised in place, and out = activation of them.
template <class T, int V, class Activation> void normalise(int32_t rows, T *sums, T *out, Activation activation) {
  const T share = T(1) / T(rows);
  Vec<T> mean[V] = {}, square[V] = {}, scale[V];
  for (int32_t i = 0; i < rows; i++) {
    const Vec<T> *s = vectors(feature<T, V>(sums, i));
    for (int v = 0; v < V; v++) mean[v] += s[v];
  }
  for (int v = 0; v < V; v++) mean[v] *= share;
  for (int32_t i = 0; i < rows; i++) {
    const Vec<T> *s = vectors(feature<T, V>(sums, i));
    for (int v = 0; v < V; v++) square[v] += (s[v] - mean[v]) * (s[v] - mean[v]);
  }
  Vec<T> *kept = vectors(feature<T, V>(sums, rows));
  for (int v = 0; v < V; v++) kept[v] = scale[v] = inverse_root<T>(square[v] * share + T(kNormEpsilon));
  for (int32_t i = 0; i < rows; i++) {
    Vec<T> *s = vectors(feature<T, V>(sums, i)), *y = vectors(feature<T, V>(out, i));
    for (int v = 0; v < V; v++) {
      s[v] = (s[v] - mean[v]) * scale[v];
      y[v] = activation.template apply<T>(s[v]);
    }
  }
}

// From the gradient of the normalised sums z to that of the sums, in place: scale (g - mean g - z mean(g z)).
template <class T, int V> void normalised_gradient(int32_t rows, const T *normalised, T *gradient) {
  const T share = T(1) / T(rows);
  Vec<T> mean[V] = {}, along[V] = {};
  for (int32_t i = 0; i < rows; i++) {
    const Vec<T> *z = vectors(feature<T, V>(normalised, i)), *g = vectors(feature<T, V>(gradient, i));
    for (int v = 0; v < V; v++) {
      mean[v] += g[v];
      along[v] += g[v] * z[v];
    }
  }
  for (int v = 0; v < V; v++) {
    mean[v] *= share;
    along[v] *= share;
  }
  const Vec<T> *scale = vectors(feature<T, V>(normalised, rows));
  for (int32_t i = 0; i < rows; i++) {
    const Vec<T> *z = vectors(feature<T, V>(normalised, i));
    Vec<T> *g = vectors(feature<T, V>(gradient, i));
    for (int v = 0; v < V; v++) g[v] = scale[v] * (g[v] - mean[v] - z[v] * along[v]);
  }
}

// Of one sample.
template <class T> void normalise_one(int32_t rows, T *sums) {
  T mean = 0, square = 0;
  for (int32_t i = 0; i < rows; i++) mean += sums[i];
  mean /= T(rows);
  for (int32_t i = 0; i < rows; i++) square += (sums[i] - mean) * (sums[i] - mean);
  const T scale = T(1) / sqrt(square / T(rows) + T(kNormEpsilon));
  for (int32_t i = 0; i < rows; i++) sums[i] = (sums[i] - mean) * scale;
}

} // namespace SA_ISA
} // namespace sparse_agents
