// The four loops over connections, each on one batch tile of V vectors a feature.
//
// Every connection costs one load of V vectors and V (or 2 V) fused multiply-adds; sums stay in
// registers for a whole row and are stored once.
#pragma once
#include "activation.h"
#include "plan.h"

namespace sparse_agents {
namespace SA_ISA {

template <class T, int V> inline const T *feature(const T *tile, int32_t index) {
  return tile + size_t(uint32_t(index)) * (V * kLanes<T>);
}
template <class T, int V> inline T *feature(T *tile, int32_t index) {
  return tile + size_t(uint32_t(index)) * (V * kLanes<T>);
}

constexpr int32_t kRowsSoon = 8;
constexpr int64_t kSweepBytes = 524288; // of activations, half of a common second-level cache

// A block's connections of a row lie apart from those of the next: no prefetcher follows.
template <class T> inline void ask_for(int32_t begin, int32_t end, const int32_t *index, const T *weight) {
  __builtin_prefetch(index + begin);
  __builtin_prefetch(weight + begin);
  __builtin_prefetch(index + end);
  __builtin_prefetch(weight + end);
}

// out[i] = finish(start(i) + sum over connections k of row i of weight[k] * in[index[k]]) for i in [from, rows).
// Serves the forward (CSR, start = bias, finish = activation) and the input gradient alone
// (CSC, start = 0, finish = derivative of the activation below).
template <class T, int V, class Start, class Finish>
void gather(int32_t from, int32_t rows, const Blocks &blocks, const int32_t *index, const T *weight, const T *in,
            T *out, Start start, Finish finish) {
  for (int32_t b = 0; b < blocks.count; b++) {
    const int32_t *begin = blocks.bound[b], *end = blocks.bound[b + 1];
    const bool first = b == 0, last = b + 1 == blocks.count;
    for (int32_t i = from; i < rows; i++) {
      if (blocks.count > 1 && i + kRowsSoon < rows) ask_for(begin[i + kRowsSoon], end[i + kRowsSoon], index, weight);
      Vec<T> *y = vectors(feature<T, V>(out, i));
      Vec<T> sum[V];
      if (first) {
        const Vec<T> s = start(i);
        for (int v = 0; v < V; v++) sum[v] = s;
      } else {
        for (int v = 0; v < V; v++) sum[v] = y[v];
      }
      for (int32_t k = begin[i]; k < end[i]; k++) {
        const Vec<T> *x = vectors(feature<T, V>(in, index[k]));
        const Vec<T> w = broadcast(weight[k]);
        for (int v = 0; v < V; v++) sum[v] += w * x[v];
      }
      if (last) {
        for (int v = 0; v < V; v++) y[v] = finish(sum[v], i, v);
      } else {
        for (int v = 0; v < V; v++) y[v] = sum[v];
      }
    }
  }
}

// N connections of one feature at once: partial[c] = own . tile[index[c]], lane by lane, and
// also(c, v, g) for every vector g that was loaded on the way.
template <class T, int V, int N, class Also>
inline void products(const Vec<T> (&own)[V], const int32_t *index, const T *tile,
                     Vec<T> (&partial)[4], Also also) {
  const Vec<T> *g[N];
  for (int c = 0; c < N; c++) g[c] = vectors(feature<T, V>(tile, index[c]));
  for (int v = 0; v < V; v++)
    for (int c = 0; c < N; c++) {
      Vec<T> loaded = g[c][v];
      SA_IN_REGISTER(loaded);
      also(c, v, loaded);
      partial[c] = v == 0 ? own[0] * loaded : partial[c] + own[v] * loaded;
    }
}

// dot[k] += own . tile[index[k]] for k in [begin, end), four connections at a time; dot has room for
// three entries past the end. also_at(k, N) yields what products calls for every loaded vector.
template <class T, int V, class AlsoAt>
inline void dots(const Vec<T> (&own)[V], int32_t begin, int32_t end, const int32_t *index,
                 const T *tile, T *dot, AlsoAt also_at) {
  int32_t k = begin;
  for (; k + 4 <= end; k += 4) {
    Vec<T> partial[4];
    products<T, V, 4>(own, index + k, tile, partial, also_at(k, Width<4>{}));
    add_sums4(partial, dot + k);
  }
  if (k == end) return;
  Vec<T> partial[4] = {};
  switch (end - k) {
  case 3: products<T, V, 3>(own, index + k, tile, partial, also_at(k, Width<3>{})); break;
  case 2: products<T, V, 2>(own, index + k, tile, partial, also_at(k, Width<2>{})); break;
  default: products<T, V, 1>(own, index + k, tile, partial, also_at(k, Width<1>{})); break;
  }
  add_sums4(partial, dot + k); // adds zero to what follows
}

// Weight gradient alone, row by row (CSR): grad_weight[k] += grad_out[i] . in[col[k]]. One sweep for every so many
// columns of in as the second-level cache holds.
template <class T, int V>
void weight_gradient(const sa_layer &edges, const Blocks &blocks, const T *in, const T *grad_out, T *grad_weight) {
  const int64_t sweeps = 1 + int64_t(edges.cols) * V * kVectorBytes / kSweepBytes;
  const int32_t step = int32_t((blocks.count + sweeps - 1) / sweeps);
  for (int32_t b = 0; b < blocks.count; b += step) {
    const int32_t *begin = blocks.bound[b], *end = blocks.bound[b + step < blocks.count ? b + step : blocks.count];
    for (int32_t i = 0; i < edges.rows; i++) {
      if (blocks.count > step && i + kRowsSoon < edges.rows)
        ask_for(begin[i + kRowsSoon], end[i + kRowsSoon], edges.col, grad_weight);
      if (begin[i] == end[i]) continue;
      Vec<T> own[V];
      for (int v = 0; v < V; v++) own[v] = vectors(feature<T, V>(grad_out, i))[v];
      dots<T, V>(own, begin[i], end[i], edges.col, in, grad_weight,
                 [](int32_t, auto) { return [](int, int, Vec<T>) {}; });
    }
  }
}

// The input gradient's share of a group of N connections: sum += weight[c] * loaded.
template <class T, int V, int N> struct AddScaled {
  Vec<T> scale[N];
  Vec<T> (&sum)[V];
  AddScaled(const T *weight, Vec<T> (&s)[V]) : sum(s) {
    for (int c = 0; c < N; c++) scale[c] = broadcast(weight[c]);
  }
  void operator()(int c, int v, Vec<T> loaded) { sum[v] += scale[c] * loaded; }
};

// Both gradients in one sweep, column by column (CSC): every loaded vector of grad_out feeds the
// input gradient's sum and the weight gradient's dot product. weight and grad_weight in CSC order.
template <class T, int V, class Finish>
void both_gradients(int32_t cols, const int32_t *col_ptr, const int32_t *row, const T *weight,
                    const T *in, const T *grad_out, T *grad_in, T *grad_weight, Finish finish) {
  for (int32_t j = 0; j < cols; j++) {
    const Vec<T> *x = vectors(feature<T, V>(in, j));
    Vec<T> own[V], sum[V] = {};
    for (int v = 0; v < V; v++) own[v] = x[v];
    dots<T, V>(own, col_ptr[j], col_ptr[j + 1], row, grad_out, grad_weight,
               [&](int32_t k, auto n) { return AddScaled<T, V, decltype(n)::value>(weight + k, sum); });
    Vec<T> *dx = vectors(feature<T, V>(grad_in, j));
    for (int v = 0; v < V; v++) dx[v] = finish(sum[v], own[v]);
  }
}

// Bias gradient: grad_bias[i] += sum over the samples of the tile of grad_out[i]. Room as in dots.
template <class T, int V> void bias_gradient(int32_t rows, const T *grad_out, T *grad_bias) {
  for (int32_t i = 0; i < rows; i += 4) {
    Vec<T> partial[4] = {};
    const int n = rows - i < 4 ? rows - i : 4;
    for (int c = 0; c < n; c++) {
      const Vec<T> *g = vectors(feature<T, V>(grad_out, i + c));
      for (int v = 0; v < V; v++) partial[c] += g[v];
    }
    add_sums4(partial, grad_bias + i);
  }
}

} // namespace SA_ISA
} // namespace sparse_agents
