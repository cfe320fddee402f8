// Adam and Polyak averaging, a vector at a time.
#pragma once
#include <math.h>

#include "sparse_agents/program.h"
#include "vector.h"

namespace sparse_agents {
namespace SA_ISA {

// Calls f(load, store, first) for every vector of n elements; the last one may be partial.
template <class T, class F> inline void by_vector(int64_t n, F &&f) {
  int64_t k = 0;
  for (; k + kLanes<T> <= n; k += kLanes<T>) f(k, kVectorBytes);
  if (k < n) f(k, int(n - k) * int(sizeof(T)));
}

template <class T> inline Vec<T> load(const T *from, int bytes) {
  Vec<T> v = {};
  memcpy(&v, from, size_t(bytes));
  return v;
}
template <class T> inline void store(Vec<T> v, T *to, int bytes) { memcpy(to, &v, size_t(bytes)); }

inline Vec<float> square_root(Vec<float> x) {
  for (int i = 0; i < kLanes<float>; i++) x[i] = sqrtf(x[i]);
  return x;
}
inline Vec<double> square_root(Vec<double> x) {
  for (int i = 0; i < kLanes<double>; i++) x[i] = sqrt(x[i]);
  return x;
}

// What a target becomes, by Polyak averaging.
template <class T> struct Average {
  T old, fresh;
  explicit Average(double tau) : old(T(1 - tau)), fresh(T(tau)) {}
  void take(Vec<T> online, T *target, int bytes) const {
    store(old * load(target, bytes) + fresh * online, target, bytes);
  }
};

template <class T> void adam(const sa_adam &op) {
  const Average<T> average(op.tau);
  const T beta1 = T(op.beta1), beta2 = T(op.beta2), epsilon = T(op.epsilon);
  const T decay = T(op.decoupled ? 0 : op.weight_decay);
  const T shrink = T(op.decoupled ? 1 - op.learning_rate * op.weight_decay : 1);
  for (int64_t i = 0; i < op.tensors; i++) {
    const double step = double(*op.step[i] += 1);
    const T rate = T(op.learning_rate / (1 - pow(op.beta1, step)));
    const T correction = T(sqrt(1 - pow(op.beta2, step)));
    T *value = static_cast<T *>(op.value[i]);
    T *moment1 = static_cast<T *>(op.moment1[i]), *moment2 = static_cast<T *>(op.moment2[i]);
    const T *grad = static_cast<const T *>(op.grad[i]);
    T *target = op.target ? static_cast<T *>(op.target[i]) : nullptr;
    by_vector<T>(op.size[i], [&](int64_t k, int bytes) {
      Vec<T> p = load(value + k, bytes) * shrink;
      const Vec<T> g = load(grad + k, bytes) + decay * p;
      const Vec<T> m = beta1 * load(moment1 + k, bytes) + (1 - beta1) * g;
      const Vec<T> v = beta2 * load(moment2 + k, bytes) + (1 - beta2) * g * g;
      p -= rate * m / (square_root(v) / correction + epsilon);
      store(m, moment1 + k, bytes);
      store(v, moment2 + k, bytes);
      store(p, value + k, bytes);
      if (target) average.take(p, target + k, bytes);
    });
  }
}

template <class T> void polyak(const sa_polyak &op) {
  const Average<T> average(op.tau);
  for (int64_t i = 0; i < op.tensors; i++) {
    const T *online = static_cast<const T *>(op.online[i]);
    T *target = static_cast<T *>(op.target[i]);
    by_vector<T>(op.size[i], [&](int64_t k, int bytes) {
      average.take(load(online + k, bytes), target + k, bytes);
    });
  }
}

} // namespace SA_ISA
} // namespace sparse_agents
