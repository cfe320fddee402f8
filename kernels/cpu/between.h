// What a training step does between the networks' passes, on small row-major arrays.
#pragma once
#include "activation.h"
#include "optimizer.h"
#include "subnormals.h"

namespace sparse_agents {
namespace SA_ISA {

constexpr int64_t kRowsAhead = 16;
constexpr int64_t kLineBytes = 64;

template <class S> inline void ask_for_row(const sa_columns &c, int64_t row) {
  const int64_t bytes = c.columns * int64_t(sizeof(S));
  const char *from = static_cast<const char *>(c.source) + row * bytes;
  for (int64_t b = 0; b < bytes; b += kLineBytes) __builtin_prefetch(from + b);
  __builtin_prefetch(from + bytes - 1);
}

template <class T, class S> inline void gather_row(const sa_columns &c, int64_t row, int64_t i) {
  const S *from = static_cast<const S *>(c.source) + row * c.columns;
  T *to = static_cast<T *>(c.out) + i * c.out_stride;
  for (int64_t j = 0; j < c.columns; j++) to[j] = T(float(from[j]));
}

// Rows lie anywhere in a large buffer, so each is asked for some rows ahead.
template <class T> sa_status gather(const sa_gather &op) {
  for (int32_t a = 0; a < op.arrays; a++)
    if (op.columns[a].source_dtype != SA_FLOAT32 && op.columns[a].source_dtype != SA_FLOAT64) return SA_BAD_ARGUMENT;
  for (int64_t i = -kRowsAhead; i < op.rows; i++)
    for (int32_t a = 0; a < op.arrays; a++) {
      const sa_columns &c = op.columns[a];
      const bool single = c.source_dtype == SA_FLOAT32;
      if (i + kRowsAhead < op.rows) {
        const int64_t soon = op.row[i + kRowsAhead];
        single ? ask_for_row<float>(c, soon) : ask_for_row<double>(c, soon);
      }
      if (i >= 0) single ? gather_row<T, float>(c, op.row[i], i) : gather_row<T, double>(c, op.row[i], i);
    }
  return SA_OK;
}

template <class T> void copy(const sa_copy &op) {
  const T *from = static_cast<const T *>(op.from);
  T *out = static_cast<T *>(op.out);
  for (int64_t i = 0; i < op.rows; i++)
    memcpy(out + i * op.out_stride, from + i * op.from_stride, size_t(op.columns) * sizeof(T));
}

template <class T> inline T clamp(T x, T low, T high) { return x < low ? low : x > high ? high : x; } // keeps NaN

template <class T> void smoothed_action(const sa_smoothed_action &op) {
  const T *action = static_cast<const T *>(op.action);
  T *out = static_cast<T *>(op.out);
  const float scale = float(op.scale), clip = float(op.clip);
  for (int64_t i = 0; i < op.rows; i++)
    for (int64_t j = 0; j < op.columns; j++) {
      const float noise = clamp(scale * op.noise[i * op.columns + j], -clip, clip);
      out[i * op.out_stride + j] = clamp(action[i * op.columns + j] + T(noise), T(-1), T(1));
    }
}

template <class T> void td_target(const sa_td_target &op) {
  const T *reward = static_cast<const T *>(op.reward), *done = static_cast<const T *>(op.done);
  const T *timeout = static_cast<const T *>(op.timeout), *discounts = static_cast<const T *>(op.discounts);
  const T *log_prob = static_cast<const T *>(op.log_prob);
  T *target = static_cast<T *>(op.target);
  for (int64_t i = 0; i < op.rows; i++) {
    T least = static_cast<const T *>(op.q[0])[i];
    for (int32_t c = 1; c < op.critics; c++) {
      const T q = static_cast<const T *>(op.q[c])[i];
      if (!(least <= q) && least == least) least = q; // a NaN stays
    }
    if (log_prob) least -= T(*op.entropy) * log_prob[i];
    const float over = float(timeout ? done[i] * (1 - timeout[i]) : done[i]);
    const float factor = (1 - over) * float(discounts ? discounts[i] : T(op.discount)); // in float, as its inputs are
    target[i] = reward[i] + T(factor) * least;
  }
}

template <class T> void td_error(const sa_td_error &op) {
  const T *q = static_cast<const T *>(op.q), *target = static_cast<const T *>(op.target);
  T *grad = static_cast<T *>(op.grad);
  const T scale = T(2 * op.scale / double(op.rows));
  double total = 0;
  for (int64_t i = 0; i < op.rows; i++) {
    const T error = q[i] - target[i];
    grad[i] = scale * error;
    total += double(error) * double(error);
  }
  *op.loss += op.scale * total / double(op.rows);
}

template <class T> void mean(const sa_mean &op) {
  const T *x = static_cast<const T *>(op.x);
  T *grad = static_cast<T *>(op.grad);
  double total = 0;
  for (int64_t i = 0; i < op.rows; i++) total += double(x[i]);
  if (grad)
    for (int64_t i = 0; i < op.rows; i++) grad[i] = T(op.scale / double(op.rows));
  *op.mean += op.scale * total / double(op.rows);
}

constexpr double kLogStdMin = -20, kLogStdMax = 2, kSquashEpsilon = 1e-6;
constexpr double kHalfLogTwoPi = 0.91893853320467274178;

inline float exponential(float x) { return expf(x); }
inline double exponential(double x) { return exp(x); }

// Factors of at least 1e-6 whose product a double can hold.
constexpr int64_t kFactors = 32;

template <class T> void gaussian(const sa_gaussian &op) {
  const T *parameters = static_cast<const T *>(op.parameters), *noise = static_cast<const T *>(op.noise);
  T *action = static_cast<T *>(op.action), *log_prob = static_cast<T *>(op.log_prob);
  const int64_t n = op.columns;
  for (int64_t i = 0; i < op.rows; i++) {
    const T *mean = parameters + 2 * i * n, *log_std = mean + n, *e = noise + i * n;
    T total = 0;
    for (int64_t j = 0; j < n; j++) {
      const T spread = clamp(log_std[j], T(kLogStdMin), T(kLogStdMax));
      action[i * n + j] = mean[j] + e[j] * exponential(spread);
      total -= e[j] * e[j] / 2 + spread + T(kHalfLogTwoPi);
    }
    log_prob[i] = total;
  }
  by_vector<T>(op.rows * n, [action](int64_t k, int bytes) {
    store(tanh_lanes(load(action + k, bytes)), action + k, bytes);
  });
  for (int64_t i = 0; i < op.rows; i++) // one logarithm for many factors
    for (int64_t first = 0; first < n; first += kFactors) {
      double product = 1;
      for (int64_t j = first; j < n && j < first + kFactors; j++) {
        const double a = double(action[i * n + j]);
        product *= 1 - a * a + kSquashEpsilon;
      }
      log_prob[i] -= T(log(product));
    }
}

template <class T> void gaussian_gradient(const sa_gaussian_gradient &op) {
  const T *parameters = static_cast<const T *>(op.parameters), *noise = static_cast<const T *>(op.noise);
  const T *action = static_cast<const T *>(op.action);
  T *grad = static_cast<T *>(op.grad);
  const T share = T(*op.entropy / double(op.rows));
  for (int64_t i = 0; i < op.rows; i++)
    for (int64_t j = 0; j < op.columns; j++) {
      const int64_t mean = 2 * i * op.columns + j, log_std = mean + op.columns;
      const T given = parameters[log_std], spread = clamp(given, T(kLogStdMin), T(kLogStdMax));
      const T a = action[i * op.columns + j], slope = 1 - a * a;
      T by_action = share * 2 * a / (slope + T(kSquashEpsilon));
      for (int32_t c = 0; c < op.critics; c++)
        by_action += static_cast<const T *>(op.grad_action[c])[i * op.grad_stride + j];
      const T before = slope * by_action;
      grad[mean] = before;
      grad[log_std] = given == spread ? before * noise[i * op.columns + j] * exponential(spread) - share : T(0);
    }
}

template <class T> void least(const sa_least &op) {
  const T *log_prob = static_cast<const T *>(op.log_prob);
  double total = 0;
  for (int64_t i = 0; i < op.rows; i++) {
    int32_t best = 0;
    for (int32_t c = 1; c < op.critics; c++)
      if (static_cast<const T *>(op.q[c])[i] < static_cast<const T *>(op.q[best])[i]) best = c;
    for (int32_t c = 0; c < op.critics; c++)
      static_cast<T *>(op.grad[c])[i] = c == best ? T(-1.0 / double(op.rows)) : T(0);
    total += *op.entropy * double(log_prob[i]) - double(static_cast<const T *>(op.q[best])[i]);
  }
  *op.loss += total / double(op.rows);
}

template <class T> void entropy(const sa_entropy &op) {
  const T *log_prob = static_cast<const T *>(op.log_prob);
  double total = 0;
  for (int64_t i = 0; i < op.rows; i++) total += double(log_prob[i]) + op.target;
  const double mean = total / double(op.rows);
  const T value = *static_cast<const T *>(op.logarithm);
  *op.coefficient = double(exponential(value));
  *op.coefficients += *op.coefficient;
  *static_cast<T *>(op.grad) = T(-mean);
  *op.loss -= double(value) * mean;
}

template <class T> sa_status apply(const sa_operation *operation) {
  FlushSubnormals flush;
  const void *op = operation;
  switch (operation->kind) {
  case SA_GATHER: return gather<T>(*static_cast<const sa_gather *>(op));
  case SA_COPY: copy<T>(*static_cast<const sa_copy *>(op)); break;
  case SA_SMOOTHED_ACTION: smoothed_action<T>(*static_cast<const sa_smoothed_action *>(op)); break;
  case SA_TD_TARGET: td_target<T>(*static_cast<const sa_td_target *>(op)); break;
  case SA_TD_ERROR: td_error<T>(*static_cast<const sa_td_error *>(op)); break;
  case SA_MEAN: mean<T>(*static_cast<const sa_mean *>(op)); break;
  case SA_ADAM: adam<T>(*static_cast<const sa_adam *>(op)); break;
  case SA_POLYAK: polyak<T>(*static_cast<const sa_polyak *>(op)); break;
  case SA_GAUSSIAN: gaussian<T>(*static_cast<const sa_gaussian *>(op)); break;
  case SA_GAUSSIAN_GRADIENT: gaussian_gradient<T>(*static_cast<const sa_gaussian_gradient *>(op)); break;
  case SA_LEAST: least<T>(*static_cast<const sa_least *>(op)); break;
  case SA_ENTROPY: entropy<T>(*static_cast<const sa_entropy *>(op)); break;
  default: return SA_BAD_ARGUMENT;
  }
  return SA_OK;
}

} // namespace SA_ISA
} // namespace sparse_agents
