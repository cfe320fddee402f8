// The backward of a chain. Each group of tiles sums its own weight gradients; the groups are then
// added in order and, where a layer was swept column by column, put back into row-major slots.
#pragma once
#include "descent.h"

namespace sparse_agents {
namespace SA_ISA {

constexpr int64_t kMaxGroups = 16;
constexpr int64_t kMaxPartialBytes = int64_t(1) << 28;

// Where a backward finds the activations of a tile and the gradient of its output. This one finds them in the
// workspace of the forward, and needs no memory of its own:
//   width: samples of a full tile;
//   shared_size, prepare: elements that all threads share, and what all of them fill in together;
//   private_size: elements that each thread needs for a tile.
template <class T> struct Kept {
  const T *workspace, *grad_y;
  int64_t width;

  int64_t shared_size() const { return 0; }
  void prepare(T *) const {}
  int64_t private_size() const { return 0; }
  const T *activations(const Tile<T> &tile, T *) const { return workspace + tile.offset; }
  // y: what the tile's activations end with. grad_y NULL: the gradient is in place.
  void output_gradient(const Tile<T> &tile, int64_t, int64_t features, const T *, const T *, T *, T *grad) const {
    if (grad_y) pack(grad_y + tile.first * features, tile.samples, features, tile.width, grad);
  }
};

// A mutable view of the arguments of one call.
template <class T, class Source> struct Backward {
  const int64_t batch;
  const Source &source;
  const Descent<T> &descent;
  const T *shared;
  T *grad_x;
  T *grad_workspace;

  // memory: the thread's own, the source's part first.
  void tile(int64_t t, int64_t group, T *memory, T *partial) const {
    const Plan &plan = descent.plan;
    const Tile<T> tile(plan, batch, source.width, t);
    const Layer &top = plan.layers[plan.count - 1];
    const T *base = source.activations(tile, memory), *y = base + top.output_offset * tile.width;
    const Alternating<T> turns(plan, tile.width, memory + source.private_size());
    const auto gradient = [&](int32_t l) {
      if (!grad_workspace) return turns(l);
      const int64_t offset = l < plan.count ? plan.layers[l].input_offset : top.output_offset;
      return grad_workspace + tile.offset + offset * tile.width;
    };
    source.output_gradient(tile, group, top.edges.rows, y, shared, memory, gradient(plan.count));
    descent.run(tile, base, gradient, partial);
    if (grad_x)
      unpack(gradient(0), tile.samples, plan.layers[0].edges.cols, tile.width,
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
  const int64_t tiles = parts(batch, source.width);
  const Tasks tasks = tasks_of<T>(plan, input_gradient || grad_x, grad_weight, grad_bias);
  if (tasks.lowest == plan.count) return SA_OK;
  // Groups of four write past the end, but not into another thread's sums.
  const int64_t partial_size = tasks.partial_size + kAlignment / sizeof(T);

  const int64_t most = kMaxPartialBytes / int64_t(sizeof(T)) / (partial_size + 1);
  const int64_t groups = min64(tiles, min64(kMaxGroups, most < 1 ? 1 : most));
  threads = useful_threads(plan, batch, groups, threads);
  // One thread may add its tiles straight into one buffer: the order of the sums is the same.
  const int64_t buffers = threads == 1 && groups == tiles ? 1 : groups;
  const int64_t private_size = source.private_size() + (grad_workspace ? 0 : Alternating<T>::size(plan, source.width));
  T *shared = static_cast<T *>(scratch(
      (source.shared_size() + tasks.csc_size + buffers * partial_size + threads * private_size) * sizeof(T)));
  if (!shared) return SA_OUT_OF_MEMORY;
  T *csc_weight = shared + source.shared_size(), *partial = csc_weight + tasks.csc_size;
  T *privates = partial + buffers * partial_size;

  const Descent<T> descent = {plan, tasks, csc_weight};
  const Backward<T, Source> call = {batch, source, descent, shared, static_cast<T *>(grad_x),
                                    static_cast<T *>(grad_workspace)};
#pragma omp parallel num_threads(threads) if (threads > 1)
  {
    FlushSubnormals flush;
    source.prepare(shared);
    fill_by_column(plan, tasks, weight, csc_weight);
#pragma omp for schedule(static)
    for (int64_t g = 0; g < groups; g++) {
      T *sums = partial + (g % buffers) * partial_size;
      if (g < buffers) memset(sums, 0, partial_size * sizeof(T));
      for (int64_t t = tiles * g / groups; t < tiles * (g + 1) / groups; t++)
        call.tile(t, g, privates + thread_number() * private_size, sums);
    }
  }
  for (int32_t l = tasks.lowest; l < plan.count; l++) {
    const LayerTask &task = tasks.layers[l];
    if (task.weight)
      add_groups(partial + task.weight_offset, partial_size, buffers, plan.layers[l].nnz,
                 task.fused ? plan.layers[l].edges.slot : nullptr, static_cast<T *>(grad_weight[l]), threads);
    if (task.bias)
      add_groups(partial + task.bias_offset, partial_size, buffers, int64_t(plan.layers[l].edges.rows), nullptr,
                 static_cast<T *>(grad_bias[l]), 1);
  }
  return SA_OK;
}

template <class T>
sa_status backward(const Plan &plan, int64_t batch, const void *workspace,
                   const void *const *weight, const void *grad_y, void *grad_x,
                   int32_t input_gradient, void *const *grad_weight, void *const *grad_bias,
                   void *grad_workspace, int32_t threads) {
  const Kept<T> kept = {static_cast<const T *>(workspace), static_cast<const T *>(grad_y), tile_width<T>(plan, batch)};
  return backward_from<T>(kept, plan, batch, weight, grad_x, input_gradient, grad_weight, grad_bias, grad_workspace,
                          threads);
}

} // namespace SA_ISA
} // namespace sparse_agents
