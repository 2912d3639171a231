// The B x B x B cube of triplets on a CPU: every cell is evaluated in registers and added to three faces.
//
// A is (I, J), B is (I, K), C is (J, K); cell (i, j, k) holds w = exp(t rate - shift), t the largest root of
// t^3 - (a^2 + b^2 + c^2) t - 2abc. A caller gives each thread its own range of i and its own (J, K) sums.
// Loops over k vectorise; nothing here needs -ffast-math, whose start-up code would change the process's
// handling of denormals.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

namespace {

using Index = std::int64_t;
using Byte = std::uint8_t;

// exp on [-87, 88] to 2 ulp, by 2^n times a polynomial (Cephes); a library call would stop vectorisation.
inline float exponential(float x) {
  x = std::min(std::max(x, -87.0f), 88.0f);
  const float shifted = x * 1.44269504f + 12582912.0f;
  const float n = shifted - 12582912.0f;
  const float f = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * f + 1.3981999507e-3f;
  p = p * f + 8.3334519073e-3f;
  p = p * f + 4.1665795894e-2f;
  p = p * f + 1.6666665459e-1f;
  p = p * f + 5.0000001201e-1f;
  p = p * f * f + f + 1.0f;
  std::int32_t bits, exponent;
  std::memcpy(&bits, &p, sizeof bits);
  std::memcpy(&exponent, &shifted, sizeof exponent);
  bits = static_cast<std::int32_t>(static_cast<std::uint32_t>(bits) + (static_cast<std::uint32_t>(exponent) << 23));
  std::memcpy(&p, &bits, sizeof p);
  return p;
}

struct Root {
  float t;    // the largest root
  float gap;  // 3 t^2 - s, half the derivative's denominator; kept off zero
};

// With u = cos(theta / 2), cos theta = sqrt(27) abc / s^1.5, the root is sqrt(s) (2 / sqrt 3) cos(2/3 arccos u),
// and that is smooth in u over [0, 1]: degree 6 gives 3e-7. The gap vanishes with u, so u is factored out.
inline Root solve(float a, float b, float c) {
  constexpr float p0 = 0.57735050f;
  const float s = a * a + b * b + c * c + 1e-24f;
  const float w = 1.0f / std::sqrt(s);
  const float u = std::sqrt(std::max(0.5f + 2.598076211f * ((a * w) * (b * w) * (c * w)), 0.0f));
  float p = -0.00242890f;
  p = p * u + 0.01212638f;
  p = p * u - 0.03048380f;
  p = p * u + 0.05943794f;
  p = p * u - 0.12794714f;
  p = p * u + 0.66664547f;
  p = p * u;
  return {s * w * (p0 + p), s * (3.0f * p * (2.0f * p0 + p) + 1e-6f)};
}

// Rows of C that fit a second-level cache together with their sums.
inline Index rows_per_block(Index columns) { return std::max<Index>(1, 32768 / std::max<Index>(1, columns)); }

// The sampled cells (row, second[n], third[n]) of one row; member n of a row stands at [row, n].
struct Sample {
  Index rows, each, J, K;
  const Index *second, *third;
  const Byte* masked;
  std::vector<float> a, b, c, logit, gap;

  Sample(Index rows, Index each, Index J, Index K, const Index* second, const Index* third, const Byte* masked)
      : rows(rows), each(each), J(J), K(K), second(second), third(third), masked(masked),
        a(each), b(each), c(each), logit(each), gap(each) {}

  // Fills the row's cosines, logits t rate and gaps; returns the logarithm of the sum of exp(logit).
  float read(const float* A, const float* B, const float* C, Index row, float rate) {
    float *__restrict pa = a.data(), *__restrict pb = b.data(), *__restrict pc = c.data();
    float *__restrict out = logit.data(), *__restrict gaps = gap.data();
    const Index count = each;
    for (Index n = 0; n < count; ++n) {
      const Index j = second[row * each + n], k = third[row * each + n];
      pa[n] = A[row * J + j];
      pb[n] = B[row * K + k];
      pc[n] = C[j * K + k];
    }
#pragma omp simd
    for (Index n = 0; n < count; ++n) {
      const Root root = solve(pa[n], pb[n], pc[n]);
      out[n] = root.t * rate;
      gaps[n] = root.gap;
    }
    if (masked != nullptr)
      for (Index n = 0; n < each; ++n)
        if (masked[row * each + n]) out[n] = -1e30f;
    float top = out[0], sum = 0.0f;
    for (Index n = 1; n < count; ++n) top = std::max(top, out[n]);
#pragma omp simd reduction(+ : sum)
    for (Index n = 0; n < count; ++n) sum += exponential(out[n] - top);
    return top + std::log(sum);
  }
};

}  // namespace

extern "C" {

// face_ab (I, J), face_ac (I, K), face_bc (J, K): sums of w over k, j and i. The last two are added to.
// same_* are null, or masks: a cell where all three hold is left out.
void cube_forward(const float* A, const float* B, const float* C, Index from, Index to, Index J, Index K,
                  float rate, float shift, const Byte* same_ab, const Byte* same_ac, const Byte* same_bc,
                  float* face_ab, float* face_ac, float* face_bc) {
  const Index block = rows_per_block(K);
  for (Index start = 0; start < J; start += block)
    for (Index i = from; i < to; ++i) {
      const float* __restrict b = B + i * K;
      float* __restrict ac = face_ac + i * K;
      for (Index j = start; j < std::min(J, start + block); ++j) {
        const float a = A[i * J + j];
        const float* __restrict c = C + j * K;
        float* __restrict bc = face_bc + j * K;
        float sum = 0.0f;
        if (same_ab != nullptr && same_ab[i * J + j]) {
          const Byte* p = same_ac + i * K;
          const Byte* q = same_bc + j * K;
          for (Index k = 0; k < K; ++k) {
            if (p[k] && q[k]) continue;
            const float w = exponential(solve(a, b[k], c[k]).t * rate - shift);
            sum += w;
            ac[k] += w;
            bc[k] += w;
          }
        } else {
#pragma omp simd reduction(+ : sum)
          for (Index k = 0; k < K; ++k) {
            const float w = exponential(solve(a, b[k], c[k]).t * rate - shift);
            sum += w;
            ac[k] += w;
            bc[k] += w;
          }
        }
        face_ab[i * J + j] = sum;
      }
    }
}

// Gradients by A, B, C of sum(face_ab g_ab) + sum(face_ac g_ac) + sum(face_bc g_bc); dB and dC are added to.
void cube_backward(const float* A, const float* B, const float* C, Index from, Index to, Index J, Index K,
                   float rate, float shift, const Byte* same_ab, const Byte* same_ac, const Byte* same_bc,
                   const float* g_ab, const float* g_ac, const float* g_bc, float* dA, float* dB, float* dC) {
  const Index block = rows_per_block(2 * K);
  for (Index start = 0; start < J; start += block)
    for (Index i = from; i < to; ++i) {
      const float* __restrict b = B + i * K;
      const float* __restrict g = g_ac + i * K;
      float* __restrict db = dB + i * K;
      for (Index j = start; j < std::min(J, start + block); ++j) {
        const float a = A[i * J + j], own = g_ab[i * J + j];
        const float* __restrict c = C + j * K;
        const float* __restrict h = g_bc + j * K;
        float* __restrict dc = dC + j * K;
        const bool masked = same_ab != nullptr && same_ab[i * J + j];
        const Byte* p = masked ? same_ac + i * K : nullptr;
        const Byte* q = masked ? same_bc + j * K : nullptr;
        float sum = 0.0f;
        if (masked) {
          for (Index k = 0; k < K; ++k) {
            if (p[k] && q[k]) continue;
            const Root root = solve(a, b[k], c[k]);
            const float m = 2.0f * rate * exponential(root.t * rate - shift) * (own + g[k] + h[k]) / root.gap;
            const float n = m * root.t;
            sum += n * a + m * b[k] * c[k];
            db[k] += n * b[k] + m * a * c[k];
            dc[k] += n * c[k] + m * a * b[k];
          }
        } else {
#pragma omp simd reduction(+ : sum)
          for (Index k = 0; k < K; ++k) {
            const Root root = solve(a, b[k], c[k]);
            const float m = 2.0f * rate * exponential(root.t * rate - shift) * (own + g[k] + h[k]) / root.gap;
            const float n = m * root.t;
            sum += n * a + m * b[k] * c[k];
            db[k] += n * b[k] + m * a * c[k];
            dc[k] += n * c[k] + m * a * b[k];
          }
        }
        dA[i * J + j] = sum;
      }
    }
}

// nll[row] = log sum over the row's sample of exp(logit), less the logit of member 0.
void sampled_forward(const float* A, const float* B, const float* C, Index rows, Index each, Index J, Index K,
                     float rate, const Index* second, const Index* third, const Byte* masked, float* nll) {
  Sample sample(rows, each, J, K, second, third, masked);
  for (Index row = 0; row < rows; ++row) {
    const float total = sample.read(A, B, C, row, rate);
    nll[row] = total - sample.logit[0];
  }
}

// Adds to dA, dB, dC the gradients of sum(nll g).
void sampled_backward(const float* A, const float* B, const float* C, Index rows, Index each, Index J, Index K,
                      float rate, const Index* second, const Index* third, const Byte* masked, const float* g,
                      float* dA, float* dB, float* dC) {
  Sample sample(rows, each, J, K, second, third, masked);
  std::vector<float> buffer(3 * each);
  float *__restrict by_a = buffer.data(), *__restrict by_b = by_a + each, *__restrict by_c = by_b + each;
  const float *__restrict pa = sample.a.data(), *__restrict pb = sample.b.data(), *__restrict pc = sample.c.data();
  const float *__restrict logits = sample.logit.data(), *__restrict gaps = sample.gap.data();
  for (Index row = 0; row < rows; ++row) {
    const float total = sample.read(A, B, C, row, rate), pull = 2.0f * rate * g[row];
#pragma omp simd
    for (Index n = 0; n < each; ++n) {
      const float a = pa[n], b = pb[n], c = pc[n], logit = logits[n];
      const float hit = n == 0 ? 1.0f : 0.0f;
      const float m = pull * (exponential(logit - total) - hit) / gaps[n];
      const float tm = m * (logit / rate);
      by_a[n] = tm * a + m * b * c;
      by_b[n] = tm * b + m * a * c;
      by_c[n] = tm * c + m * a * b;
    }
    for (Index n = 0; n < each; ++n) {
      const Index j = second[row * each + n], k = third[row * each + n];
      if (masked != nullptr && masked[row * each + n]) continue;
      dA[row * J + j] += by_a[n];
      dB[row * K + k] += by_b[n];
      dC[j * K + k] += by_c[n];
    }
  }
}

}  // extern "C"
