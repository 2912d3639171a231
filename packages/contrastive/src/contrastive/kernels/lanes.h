// The floats of one register, in GNU vector notation, and the three functions that the cube needs of them.
//
// A loop over lanes is written out, rather than left to a vectoriser, because the hardware's approximate
// reciprocal roots are out of its reach without -ffast-math, whose start-up code would change the process's
// handling of denormals.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr int WIDTH = 16;
#elif defined(__AVX2__)
constexpr int WIDTH = 8;
#else
constexpr int WIDTH = 4;
#endif

typedef float Lanes __attribute__((vector_size(4 * WIDTH)));
typedef std::int32_t Bits __attribute__((vector_size(4 * WIDTH)));

inline Lanes load(const float* from) {
  Lanes x;
  std::memcpy(&x, from, sizeof x);
  return x;
}

inline void store(float* to, Lanes x) { std::memcpy(to, &x, sizeof x); }

inline void add(float* to, Lanes x) { store(to, load(to) + x); }

inline float total(Lanes x) {
  for (int half = WIDTH / 2; half > 0; half /= 2)  // in a tree, which a register does faster than a row
    for (int lane = 0; lane < half; ++lane) x[lane] += x[lane + half];
  return x[0];
}

inline Lanes larger(Lanes x, Lanes y) { return x > y ? x : y; }

inline float largest(Lanes x) {
  float most = x[0];
  for (int lane = 1; lane < WIDTH; ++lane) most = x[lane] > most ? x[lane] : most;
  return most;
}

// True in the first `count` lanes.
inline Bits first(int count) {
  Bits lane;
  for (int n = 0; n < WIDTH; ++n) lane[n] = n;
  return lane < count;
}

inline bool any_below(Lanes x, float limit) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(limit), _CMP_LT_OQ) != 0;
#elif defined(__AVX2__)
  return _mm256_movemask_ps(_mm256_cmp_ps((__m256)x, _mm256_set1_ps(limit), _CMP_LT_OQ)) != 0;
#else
  for (int lane = 0; lane < WIDTH; ++lane)
    if (x[lane] < limit) return true;
  return false;
#endif
}

inline Lanes at_least(Lanes x, float low) {
#if defined(__AVX512F__)
  return (Lanes)_mm512_max_ps(_mm512_set1_ps(low), (__m512)x);  // in this order NaN stays NaN
#elif defined(__AVX2__)
  return (Lanes)_mm256_max_ps(_mm256_set1_ps(low), (__m256)x);
#else
  return x < low ? (Lanes{} + low) : x;
#endif
}

struct Roots {
  Lanes root, inverse;
};

// sqrt(x) and 1 / sqrt(x) to 2 ulp for positive x, by one Newton step from the hardware's guess.
inline Roots roots(Lanes x) {
#if defined(__AVX512F__)
  const Lanes y = (Lanes)_mm512_rsqrt14_ps((__m512)x);
#elif defined(__AVX2__)
  const Lanes y = (Lanes)_mm256_rsqrt_ps((__m256)x);
#else
  Lanes y;
  for (int lane = 0; lane < WIDTH; ++lane) y[lane] = 1.0f / std::sqrt(x[lane]);
#endif
  const Lanes root = x * y, half = 0.5f - 0.5f * root * y;
  return {root + root * half, y + y * half};
}

// 1 / x to 2 ulp, likewise.
inline Lanes inverse(Lanes x) {
#if defined(__AVX512F__)
  const Lanes y = (Lanes)_mm512_rcp14_ps((__m512)x);
  return y * (2.0f - x * y);
#elif defined(__AVX2__)
  const Lanes y = (Lanes)_mm256_rcp_ps((__m256)x);
  return y * (2.0f - x * y);
#else
  return 1.0f / x;
#endif
}

// 2^x to 2e-7, for x under 127; small x give 0 or the least normal number.
inline Lanes power_of_two(Lanes x) {
#if defined(__AVX512F__)
  const Lanes n = (Lanes)_mm512_roundscale_ps((__m512)x, 0);
#else
  x = at_least(x, -126.0f);
  const Lanes shifted = x + 12582912.0f, n = shifted - 12582912.0f;
#endif
  const Lanes f = x - n;
  Lanes p = 0.0013276445f * f + 0.009675537f;
  p = p * f + 0.055507135f;
  p = p * f + 0.2402212f;
  p = p * f + 0.69314694f;
  p = p * f + 1.0f;
#if defined(__AVX512F__)
  return (Lanes)_mm512_scalef_ps((__m512)p, (__m512)n);
#else
  Bits bits, exponent;
  std::memcpy(&bits, &p, sizeof bits);
  std::memcpy(&exponent, &shifted, sizeof exponent);
  bits += exponent << 23;
  std::memcpy(&p, &bits, sizeof p);
  return p;
#endif
}
