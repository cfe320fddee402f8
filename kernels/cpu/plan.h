// What a network knows beyond its index arrays: where its layers lie and how their rows are blocked.
#pragma once
#include "sparse_agents/program.h"

namespace sparse_agents {

constexpr int32_t kMaxLayers = 64;

int32_t thread_number(); // of the calling thread within its OpenMP team

// Vectors of a feature in a batch tile. A wide tile finds its connections half as often and sums weight gradients
// over twice as many samples at once; narrow ones are enough for several threads.
constexpr int32_t kNarrowTile = 4, kWideTile = 8;

// Multiply-adds below which a second thread costs more than it brings, above all on a busy machine
// where the threads of a region wait for each other.
constexpr int64_t kThreadingWork = 4000000;

// Connections of each row, cut at multiples of a column block so that the block's activations stay in
// the first-level cache: entries of block b of row i are [bound[b][i], bound[b + 1][i]). The sums of a
// gather are worth carrying from block to block; the sweeps for the weight gradient are not (measured).
struct Blocks {
  int32_t count = 1;
  const int32_t *const *bound = nullptr; // [count + 1] pointers to [rows]
};

struct Layer {
  sa_layer edges;
  int64_t nnz;
  int64_t input_offset;  // features before this layer's input in a tile
  int64_t output_offset; // features before its output
  int64_t norm_offset;   // features before its normalised sums; 0 where it has none
  Blocks by_row, by_col;
};

struct Plan {
  int32_t count;
  int32_t dtype;
  int64_t features;     // of all layers and the input, and of what norms keep: the height of a tile
  int64_t max_features; // the tallest layer
  int64_t connections;
  const Layer *layers;
};

inline bool worth_threads(const Plan &plan, int64_t batch) { return plan.connections * batch >= kThreadingWork; }

// Where a workspace outlives the call: by the work alone, as the next call may have other threads.
inline int32_t tile_vectors(const Plan &plan, int64_t batch) {
  return worth_threads(plan, batch) ? kNarrowTile : kWideTile;
}

// What one instruction set offers; one table per compilation of isa.cpp.
struct KernelTable {
  const char *name;
  int32_t vector_bytes;
  sa_status (*forward[2])(const Plan &, int64_t, const void *, const void *const *,
                          const void *const *, void *, void *, int32_t);
  sa_status (*backward[2])(const Plan &, int64_t, const void *, const void *const *, const void *,
                           void *, int32_t, void *const *, void *const *, void *, int32_t);
  sa_status (*fit[2])(const Plan &, int64_t, const void *, const void *const *, const void *const *, const void *,
                      double, void *const *, void *const *, double *, int32_t);
  sa_status (*ascend[2])(const Plan &, const Plan &, int64_t, const void *, const void *const *, const void *const *,
                         const void *const *, const void *const *, double, void *const *, void *const *, double *,
                         int32_t);
  sa_status (*apply[2])(const sa_operation *); // all operations but the networks' passes
};

const KernelTable &kernels(); // of the instruction set in use

} // namespace sparse_agents
