// Activations and their derivatives, the derivative as a function of the activated value.
#pragma once
#include <math.h>

#include "sparse_agents/network.h"
#include "vector.h"

namespace sparse_agents {
namespace SA_ISA {

inline Vec<double> tanh_lanes(Vec<double> x) {
  for (int i = 0; i < kLanes<double>; i++) x[i] = tanh(x[i]);
  return x;
}

// Below 0.625 an odd polynomial (relative error 2e-8 before rounding), above it 1 - 2 / (exp(2|x|) + 1):
// there the subtraction loses nothing. exp by 2^n times a polynomial on half a unit of ln 2.
// Both polynomials are Chebyshev interpolants computed for this file.
inline Vec<float> tanh_lanes(Vec<float> x) {
  typedef Vec<float> V;
  typedef Bits<float> B;
  V z = x * x;
  V small = x + x * z *
                    (-3.333332912e-01f +
                     z * (1.333278304e-01f +
                          z * (-5.385257050e-02f + z * (2.100389626e-02f + z * -6.105244750e-03f))));
  V magnitude = x < 0 ? -x : x;
  V t = 2.0f * magnitude;
  t = t > 20.0f ? broadcast(20.0f) : t; // tanh is 1 in float long before; NaN passes through
  V shifted = t * 1.4426950408889634f + 12582912.0f; // 1.5 * 2^23: the sum's low bits are round(t / ln 2)
  V n = shifted - 12582912.0f;
  V r = t - n * 0.693145751953125f - n * 1.428606765330187e-06f;
  V p = 1.0f +
        r * (1.000000038f +
             r * (5.000000108e-01f +
                  r * (1.666641533e-01f +
                       r * (4.166621803e-02f + r * (8.375141239e-03f + r * 1.394859737e-03f)))));
  V e = V(B(p) + (B(shifted) << 23)); // casts between vector types keep the bits
  V large = 1.0f - 2.0f / (e + 1.0f);
  large = x < 0 ? -large : large;
  V y = magnitude < 0.625f ? small : large;
  return x == x ? y : x;
}

struct Identity {
  template <class T> static Vec<T> apply(Vec<T> x) { return x; }
  template <class T> static Vec<T> derivative(Vec<T> gradient, Vec<T>) { return gradient; }
};

struct Relu {
  template <class T> static Vec<T> apply(Vec<T> x) { return x < 0 ? Vec<T>{} : x; } // keeps NaN, as torch
  template <class T> static Vec<T> derivative(Vec<T> gradient, Vec<T> y) {
    return y <= 0 ? Vec<T>{} : gradient;
  }
};

struct Tanh {
  template <class T> static Vec<T> apply(Vec<T> x) { return tanh_lanes(x); }
  template <class T> static Vec<T> derivative(Vec<T> gradient, Vec<T> y) {
    return gradient * (T(1) - y * y);
  }
};

// Calls f with the activation's type, so that the switch is outside every loop.
template <class F> inline void with_activation(int32_t activation, F &&f) {
  switch (activation & ~SA_LAYER_NORM) {
  case SA_RELU: return f(Relu{});
  case SA_TANH: return f(Tanh{});
  default: return f(Identity{});
  }
}

} // namespace SA_ISA
} // namespace sparse_agents
