// What a training step does between the passes of its networks: operations of sparse_agents/operations.h, a kernel each that
// takes the struct. In float; sums over a minibatch are of one block, in double, and always in the same order.
#include "sparse_agents/cuda/block_sum.h"
#include "sparse_agents/operations.h"

using namespace sparse_agents;

extern __shared__ float4 slab[];

namespace {

__device__ __forceinline__ const float* floats(const void* memory) { return static_cast<const float*>(memory); }
__device__ __forceinline__ float* floats(void* memory) { return static_cast<float*>(memory); }

__device__ __forceinline__ long long number_of_thread() {
  return static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ float clamped(float x, float low, float high) {
  return x < low ? low : x > high ? high : x;  // a NaN stays one
}

// By Polyak averaging.
__device__ __forceinline__ float averaged(float target, float online, double tau) {
  return static_cast<float>(1.0 - tau) * target + static_cast<float>(tau) * online;
}

__device__ __forceinline__ double sum_of_all(double mine) { return block_sum(mine, reinterpret_cast<double*>(slab)); }

constexpr float kLogStdMin = -20.0f, kLogStdMax = 2.0f, kSquashEpsilon = 1e-6f;
constexpr float kHalfLogTwoPi = 0.91893853320467274178f;

}  // namespace

// A block for each row.
extern "C" __global__ void gather(const __grid_constant__ sa_gather op) {
  const long long i = blockIdx.x, row = op.row[i];
  for (int a = 0; a < op.arrays; ++a) {
    const sa_columns& c = op.columns[a];
    float* out = floats(c.out) + i * c.out_stride;
    for (long long j = threadIdx.x; j < c.columns; j += blockDim.x) {
      const long long from = row * c.columns + j;
      const bool single = c.source_dtype == SA_FLOAT32;
      out[j] = single ? floats(c.source)[from] : static_cast<float>(static_cast<const double*>(c.source)[from]);
    }
  }
}

// A thread for each element.
extern "C" __global__ void copy(const __grid_constant__ sa_copy op) {
  const long long k = number_of_thread(), i = k / op.columns, j = k % op.columns;
  if (i < op.rows) floats(op.out)[i * op.out_stride + j] = floats(op.from)[i * op.from_stride + j];
}

// A thread for each element.
extern "C" __global__ void smoothed_action(const __grid_constant__ sa_smoothed_action op) {
  const long long k = number_of_thread(), i = k / op.columns, j = k % op.columns;
  if (i >= op.rows) return;
  const float clip = static_cast<float>(op.clip);
  const float noise = clamped(static_cast<float>(op.scale) * op.noise[k], -clip, clip);
  floats(op.out)[i * op.out_stride + j] = clamped(floats(op.action)[k] + noise, -1.0f, 1.0f);
}

// A thread for each row.
extern "C" __global__ void td_target(const __grid_constant__ sa_td_target op) {
  const long long i = number_of_thread();
  if (i >= op.rows) return;
  float least = floats(op.q[0])[i];
  for (int c = 1; c < op.critics; ++c) {
    const float q = floats(op.q[c])[i];
    if (!(least <= q) && least == least) least = q;  // a NaN stays
  }
  if (op.log_prob) least -= static_cast<float>(*op.entropy) * floats(op.log_prob)[i];
  const float done = floats(op.done)[i], over = op.timeout ? done * (1.0f - floats(op.timeout)[i]) : done;
  const float discount = op.discounts ? floats(op.discounts)[i] : static_cast<float>(op.discount);
  floats(op.target)[i] = floats(op.reward)[i] + (1.0f - over) * discount * least;
}

// One block.
extern "C" __global__ void td_error(const __grid_constant__ sa_td_error op) {
  const float scale = static_cast<float>(2.0 * op.scale / static_cast<double>(op.rows));
  double total = 0.0;
  for (long long i = threadIdx.x; i < op.rows; i += blockDim.x) {
    const float error = floats(op.q)[i] - floats(op.target)[i];
    floats(op.grad)[i] = scale * error;
    total += static_cast<double>(error) * error;
  }
  total = sum_of_all(total);
  if (threadIdx.x == 0) *op.loss += op.scale * total / static_cast<double>(op.rows);
}

// One block.
extern "C" __global__ void mean(const __grid_constant__ sa_mean op) {
  double total = 0.0;
  for (long long i = threadIdx.x; i < op.rows; i += blockDim.x) {
    total += floats(op.x)[i];
    if (op.grad) floats(op.grad)[i] = static_cast<float>(op.scale / static_cast<double>(op.rows));
  }
  total = sum_of_all(total);
  if (threadIdx.x == 0) *op.mean += op.scale * total / static_cast<double>(op.rows);
}

// A row of blocks for each tensor. Steps are counted afterwards, by count_step.
extern "C" __global__ void adam(const __grid_constant__ sa_adam op) {
  const int tensor = blockIdx.y;
  if (static_cast<long long>(blockIdx.x) * blockDim.x >= op.size[tensor]) return;
  float* factors = reinterpret_cast<float*>(slab);
  if (threadIdx.x == 0) {
    const double step = static_cast<double>(*op.step[tensor]) + 1.0;
    factors[0] = static_cast<float>(op.learning_rate / (1.0 - pow(op.beta1, step)));
    factors[1] = static_cast<float>(sqrt(1.0 - pow(op.beta2, step)));
  }
  __syncthreads();
  const float rate = factors[0], correction = factors[1];
  const float beta1 = static_cast<float>(op.beta1), beta2 = static_cast<float>(op.beta2);
  const float epsilon = static_cast<float>(op.epsilon);
  const float decay = static_cast<float>(op.decoupled ? 0.0 : op.weight_decay);
  const float shrink = static_cast<float>(op.decoupled ? 1.0 - op.learning_rate * op.weight_decay : 1.0);
  const long long k = number_of_thread();
  if (k >= op.size[tensor]) return;
  float *value = floats(op.value[tensor]), *first = floats(op.moment1[tensor]), *second = floats(op.moment2[tensor]);
  const float p = value[k] * shrink, g = floats(op.grad[tensor])[k] + decay * p;
  const float m = beta1 * first[k] + (1.0f - beta1) * g, v = beta2 * second[k] + (1.0f - beta2) * g * g;
  const float online = p - rate * m / (sqrtf(v) / correction + epsilon);
  value[k] = online;
  first[k] = m;
  second[k] = v;
  float* target = op.target ? floats(op.target[tensor]) : nullptr;
  if (target) target[k] = averaged(target[k], online, op.tau);
}

// A thread for each tensor.
extern "C" __global__ void count_step(const __grid_constant__ sa_adam op) {
  const long long tensor = number_of_thread();
  if (tensor < op.tensors) *op.step[tensor] += 1.0f;
}

// A row of blocks for each tensor.
extern "C" __global__ void polyak(const __grid_constant__ sa_polyak op) {
  const int tensor = blockIdx.y;
  const long long k = number_of_thread();
  if (k >= op.size[tensor]) return;
  float* target = floats(op.target[tensor]);
  target[k] = averaged(target[k], floats(op.online[tensor])[k], op.tau);
}

// A thread for each row.
extern "C" __global__ void gaussian(const __grid_constant__ sa_gaussian op) {
  const long long i = number_of_thread(), n = op.columns;
  if (i >= op.rows) return;
  const float *means = floats(op.parameters) + 2 * i * n, *log_std = means + n, *noise = floats(op.noise) + i * n;
  float log_prob = 0.0f;
  for (long long j = 0; j < n; ++j) {
    const float spread = clamped(log_std[j], kLogStdMin, kLogStdMax), e = noise[j];
    const float action = tanhf(means[j] + e * expf(spread));
    floats(op.action)[i * n + j] = action;
    log_prob -= e * e / 2.0f + spread + kHalfLogTwoPi + logf(1.0f - action * action + kSquashEpsilon);
  }
  floats(op.log_prob)[i] = log_prob;
}

// A thread for each element.
extern "C" __global__ void gaussian_gradient(const __grid_constant__ sa_gaussian_gradient op) {
  const long long k = number_of_thread(), i = k / op.columns, j = k % op.columns;
  if (i >= op.rows) return;
  const long long by_mean = 2 * i * op.columns + j, by_log_std = by_mean + op.columns;
  const float share = static_cast<float>(*op.entropy / static_cast<double>(op.rows));
  const float given = floats(op.parameters)[by_log_std], spread = clamped(given, kLogStdMin, kLogStdMax);
  const float action = floats(op.action)[k], slope = 1.0f - action * action;
  float by_action = share * 2.0f * action / (slope + kSquashEpsilon);
  for (int c = 0; c < op.critics; ++c) by_action += floats(op.grad_action[c])[i * op.grad_stride + j];
  const float before = slope * by_action;
  floats(op.grad)[by_mean] = before;
  floats(op.grad)[by_log_std] = given == spread ? before * floats(op.noise)[k] * expf(spread) - share : 0.0f;
}

// One block.
extern "C" __global__ void least(const __grid_constant__ sa_least op) {
  double total = 0.0;
  for (long long i = threadIdx.x; i < op.rows; i += blockDim.x) {
    int best = 0;
    for (int c = 1; c < op.critics; ++c) {
      if (floats(op.q[c])[i] < floats(op.q[best])[i]) best = c;
    }
    for (int c = 0; c < op.critics; ++c) {
      floats(op.grad[c])[i] = c == best ? static_cast<float>(-1.0 / static_cast<double>(op.rows)) : 0.0f;
    }
    total += *op.entropy * floats(op.log_prob)[i] - static_cast<double>(floats(op.q[best])[i]);
  }
  total = sum_of_all(total);
  if (threadIdx.x == 0) *op.loss += total / static_cast<double>(op.rows);
}

// One block.
extern "C" __global__ void entropy(const __grid_constant__ sa_entropy op) {
  double total = 0.0;
  for (long long i = threadIdx.x; i < op.rows; i += blockDim.x) total += floats(op.log_prob)[i] + op.target;
  const double average = sum_of_all(total) / static_cast<double>(op.rows);
  if (threadIdx.x != 0) return;
  const float value = *floats(op.logarithm);
  *op.coefficient = static_cast<double>(expf(value));
  *op.coefficients += *op.coefficient;
  *floats(op.grad) = static_cast<float>(-average);
  *op.loss -= static_cast<double>(value) * average;
}
