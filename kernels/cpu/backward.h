// The backward of a chain. Each group of tiles sums its own weight gradients; the groups are then
// added in order and, where a layer was swept column by column, put back into row-major slots.
#pragma once
#include "network.h"

namespace sparse_agents {
namespace SA_ISA {

// Columns with fewer connections waste the groups of four in which the fused sweep sums.
constexpr int64_t kConnectionsToFuse = 4;
constexpr int64_t kMaxGroups = 16;
constexpr int64_t kMaxPartialBytes = int64_t(1) << 28;

// What is wanted of each layer, and where its partial sums lie.
struct LayerTask {
  bool weight, bias, input; // gradients wanted
  bool fused;               // weight and input gradient in one sweep, which leaves the former in CSC order
  int64_t weight_offset, bias_offset, csc_offset; // elements, in a group's partial sums and in csc
};

// A backward whose forward left the activations in a workspace.
template <class T> struct Kept {
  const T *workspace, *grad_y;

  static int64_t scratch_size(const Plan &) { return 0; }
  const T *activations(const Tile<T> &tile, T *) const { return workspace + tile.offset; }
  // grad_y NULL: it is in place.
  void output_gradient(const Tile<T> &tile, int64_t, int64_t features, const T *, T *grad) const {
    if (grad_y) pack(grad_y + tile.first * features, tile.samples, features, tile.width, grad);
  }
};

// A backward that makes its own forward, tile by tile while the tile is in the cache, and takes the gradient of
// scale times the mean squared error of one output.
template <class T> struct Fitted {
  const Plan &plan;
  const T *x, *target;
  const void *const *weight, *const *bias;
  T scale;        // of an error in the gradient
  double *losses; // sums of squares, by group

  static int64_t scratch_size(const Plan &plan) {
    return aligned(size_t(plan.features) * kTileWidth<T> * sizeof(T)) / sizeof(T);
  }
  const T *activations(const Tile<T> &tile, T *base) const {
    tile_forward<T>(plan, tile, x, weight, bias, base);
    return base;
  }
  void output_gradient(const Tile<T> &tile, int64_t group, int64_t, const T *y, T *grad) const {
    for (int64_t i = 0; i < tile.samples; i++) {
      const T error = y[i] - target[tile.first + i];
      grad[i] = scale * error;
      losses[group] += double(error) * double(error);
    }
    for (int64_t i = tile.samples; i < tile.width; i++) grad[i] = 0;
  }
};

// A mutable view of the arguments of one call.
template <class T, class Source> struct Backward {
  const Plan &plan;
  const int64_t batch;
  const Source &source;
  T *grad_x;
  T *grad_workspace;
  const LayerTask *tasks;
  const T *csc_weight;
  int64_t partial_size;
  int32_t lowest; // the lowest layer anything is wanted of

  // The gradient of the features before layer l (l = count: of the output) in a tile's own buffers.
  T *gradient(const Tile<T> &tile, T *private_buffer, int32_t l) const {
    if (grad_workspace) {
      const int64_t offset = l < plan.count ? plan.layers[l].input_offset
                                            : plan.layers[plan.count - 1].output_offset;
      return grad_workspace + tile.offset + offset * tile.width;
    }
    return private_buffer + (l % 2) * plan.max_features * kTileWidth<T>;
  }

  template <int V>
  void layer(const Tile<T> &tile, int32_t l, const T *base, const T *grad_out, T *grad_in, T *partial) const {
    const Layer &layer = plan.layers[l];
    const LayerTask &task = tasks[l];
    const T *in = base + layer.input_offset * tile.width;
    if (task.bias) bias_gradient<T, V>(layer.edges.rows, grad_out, partial + task.bias_offset);
    if (task.weight && !task.fused)
      weight_gradient<T, V>(layer.edges, layer.by_row, in, grad_out, partial + task.weight_offset);
    if (!task.input) return;
    const T *weight = csc_weight + task.csc_offset;
    with_activation(l > 0 ? plan.layers[l - 1].edges.activation : SA_IDENTITY, [&](auto below) {
      if (task.fused)
        both_gradients<T, V>(layer.edges.cols, layer.edges.col_ptr, layer.edges.row, weight, in,
                             grad_out, grad_in, partial + task.weight_offset, [below](Vec<T> g, Vec<T> y) {
                               return below.template derivative<T>(g, y);
                             });
      else
        gather<T, V>(layer.edges.cols, layer.by_col, layer.edges.row, weight, grad_out, grad_in,
                     [](int32_t) { return Vec<T>{}; },
                     [below, in](Vec<T> g, int32_t j, int v) {
                       return below.template derivative<T>(g, vectors(feature<T, V>(in, j))[v]);
                     });
    });
  }

  // private_buffer: the source's scratch memory, then that of the gradients.
  void tile(int64_t t, int64_t group, T *private_buffer, T *partial) const {
    const Tile<T> tile(plan, batch, t);
    const Layer &top = plan.layers[plan.count - 1];
    const T *base = source.activations(tile, private_buffer), *y = base + top.output_offset * tile.width;
    private_buffer += Source::scratch_size(plan);
    T *grad_out = gradient(tile, private_buffer, plan.count);
    source.output_gradient(tile, group, top.edges.rows, y, grad_out);
    if (top.edges.activation != SA_IDENTITY)
      with_activation(top.edges.activation, [&](auto activation) {
        Vec<T> *g = vectors(grad_out);
        for (int64_t v = 0; v < top.edges.rows * tile.vectors; v++)
          g[v] = activation.template derivative<T>(g[v], vectors(y)[v]);
      });
    with_width(tile.vectors, [&](auto width) {
      for (int32_t l = plan.count - 1; l >= lowest; l--)
        layer<decltype(width)::value>(tile, l, base, gradient(tile, private_buffer, l + 1),
                                      gradient(tile, private_buffer, l), partial);
    });
    if (grad_x)
      unpack(gradient(tile, private_buffer, 0), tile.samples, plan.layers[0].edges.cols, tile.width,
             grad_x + tile.first * plan.layers[0].edges.cols);
  }
};

template <class T>
void add_groups(const T *partial, int64_t stride, int64_t groups, int64_t n, const int32_t *slot,
                T *out, int32_t threads) {
  if (groups == 1 && !slot) {
    memcpy(out, partial, n * sizeof(T));
    return;
  }
#pragma omp parallel for num_threads(threads) if (threads > 1) schedule(static)
  for (int64_t k = 0; k < n; k++) {
    T total = partial[k];
    for (int64_t g = 1; g < groups; g++) total += partial[g * stride + k];
    out[slot ? slot[k] : k] = total;
  }
}

template <class T, class Source>
sa_status backward_from(const Source &source, const Plan &plan, int64_t batch, const void *const *weight,
                        void *grad_x, int32_t input_gradient, void *const *grad_weight,
                        void *const *grad_bias, void *grad_workspace, int32_t threads) {
  const int64_t tiles = tile_count<T>(batch);
  LayerTask tasks[kMaxLayers];
  int64_t partial_size = 0, csc_size = 0;
  int32_t lowest = plan.count;
  bool below = input_gradient || grad_x;
  for (int32_t l = 0; l < plan.count; l++) {
    LayerTask &task = tasks[l];
    task.input = below;
    task.weight = grad_weight[l] != nullptr;
    task.bias = grad_bias[l] != nullptr;
    below = below || task.weight || task.bias;
    if (below && lowest == plan.count) lowest = l;
    task.fused = task.weight && task.input &&
                 plan.layers[l].nnz >= kConnectionsToFuse * plan.layers[l].edges.cols;
    task.weight_offset = partial_size;
    if (task.weight) partial_size += aligned(plan.layers[l].nnz * sizeof(T)) / sizeof(T);
    task.bias_offset = partial_size;
    if (task.bias) partial_size += aligned(plan.layers[l].edges.rows * sizeof(T)) / sizeof(T);
    task.csc_offset = csc_size;
    if (task.input) csc_size += aligned(plan.layers[l].nnz * sizeof(T)) / sizeof(T);
  }
  if (lowest == plan.count) return SA_OK;
  partial_size += kAlignment / sizeof(T); // groups of four write past the end, but not into another thread's sums

  const int64_t most = kMaxPartialBytes / int64_t(sizeof(T)) / (partial_size + 1);
  const int64_t groups = min64(tiles, min64(kMaxGroups, most < 1 ? 1 : most));
  threads = useful_threads(plan, batch, groups, threads);
  // One thread may add its tiles straight into one buffer: the order of the sums is the same.
  const int64_t buffers = threads == 1 && groups == tiles ? 1 : groups;
  const int64_t gradient_size =
      grad_workspace ? 0 : aligned(2 * plan.max_features * kTileWidth<T> * sizeof(T)) / sizeof(T);
  const int64_t private_size = Source::scratch_size(plan) + gradient_size;
  T *memory = static_cast<T *>(
      scratch((csc_size + buffers * partial_size + threads * private_size) * sizeof(T)));
  if (!memory) return SA_OUT_OF_MEMORY;
  T *csc_weight = memory, *partial = csc_weight + csc_size, *privates = partial + buffers * partial_size;

  const Backward<T, Source> call = {plan, batch, source, static_cast<T *>(grad_x), static_cast<T *>(grad_workspace),
                                    tasks, csc_weight, partial_size, lowest};
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    FlushSubnormals flush;
    for (int32_t l = lowest; l < plan.count; l++) {
      if (!tasks[l].input) continue;
      const T *from = static_cast<const T *>(weight[l]);
      T *to = csc_weight + tasks[l].csc_offset;
      const int32_t *slot = plan.layers[l].edges.slot;
#pragma omp for simd schedule(static)
      for (int64_t k = 0; k < plan.layers[l].nnz; k++) to[k] = from[slot[k]];
    }
#pragma omp for schedule(static)
    for (int64_t g = 0; g < groups; g++) {
      T *sums = partial + (g % buffers) * partial_size;
      if (g < buffers) memset(sums, 0, partial_size * sizeof(T));
      for (int64_t t = tiles * g / groups; t < tiles * (g + 1) / groups; t++)
        call.tile(t, g, privates + thread_number() * private_size, sums);
    }
  }
  for (int32_t l = lowest; l < plan.count; l++) {
    if (tasks[l].weight)
      add_groups(partial + tasks[l].weight_offset, partial_size, buffers, plan.layers[l].nnz,
                 tasks[l].fused ? plan.layers[l].edges.slot : nullptr,
                 static_cast<T *>(grad_weight[l]), threads);
    if (tasks[l].bias)
      add_groups(partial + tasks[l].bias_offset, partial_size, buffers,
                 int64_t(plan.layers[l].edges.rows), nullptr, static_cast<T *>(grad_bias[l]), 1);
  }
  return SA_OK;
}

template <class T>
sa_status backward(const Plan &plan, int64_t batch, const void *workspace,
                   const void *const *weight, const void *grad_y, void *grad_x,
                   int32_t input_gradient, void *const *grad_weight, void *const *grad_bias,
                   void *grad_workspace, int32_t threads) {
  const Kept<T> kept = {static_cast<const T *>(workspace), static_cast<const T *>(grad_y)};
  return backward_from<T>(kept, plan, batch, weight, grad_x, input_gradient, grad_weight, grad_bias, grad_workspace,
                          threads);
}

template <class T>
sa_status fit(const Plan &plan, int64_t batch, const void *x, const void *const *weight, const void *const *bias,
              const void *target, double scale, void *const *grad_weight, void *const *grad_bias, double *loss,
              int32_t threads) {
  if (plan.layers[plan.count - 1].edges.rows != 1) return SA_BAD_ARGUMENT;
  double losses[kMaxGroups] = {};
  const Fitted<T> fitted = {plan, static_cast<const T *>(x), static_cast<const T *>(target), weight, bias,
                            T(2 * scale / double(batch)), losses};
  const sa_status status =
      backward_from<T>(fitted, plan, batch, weight, nullptr, 0, grad_weight, grad_bias, nullptr, threads);
  if (status != SA_OK) return status;
  double total = 0;
  for (int64_t g = 0; g < kMaxGroups; g++) total += losses[g];
  *loss += scale * total / double(batch);
  return SA_OK;
}

} // namespace SA_ISA
} // namespace sparse_agents
