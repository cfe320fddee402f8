// One sparse layer, forward and backward, for layers of any size. The connections stay in registers while the samples pass
// by: a group of SA_LANES lanes holds a row, SA_ENTRIES connections in each lane, and goes through the tiles of the
// batch. What connections multiply passes through shared memory, SA_STAGES parts of SA_PART features at a time, or is read from
// where it is (SA_STAGES = 0). No atomics: results are the same bits every time.
//
// Rows are taken by the number of their connections, most first, so that those which go together have as many; where
// these are more than kPass, their block takes the batch in several passes.
//
// SA_BLOCK rows that are neighbours and lead to the same features go together: what is loaded of a feature serves all of them.
// Their connections are counted once, and have SA_BLOCK slots each.
//
// Compiled for each SA_LANES, SA_ENTRIES, SA_BLOCK, SA_STAGES, SA_PART and SA_THREADS that is used.
#include "sparse_agents/cuda/activation.h"
#include "sparse_agents/cuda/columns.h"
#include "sparse_agents/cuda/parts.h"
#include "sparse_agents/cuda/reduce.h"
#include "sparse_agents/cuda/tiles.h"

using namespace sparse_agents;

extern __shared__ float4 slab[];

namespace {

constexpr int kLanes = SA_LANES;
constexpr int kEntries = SA_ENTRIES;
constexpr int kBlock = SA_BLOCK;
constexpr int kPass = kLanes * kEntries;
using Source = Parts<SA_STAGES, SA_PART>;

// Connections of rows that go together, as many as a lane holds: their weights, row by row, and the features that they
// multiply; -1 where there is none.
struct Held {
  float weight[kBlock][kEntries];
  int feature[kEntries];
};

__device__ __forceinline__ Held hold(
    int begin, int end, int lane, const int* features, const int* slots, const float* weights) {
  Held held;
#pragma unroll
  for (int step = 0; step < kEntries; ++step) {
    const int entry = begin + step * kLanes + lane;
    const bool there = entry < end;
    held.feature[step] = there ? features[entry] : -1;
#pragma unroll
    for (int r = 0; r < kBlock; ++r) held.weight[r][step] = there ? weights[slots[entry * kBlock + r]] : 0.0f;
  }
  return held;
}

// This thread's row, or group of rows, its place in it, and the passes that its block takes. `row` is no row where there
// is none for this thread.
struct Place {
  int row, lane, half, begin, end, passes;
  __device__ __forceinline__ Place(int rows, const int* order, const int* row_ptr) {
    const int first = blockIdx.x * blockDim.x / kLanes, mine = first + threadIdx.x / kLanes;
    const int longest = row_ptr[order[first] + 1] - row_ptr[order[first]];
    passes = longest > kPass ? (longest + kPass - 1) / kPass : 1;
    row = mine < rows ? order[mine] : rows;
    lane = threadIdx.x % kLanes;
    half = half_read_first(threadIdx.x);
    begin = mine < rows ? row_ptr[row] : 0;
    end = mine < rows ? row_ptr[row + 1] : 0;
  }
};

}  // namespace

// y = activation(weights x + bias), all in tiles. `rows` counts blocks of them. Blocks of the same blockIdx.y have the same `tiles_each` tiles.
// Passes leave sums in y for the next one.
extern "C" __global__ void __launch_bounds__(SA_THREADS) sparse_forward(
    int rows, int features, int tiles, int tiles_each, const int* order, const int* row_ptr, const int* feature_of,
    const int* slot_of, const float* weights, const float* bias, int activation, const float* x, float* y) {
  const Place place(rows, order, row_ptr);
  const int first = blockIdx.y * tiles_each, last = min(first + tiles_each, tiles);
  for (int pass = 0; pass < place.passes; ++pass) {
    const int begin = place.begin + pass * kPass;
    const Held held = hold(begin, place.end, place.lane, feature_of, slot_of, weights);
    Source source(x + static_cast<long long>(first) * features * kColumns, last - first, features, slab);
    for (int tile = first; tile < last; ++tile) {
      float sums[kBlock][kColumns] = {};
      for (int i = 0; i < source.each; ++i) {
        const Part part = source.next(i);
#pragma unroll
        for (int step = 0; step < kEntries; ++step) {
          if (!part.has(held.feature[step])) continue;
          float columns[kColumns];
          load(part.of(held.feature[step]), place.half, columns);
#pragma unroll
          for (int r = 0; r < kBlock; ++r) {
#pragma unroll
            for (int i = 0; i < kColumns; ++i) sums[r][i] = fmaf(held.weight[r][step], columns[i], sums[r][i]);
          }
        }
      }
#pragma unroll
      for (int r = 0; r < kBlock; ++r) {
        straighten(sums[r], place.half);
        const Share<kLanes> share = reduce<kLanes>(sums[r], place.lane);
        if (place.row >= rows || !share.owner) continue;
        const int row = place.row * kBlock + r;
        float* out = y + (static_cast<long long>(tile) * rows * kBlock + row) * kColumns + share.first;
#pragma unroll
        for (int i = 0; i < Share<kLanes>::held; ++i) {
          float sum = sums[r][i];
          if (pass > 0) sum += out[i];
          if (pass == place.passes - 1) sum = activated(sum + (bias ? bias[row] : 0.0f), activation);
          out[i] = sum;
        }
      }
    }
  }
}

// `rows` counts blocks of them, too. Gradients of the input, `grad_x`, and of the weights, `grad_weights`, [gridDim.y][connections], of which the caller adds
// up the parts. Rows are those of the transpose: features of the input, whose connections lead to features of `grad`.
extern "C" __global__ void __launch_bounds__(SA_THREADS) sparse_backward(
    int rows, int features, int tiles, int tiles_each, const int* order, const int* row_ptr, const int* feature_of,
    const int* slot_of, const float* weights, int connections, const float* x, const float* grad, float* grad_x,
    float* grad_weights) {
  const Place place(rows, order, row_ptr);
  const int first = blockIdx.y * tiles_each, last = min(first + tiles_each, tiles);
  for (int pass = 0; pass < place.passes; ++pass) {
    const int begin = place.begin + pass * kPass;
    const Held held = hold(begin, place.end, place.lane, feature_of, slot_of, weights);
    float dots[kBlock][kEntries] = {};
    Source source(grad + static_cast<long long>(first) * features * kColumns, last - first, features, slab);
    for (int tile = first; tile < last; ++tile) {
      float sums[kBlock][kColumns] = {}, input[kBlock][kColumns] = {};
      const long long mine = (static_cast<long long>(tile) * rows + place.row) * kBlock * kColumns;
      if (place.row < rows) {
#pragma unroll
        for (int r = 0; r < kBlock; ++r) {
          load(reinterpret_cast<const float4*>(x + mine + r * kColumns), place.half, input[r]);
        }
      }
      for (int i = 0; i < source.each; ++i) {
        const Part part = source.next(i);
#pragma unroll
        for (int step = 0; step < kEntries; ++step) {
          if (!part.has(held.feature[step])) continue;
          float columns[kColumns];
          load(part.of(held.feature[step]), place.half, columns);
#pragma unroll
          for (int r = 0; r < kBlock; ++r) {
#pragma unroll
            for (int i = 0; i < kColumns; ++i) {
              sums[r][i] = fmaf(held.weight[r][step], columns[i], sums[r][i]);
              dots[r][step] = fmaf(input[r][i], columns[i], dots[r][step]);
            }
          }
        }
      }
      if (grad_x == nullptr) continue;
#pragma unroll
      for (int r = 0; r < kBlock; ++r) {
        straighten(sums[r], place.half);
        const Share<kLanes> share = reduce<kLanes>(sums[r], place.lane);
        if (place.row >= rows || !share.owner) continue;
        float* out = grad_x + mine + r * kColumns + share.first;
#pragma unroll
        for (int i = 0; i < Share<kLanes>::held; ++i) out[i] = pass > 0 ? out[i] + sums[r][i] : sums[r][i];
      }
    }
    float* parts = grad_weights + static_cast<long long>(blockIdx.y) * connections;
#pragma unroll
    for (int step = 0; step < kEntries; ++step) {
      if (held.feature[step] < 0) continue;
#pragma unroll
      for (int r = 0; r < kBlock; ++r) {
        parts[slot_of[(begin + step * kLanes + place.lane) * kBlock + r]] = dots[r][step];
      }
    }
  }
}
