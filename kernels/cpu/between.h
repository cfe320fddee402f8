// What a training step does between the networks' passes, on small row-major arrays.
#pragma once
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
  const float clip = float(op.clip);
  for (int64_t i = 0; i < op.rows; i++)
    for (int64_t j = 0; j < op.columns; j++) {
      const float noise = clamp(op.noise[i * op.columns + j], -clip, clip);
      out[i * op.out_stride + j] = clamp(action[i * op.columns + j] + T(noise), T(-1), T(1));
    }
}

template <class T> void td_target(const sa_td_target &op) {
  const T *reward = static_cast<const T *>(op.reward), *done = static_cast<const T *>(op.done);
  const T *timeout = static_cast<const T *>(op.timeout), *discounts = static_cast<const T *>(op.discounts);
  T *target = static_cast<T *>(op.target);
  for (int64_t i = 0; i < op.rows; i++) {
    T least = static_cast<const T *>(op.q[0])[i];
    for (int32_t c = 1; c < op.critics; c++) {
      const T q = static_cast<const T *>(op.q[c])[i];
      if (!(least <= q) && least == least) least = q; // a NaN stays
    }
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
  default: return SA_BAD_ARGUMENT;
  }
  return SA_OK;
}

} // namespace SA_ISA
} // namespace sparse_agents
