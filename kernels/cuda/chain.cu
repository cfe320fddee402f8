// Small networks in one launch, side by side: a block takes one tile of samples after the other through all layers of one
// of them (blockIdx.y), or of an actor and its critic. Gradients of the parameters are summed over a block's own tiles, and over
// blocks by chain_sum. No atomics: results are the same bits every time.
//
// A block's shared memory: two slabs of the tallest boundary; room for sums; activations that are kept; a direction's
// connections.
#include "sparse_agents/cuda/block_sum.h"
#include "sparse_agents/cuda/passes.h"

using namespace sparse_agents;

extern __shared__ float4 slab[];

namespace {

__device__ __forceinline__ float* shared() { return reinterpret_cast<float*>(slab); }

__device__ __forceinline__ Slabs slabs_of(const Chains& chains) {
  return {shared(), shared() + chains.tallest * kColumns, shared() + 2 * chains.tallest * kColumns};
}

__device__ __forceinline__ float* behind_slabs(const Chains& chains) {
  return shared() + 2 * chains.tallest * kColumns + chains.scratch;
}

__device__ __forceinline__ Stage stage_of(const Chains& chains) {
  if (chains.staged == 0) return {nullptr, nullptr, nullptr};
  float* weight = behind_slabs(chains) + chains.kept;
  int* feature = reinterpret_cast<int*>(weight + chains.staged);
  return {weight, feature, feature + chains.staged};
}

// Numbers that are kept of a tile.
__device__ __forceinline__ int kept_by(const Chain& chain) {
  const Kept kept(chain);
  return (kept.boundaries + kept.normalised) * kColumns;
}

// The boundaries of the tile that a block has in hand: in shared memory behind `before` numbers, or its part of the workspace.
__device__ __forceinline__ Boundaries boundaries_of(const Chains& chains, const Chain& chain, int before) {
  if (chains.kept) return {behind_slabs(chains) + before, 0, 1};
  return {chain.workspace + static_cast<long long>(blockIdx.x) * kept_by(chain), 0, 1};
}

__device__ __forceinline__ float* parts_of(const Chain& chain) {
  return chain.partial + static_cast<long long>(blockIdx.x) * chain.parts;
}

// The gradient of a loss by the only output, sample by sample, in place of the output; what the first kColumns threads return
// is their samples' part of the loss.
template <typename Loss>
__device__ double judge(const Chains& chains, int tile, float* output, Loss loss) {
  double part = 0.0;
  __syncthreads();
  if (threadIdx.x < kColumns) {
    const int sample = tile * kColumns + threadIdx.x;
    const bool there = sample < chains.batch;
    part = there ? loss(sample, output[threadIdx.x]) : 0.0;
    if (!there) output[threadIdx.x] = 0.0f;
  }
  return part;
}

// A block's part of the loss, from what its first kColumns threads have.
__device__ void leave_loss(const Chains& chains, double mine) {
  double* sums = reinterpret_cast<double*>(slab);
  __syncthreads();
  if (threadIdx.x < kColumns) sums[threadIdx.x] = mine;
  __syncthreads();
  if (threadIdx.x != 0) return;
  double sum = 0.0;
  for (int i = 0; i < kColumns; ++i) sum += sums[i];
  chains.losses[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

}  // namespace

// x to y. The workspace gets the activations of all boundaries, where it is given.
extern "C" __global__ void chain_forward(const __grid_constant__ Chains chains) {
  const Chain& chain = chains.chain[blockIdx.y];
  const Stage stage = stage_of(chains);
  const int tiles = tiles_of(chains.batch);
  fill<&ChainLayer::by_output>(stage, chain);
  for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    Slabs slabs = slabs_of(chains);
    __syncthreads();  // the tile before has been written
    read_tile(chain.x, chains.batch, chain.layer[0].cols, tile, slabs.from);
    forward(chain, stage, {chain.workspace, tile, tiles}, slabs);
    if (chain.y) write_tile(slabs.from, chains.batch, chain.layer[chain.layers - 1].rows, tile, chain.y);
  }
}

// From grad_y to grad_x, and to the parameters' gradients.
extern "C" __global__ void chain_backward(const __grid_constant__ Chains chains) {
  const Chain& chain = chains.chain[blockIdx.y];
  const Stage stage = stage_of(chains);
  const int tiles = tiles_of(chains.batch);
  fill<&ChainLayer::by_input>(stage, chain);
  for (int tile = blockIdx.x; tile < tiles; tile += gridDim.x) {
    Slabs slabs = slabs_of(chains);
    __syncthreads();  // the tile before has been written
    read_tile(chain.grad_y, chains.batch, chain.layer[chain.layers - 1].rows, tile, slabs.from);
    backward(chain, stage, {chain.workspace, tile, tiles}, {chain.gradients, tile, tiles}, slabs,
             chain.grad_x != nullptr, parts_of(chain), tile == static_cast<int>(blockIdx.x));
    if (chain.grad_x) write_tile(slabs.from, chains.batch, chain.layer[0].cols, tile, chain.grad_x);
  }
}

// sa_network_fit: x, forward, scale times the mean squared error against the target, backward.
extern "C" __global__ void chain_fit(const __grid_constant__ Chains chains) {
  const Chain& chain = chains.chain[blockIdx.y];
  const Stage stage = stage_of(chains);
  const Boundaries kept = boundaries_of(chains, chain, 0);
  const double by = 2.0 * chains.scale / static_cast<double>(chains.batch);
  double loss = 0.0;
  for (int tile = blockIdx.x; tile < tiles_of(chains.batch); tile += gridDim.x) {
    Slabs slabs = slabs_of(chains);
    __syncthreads();  // the tile before has been through
    fill<&ChainLayer::by_output>(stage, chain);
    read_tile(chain.x, chains.batch, chain.layer[0].cols, tile, slabs.from);
    forward(chain, stage, kept, slabs);
    fill<&ChainLayer::by_input>(stage, chain);
    loss += judge(chains, tile, slabs.from, [&](int sample, float& q) {
      const float error = q - chains.target[sample];
      q = static_cast<float>(by) * error;
      return static_cast<double>(error) * error;
    });
    backward(chain, stage, kept, {nullptr, 0, 0}, slabs, false, parts_of(chain), tile == static_cast<int>(blockIdx.x));
  }
  leave_loss(chains, chains.scale * loss / static_cast<double>(chains.batch));
}

// sa_network_ascend: x, the first network, the second one over x with that behind it, scale times the mean of what this
// says, and back to the first network's parameters.
extern "C" __global__ void chain_ascend(const __grid_constant__ Chains chains) {
  const Chain &actor = chains.chain[0], &critic = chains.chain[1];
  const Stage stage = stage_of(chains);
  const Boundaries acted = boundaries_of(chains, actor, 0);
  const Boundaries judged = boundaries_of(chains, critic, kept_by(actor));
  const int seen = kColumns * actor.layer[0].cols, done = kColumns * actor.layer[actor.layers - 1].rows;
  const double by = chains.scale / static_cast<double>(chains.batch);
  double loss = 0.0;
  for (int tile = blockIdx.x; tile < tiles_of(chains.batch); tile += gridDim.x) {
    Slabs slabs = slabs_of(chains);
    __syncthreads();  // the tile before has been through
    fill<&ChainLayer::by_output>(stage, actor);
    read_tile(actor.x, chains.batch, actor.layer[0].cols, tile, slabs.from);
    forward(actor, stage, acted, slabs);
    fill<&ChainLayer::by_output>(stage, critic);
    for (int k = threadIdx.x; k < seen + done; k += blockDim.x) {
      slabs.to[k] = k < seen ? acted.memory[k] : slabs.from[k - seen];
    }
    slabs.swap();
    forward(critic, stage, judged, slabs);
    fill<&ChainLayer::by_input>(stage, critic);
    loss += judge(chains, tile, slabs.from, [&](int, float& q) {
      const double said = q;
      q = static_cast<float>(by);
      return said;
    });
    backward(critic, stage, judged, {nullptr, 0, 0}, slabs, true, nullptr, false);
    fill<&ChainLayer::by_input>(stage, actor);
    copy_tile(slabs.from + seen, actor.layer[actor.layers - 1].rows, slabs.to);
    slabs.swap();
    backward(actor, stage, acted, {nullptr, 0, 0}, slabs, false, parts_of(actor), tile == static_cast<int>(blockIdx.x));
  }
  leave_loss(chains, by * loss);
}

// The parameters' gradients: sums over `blocks` of their parts. A thread for each of a chain's parts.
extern "C" __global__ void chain_sum(const __grid_constant__ Chains chains, int blocks, int losses) {
  const Chain& chain = chains.chain[blockIdx.y];
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i == 0 && blockIdx.y == 0 && losses > 0) {
    double sum = 0.0;
    for (int k = 0; k < losses; ++k) sum += chains.losses[k];
    *chains.loss += sum;
  }
  if (i >= chain.parts) return;
  float sum = 0.0f;
#pragma unroll 8
  for (int block = 0; block < blocks; ++block) sum += chain.partial[static_cast<long long>(block) * chain.parts + i];
  for (int l = 0; l < chain.layers; ++l) {
    const ChainLayer& layer = chain.layer[l];
    const int weight = i - layer.weight_offset, bias = i - layer.bias_offset;
    if (layer.grad_weight && weight >= 0 && weight < layer.connections) layer.grad_weight[weight] = sum;
    if (layer.grad_bias && bias >= 0 && bias < layer.rows) layer.grad_bias[bias] = sum;
  }
}
