// A whole chain of layers: each batch tile goes through all of them, forward or backward, without a
// barrier. Tiles, not threads, decide the order of every sum, so the bits do not depend on the
// number of threads unless tiles are made narrower for them.
#pragma once
#include "arena.h"
#include "layer.h"
#include "norm.h"
#include "subnormals.h"
#include "transpose.h"

namespace sparse_agents {
namespace SA_ISA {

// Samples of a full tile in a workspace.
template <class T> inline int64_t tile_width(const Plan &plan, int64_t batch) {
  return int64_t(tile_vectors(plan, batch)) * kLanes<T>;
}

inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t parts(int64_t all, int64_t size) { return (all + size - 1) / size; }

// The same within one call: wide as long as there is a tile for every thread.
template <class T> inline int64_t tile_width(const Plan &plan, int64_t batch, int32_t threads) {
  constexpr int64_t wide = int64_t(kWideTile) * kLanes<T>;
  return parts(batch, wide) < threads ? tile_width<T>(plan, batch) : wide;
}

// So many elements, rounded up to whole cache lines.
template <class T> inline int64_t padded(int64_t elements) {
  return int64_t(aligned(size_t(elements) * sizeof(T)) / sizeof(T));
}

// Tile t of a batch: which samples, how wide, and where it lies in a workspace.
template <class T> struct Tile {
  int64_t first, samples, vectors, width, offset;
  Tile(const Plan &plan, int64_t batch, int64_t full, int64_t t) {
    first = t * full;
    samples = min64(batch - first, full);
    vectors = (samples + kLanes<T> - 1) / kLanes<T>;
    width = vectors * kLanes<T>;
    offset = first * plan.features;
  }
};

// Calls f with the tile's width in vectors as a compile-time constant.
template <class F> inline void with_width(int64_t vectors, F &&f) {
  switch (vectors) {
  case 1: return f(Width<1>{});
  case 2: return f(Width<2>{});
  case 3: return f(Width<3>{});
  case 4: return f(Width<4>{});
  case 5: return f(Width<5>{});
  case 6: return f(Width<6>{});
  case 7: return f(Width<7>{});
  default: return f(Width<8>{});
  }
}
static_assert(kWideTile == 8, "with_width lists the widths");

inline int32_t useful_threads(const Plan &plan, int64_t batch, int64_t tiles, int32_t threads) {
  return worth_threads(plan, batch) ? int32_t(min64(threads, tiles)) : 1;
}

// normalised: where the layer's normalised sums belong, if it has any.
template <class T, int V>
void layer_forward(const Layer &layer, const T *weight, const T *bias, const T *in, T *normalised, T *out) {
  const auto start = [bias](int32_t i) { return bias ? broadcast(bias[i]) : Vec<T>{}; };
  with_activation(layer.edges.activation, [&](auto activation) {
    if (layer.norm_offset) {
      gather<T, V>(0, layer.edges.rows, layer.by_row, layer.edges.col, weight, in, normalised, start,
                   [](Vec<T> y, int32_t, int) { return y; });
      return normalise<T, V>(layer.edges.rows, normalised, out, activation);
    }
    gather<T, V>(0, layer.edges.rows, layer.by_row, layer.edges.col, weight, in, out, start,
                 [activation](Vec<T> y, int32_t, int) { return activation.template apply<T>(y); });
  });
}

// A tile through all layers: rows of x, unless NULL, are packed before the first. base: the tile's activations.
template <class T>
void tile_forward(const Plan &plan, const Tile<T> &tile, const T *x, const void *const *weight,
                  const void *const *bias, T *base) {
  const int64_t in = plan.layers[0].edges.cols;
  if (x) pack(x + tile.first * in, tile.samples, in, tile.width, base);
  with_width(tile.vectors, [&](auto width) {
    for (int32_t l = 0; l < plan.count; l++) {
      const Layer &layer = plan.layers[l];
      layer_forward<T, decltype(width)::value>(
          layer, static_cast<const T *>(weight[l]), static_cast<const T *>(bias[l]),
          base + layer.input_offset * tile.width, base + layer.norm_offset * tile.width,
          base + layer.output_offset * tile.width);
    }
  });
}

// One sample: no padding to a vector; rows are summed by gathers.
template <class T>
sa_status forward_one(const Plan &plan, const T *x, const void *const *weight,
                      const void *const *bias, T *y) {
  T *buffer = static_cast<T *>(scratch(2 * aligned(plan.max_features * sizeof(T))));
  if (!buffer) return SA_OUT_OF_MEMORY;
  T *other = buffer + aligned(plan.max_features * sizeof(T)) / sizeof(T);
  FlushSubnormals flush;
  const T *in = x;
  for (int32_t l = 0; l < plan.count; l++) {
    const sa_layer &edges = plan.layers[l].edges;
    const T *w = static_cast<const T *>(weight[l]), *b = static_cast<const T *>(bias[l]);
    T *out = l + 1 == plan.count ? y : (l % 2 ? other : buffer);
    for (int32_t i = 0; i < edges.rows; i++) {
      T total = 0;
      const int32_t end = edges.row_ptr[i + 1];
#pragma omp simd reduction(+ : total)
      for (int32_t k = edges.row_ptr[i]; k < end; k++) total += w[k] * in[edges.col[k]];
      out[i] = b ? total + b[i] : total;
    }
    if (plan.layers[l].norm_offset) normalise_one(edges.rows, out);
    with_activation(edges.activation, [&](auto activation) {
      for (int32_t i = 0; i < edges.rows; i += kLanes<T>) {
        const size_t bytes = size_t(min64(kLanes<T>, edges.rows - i)) * sizeof(T);
        Vec<T> v = {};
        memcpy(&v, out + i, bytes);
        v = activation.template apply<T>(v);
        memcpy(out + i, &v, bytes);
      }
    });
    in = out;
  }
  return SA_OK;
}

template <class T>
sa_status forward(const Plan &plan, int64_t batch, const void *x, const void *const *weight,
                  const void *const *bias, void *workspace, void *y, int32_t threads) {
  const T *rows = static_cast<const T *>(x);
  T *out_rows = static_cast<T *>(y);
  if (batch == 1 && !workspace && x && y) return forward_one<T>(plan, rows, weight, bias, out_rows);

  const int64_t full = workspace ? tile_width<T>(plan, batch) : tile_width<T>(plan, batch, threads);
  const int64_t tiles = parts(batch, full);
  threads = useful_threads(plan, batch, tiles, threads);
  const size_t tile_bytes = aligned(size_t(plan.features * full) * sizeof(T));
  char *private_tiles = nullptr; // without a workspace each thread reuses one tile
  if (!workspace) {
    private_tiles = static_cast<char *>(scratch(tile_bytes * threads));
    if (!private_tiles) return SA_OUT_OF_MEMORY;
  }
  const Layer &top = plan.layers[plan.count - 1];

  const auto run = [&](int64_t t, int32_t thread) {
    const Tile<T> tile(plan, batch, full, t);
    T *base = workspace ? static_cast<T *>(workspace) + tile.offset
                        : reinterpret_cast<T *>(private_tiles + thread * tile_bytes);
    tile_forward<T>(plan, tile, rows, weight, bias, base);
    if (out_rows)
      unpack(base + top.output_offset * tile.width, tile.samples, top.edges.rows, tile.width,
             out_rows + tile.first * top.edges.rows);
  };
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    FlushSubnormals flush;
#pragma omp for schedule(static)
    for (int64_t t = 0; t < tiles; t++) run(t, thread_number());
  }
  return SA_OK;
}

} // namespace SA_ISA
} // namespace sparse_agents
