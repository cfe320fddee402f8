// Down through the layers of a chain, a batch tile at a time: the gradients a tile gives.
#pragma once
#include "network.h"

namespace sparse_agents {
namespace SA_ISA {

// Columns with fewer connections waste the groups of four in which the fused sweep sums.
constexpr int64_t kConnectionsToFuse = 4;

// What is wanted of each layer, and where its partial sums lie.
struct LayerTask {
  bool weight, bias, input; // gradients wanted
  bool fused;               // weight and input gradient in one sweep, which leaves the former in CSC order
  int64_t weight_offset, bias_offset, csc_offset; // elements, in a group's partial sums and in csc
};

struct Tasks {
  LayerTask layers[kMaxLayers];
  int64_t partial_size = 0, csc_size = 0; // elements
  int32_t lowest;                         // the lowest layer anything is wanted of
  int32_t first_input = 0;                // of the network's inputs, the first whose gradient is wanted
};

// input: whether the gradient by the network's input is wanted. A gradient that is NULL is not.
template <class T>
Tasks tasks_of(const Plan &plan, bool input, void *const *grad_weight, void *const *grad_bias) {
  Tasks tasks;
  tasks.lowest = plan.count;
  bool below = input;
  for (int32_t l = 0; l < plan.count; l++) {
    LayerTask &task = tasks.layers[l];
    task.input = below;
    task.weight = grad_weight && grad_weight[l];
    task.bias = grad_bias && grad_bias[l];
    below = below || task.weight || task.bias;
    if (below && tasks.lowest == plan.count) tasks.lowest = l;
    task.fused = task.weight && task.input &&
                 plan.layers[l].nnz >= kConnectionsToFuse * plan.layers[l].edges.cols;
    task.weight_offset = tasks.partial_size;
    if (task.weight) tasks.partial_size += padded<T>(plan.layers[l].nnz);
    task.bias_offset = tasks.partial_size;
    if (task.bias) tasks.partial_size += padded<T>(plan.layers[l].edges.rows);
    task.csc_offset = tasks.csc_size;
    if (task.input) tasks.csc_size += padded<T>(plan.layers[l].nnz);
  }
  return tasks;
}

// The weights that input gradients need, column by column. Called by all threads of a parallel region.
template <class T>
void fill_by_column(const Plan &plan, const Tasks &tasks, const void *const *weight, T *csc_weight) {
  for (int32_t l = tasks.lowest; l < plan.count; l++) {
    if (!tasks.layers[l].input) continue;
    const T *from = static_cast<const T *>(weight[l]);
    T *to = csc_weight + tasks.layers[l].csc_offset;
    const int32_t *slot = plan.layers[l].edges.slot;
#pragma omp for simd schedule(static)
    for (int64_t k = 0; k < plan.layers[l].nnz; k++) to[k] = from[slot[k]];
  }
}

// Two buffers by turns: the gradient of the features before layer l, or after the last.
template <class T> struct Alternating {
  T *memory;
  int64_t each;

  // width: of a tile.
  static int64_t size(const Plan &plan, int64_t width) { return padded<T>(2 * plan.max_features * width); }
  Alternating(const Plan &plan, int64_t width, T *m) : memory(m), each(plan.max_features * width) {}
  T *operator()(int32_t l) const { return memory + (l % 2) * each; }
};

template <class T> struct Descent {
  const Plan &plan;
  const Tasks &tasks;
  const T *csc_weight;

  // From the gradient of what layer l's activation was applied to, to that of its sums.
  template <int V> void through_norm(int32_t l, const Tile<T> &tile, const T *base, T *gradient) const {
    const Layer &layer = plan.layers[l];
    if (layer.norm_offset)
      normalised_gradient<T, V>(layer.edges.rows, base + layer.norm_offset * tile.width, gradient);
  }

  template <int V>
  void layer(int32_t l, const T *in, const T *grad_out, T *grad_in, T *partial) const {
    const Layer &layer = plan.layers[l];
    const LayerTask &task = tasks.layers[l];
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
        gather<T, V>(l > 0 ? 0 : tasks.first_input, layer.edges.cols, layer.by_col, layer.edges.row, weight,
                     grad_out, grad_in, [](int32_t) { return Vec<T>{}; },
                     [below, in](Vec<T> g, int32_t j, int v) {
                       return below.template derivative<T>(g, vectors(feature<T, V>(in, j))[v]);
                     });
    });
  }

  // base: the tile's activations. gradient(l): where the gradient of the features before layer l belongs; that of
  // the output is there, and changed to that of the sums before its activation. partial: the tile's group's sums.
  template <class Gradient> void run(const Tile<T> &tile, const T *base, const Gradient &gradient, T *partial) const {
    const Layer &top = plan.layers[plan.count - 1];
    if ((top.edges.activation & ~SA_LAYER_NORM) != SA_IDENTITY)
      with_activation(top.edges.activation, [&](auto activation) {
        Vec<T> *g = vectors(gradient(plan.count));
        const Vec<T> *y = vectors(base + top.output_offset * tile.width);
        for (int64_t v = 0; v < top.edges.rows * tile.vectors; v++) g[v] = activation.template derivative<T>(g[v], y[v]);
      });
    with_width(tile.vectors, [&](auto width) {
      constexpr int V = decltype(width)::value;
      for (int32_t l = plan.count - 1; l >= tasks.lowest; l--) {
        through_norm<V>(l, tile, base, gradient(l + 1));
        layer<V>(l, base + plan.layers[l].input_offset * tile.width, gradient(l + 1), gradient(l), partial);
      }
    });
  }
};

} // namespace SA_ISA
} // namespace sparse_agents
