// The B x B x B cube of triplets on a CPU: every cell is evaluated in registers and added to three faces.
//
// A is (I, J), B is (I, K), C is (J, K); cell (i, j, k) holds w = 2^(t rate - shift), t the largest root of
// t^3 - (a^2 + b^2 + c^2) t - 2abc. Rows of B, C and of what is added to them are `stride` floats long, a
// multiple of the lanes; entries from K on are zero, and what the loops leave there means nothing.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "lanes.h"

namespace {

using Index = std::int64_t;
using Byte = std::uint8_t;

constexpr float LN2 = 0.69314718f;

struct Root {
  Lanes t;        // the largest root
  Lanes per_gap;  // 1 / (3 t^2 - s), twice which is the derivative's first factor; kept finite
  Lanes bc;
};

constexpr float NEAR_DOUBLE = 0.002f;

// (1 + cos theta) / 2 from sin^2 theta, which AM-GM gives as a sum of squares of differences: near theta = pi,
// where the root is double, 1 + cos theta itself is lost in rounding.
inline Lanes half_angle_near_double(Lanes half_angle, Lanes a, Lanes b, Lanes c, Lanes per_s) {
  const Lanes x = a * a * per_s, y = b * b * per_s, z = c * c * per_s;
  Lanes xy = (a - b) * (a + b) * per_s, yz = (b - c) * (b + c) * per_s, zx = (c - a) * (c + a) * per_s;
  xy *= xy, yz *= yz, zx *= zx;
  const Lanes sine = 0.5f * (xy + yz + zx) + 3.0f * (x * yz + y * zx + z * xy);
  return 0.25f * sine * inverse(1.0f - half_angle);
}

// With u = cos(theta / 2), cos theta = sqrt(27) abc / s^1.5, the root is sqrt(s) (2 / sqrt 3) cos(2/3 arccos u),
// and that is smooth in u over [0, 1]: degree 6 gives 3e-7. The gap vanishes with u, so u is factored out.
template <bool Gap>
inline Root solve(Lanes a, Lanes aa, Lanes b, Lanes c) {
  constexpr float p0 = 0.57735050f;
  const Lanes bc = b * c;
  const Roots s = roots(c * c + (b * b + aa));
  const Lanes per_s = s.inverse * s.inverse;
  Lanes half_angle = (per_s * s.inverse) * (bc * (2.598076211f * a)) + 0.5f;
  if (any_below(half_angle, NEAR_DOUBLE))
    half_angle = half_angle < NEAR_DOUBLE ? half_angle_near_double(half_angle, a, b, c, per_s) : half_angle;
  const Lanes u = roots(at_least(half_angle, 1e-30f)).root;
  Lanes p = -0.00242890f * u + 0.01212638f;
  p = p * u - 0.03048380f;
  p = p * u + 0.05943794f;
  p = p * u - 0.12794714f;
  p = p * u + 0.66664547f;
  p = p * u;
  Root root{s.root * (p + p0), Lanes{}, bc};
  if (Gap) root.per_gap = per_s * inverse(p * (3.0f * p + 6.0f * p0) + 1e-6f);
  return root;
}

// Rows of C that fit a second-level cache together with their sums.
inline Index rows_per_block(Index columns) { return std::max<Index>(1, 32768 / std::max<Index>(1, columns)); }

struct Shape {
  Index I, J, K, stride;
  float rate, shift;  // of base 2
};

// What a cell weighs where all three of `same` hold: nothing. Given as floats 0 and 1, or null.
struct Same {
  const float *ab, *ac, *bc;
  bool row(const Shape& n, Index i, Index j) const { return ab != nullptr && ab[i * n.J + j] != 0.0f; }
};

// Calls cell(k) for every register of a row, and returns the sum of what it returns over the true columns.
template <typename Cell>
inline float along(const Shape& n, Cell cell) {
  Lanes sum{};
  Index k = 0;
  for (; k + WIDTH < n.stride; k += WIDTH) sum += cell(k);
  const Lanes last = cell(k);
  return total(sum + (first(int(n.K - k)) ? last : Lanes{}));
}

template <bool Masked>
inline float forward_row(const Shape& n, float a, const float* b, const float* c, const float* p, const float* q,
                         float* ac, float* bc) {
  const Lanes own = Lanes{} + a, squared = Lanes{} + (a * a + 1e-24f);
  return along(n, [&](Index k) {
    Lanes w = power_of_two(solve<false>(own, squared, load(b + k), load(c + k)).t * n.rate - n.shift);
    if (Masked) w -= w * load(p + k) * load(q + k);
    add(ac + k, w);
    add(bc + k, w);
    return w;
  });
}

template <bool Masked>
inline float backward_row(const Shape& n, float a, float pull, const float* b, const float* c, const float* p,
                          const float* q, const float* g, const float* h, float* db, float* dc) {
  const Lanes own = Lanes{} + a, squared = Lanes{} + (a * a + 1e-24f);
  return along(n, [&](Index k) {
    const Lanes y = load(b + k), z = load(c + k);
    const Root root = solve<true>(own, squared, y, z);
    Lanes m = power_of_two(root.t * n.rate - n.shift) * (load(g + k) + load(h + k) + pull);
    if (Masked) m -= m * load(p + k) * load(q + k);
    m *= root.per_gap;
    const Lanes t = m * root.t, ma = m * own;
    add(db + k, t * y + ma * z);
    add(dc + k, t * z + ma * y);
    return t * own + m * root.bc;
  });
}

// Splits the first axis in equal parts, one a thread.
template <typename Work>
void in_parts(Index parts, Index size, Work work) {
#pragma omp parallel for num_threads(int(parts)) schedule(static, 1)
  for (Index part = 0; part < parts; ++part) work(part, size * part / parts, size * (part + 1) / parts);
}

// One row's sample: its members' cosines, and what they give; room for whole registers.
struct Members {
  const Index stride;
  std::vector<float> a, b, c, logit, weight, t, per_gap;
  float whole = 0.0f;

  explicit Members(Index stride)
      : stride(stride), a(stride), b(stride), c(stride), logit(stride), weight(stride), t(stride), per_gap(stride) {}

  // ln of the sum of 2^(t rate), less that of member 0.
  float evaluate(Index each, float rate, const Byte* masked) {
    for (Index n = 0; n < stride; n += WIDTH) {
      const Lanes x = load(&a[n]);
      const Root root = solve<true>(x, x * x + 1e-24f, load(&b[n]), load(&c[n]));
      store(&t[n], root.t);
      store(&per_gap[n], root.per_gap);
      store(&logit[n], root.t * rate);
    }
    for (Index n = 0; masked != nullptr && n < each; ++n)
      if (masked[n]) logit[n] = -1e30f;
    std::fill(logit.begin() + each, logit.end(), -1e30f);
    Lanes most = load(&logit[0]), sum{};
    for (Index n = WIDTH; n < stride; n += WIDTH) most = larger(most, load(&logit[n]));
    const float top = largest(most);
    for (Index n = 0; n < stride; n += WIDTH) {
      const Lanes w = power_of_two(at_least(load(&logit[n]) - top, -126.0f));
      store(&weight[n], w);
      sum += w;
    }
    whole = total(sum);
    return LN2 * (std::log2(whole) + top - logit[0]);
  }

  // Writes the derivatives by a, b and c; returns that by ln 2 rate.
  float differentiate(float rate, float* slopes) {
    weight[0] -= whole;
    const float scale = 2.0f * LN2 * rate / whole;
    Lanes moment{};
    for (Index n = 0; n < stride; n += WIDTH) {
      const Lanes x = load(&a[n]), y = load(&b[n]), z = load(&c[n]), root = load(&t[n]), w = load(&weight[n]);
      const Lanes pull = scale * w * load(&per_gap[n]);
      moment += w * root;
      store(slopes + n, pull * (root * x + y * z));
      store(slopes + stride + n, pull * (root * y + x * z));
      store(slopes + 2 * stride + n, pull * (root * z + x * y));
    }
    return total(moment) / whole;
  }
};

}  // namespace

extern "C" {

// Floats that a register holds: rows are padded to a multiple of it.
int lanes() { return WIDTH; }

// face_ab (I, J), face_ac (I, stride), and `parts` of face_bc (J, stride), one a thread, to be summed: sums of
// w over k, j and i. The last two are added to.
void cube_forward(const float* A, const float* B, const float* C, Index I, Index J, Index K, Index stride,
                  float rate, float shift, const float* same_ab, const float* same_ac, const float* same_bc,
                  Index parts, float* face_ab, float* face_ac, float* face_bc) {
  const Shape n{I, J, K, stride, rate, shift};
  const Same same{same_ab, same_ac, same_bc};
  in_parts(parts, I, [&](Index part, Index from, Index to) {
    const Index block = rows_per_block(stride);
    for (Index start = 0; start < J; start += block)
      for (Index i = from; i < to; ++i)
        for (Index j = start; j < std::min(J, start + block); ++j) {
          const bool masked = same.row(n, i, j);
          face_ab[i * J + j] = (masked ? forward_row<true> : forward_row<false>)(
              n, A[i * J + j], B + i * stride, C + j * stride, masked ? same.ac + i * stride : nullptr,
              masked ? same.bc + j * stride : nullptr, face_ac + i * stride, face_bc + (part * J + j) * stride);
        }
  });
}

// Gradients by A, B, C of sum(face_ab g_ab) + sum(face_ac g_ac) + sum(face_bc g_bc) over 2 ln 2 rate, laid out
// as the faces.
void cube_backward(const float* A, const float* B, const float* C, Index I, Index J, Index K, Index stride,
                   float rate, float shift, const float* same_ab, const float* same_ac, const float* same_bc,
                   Index parts, const float* g_ab, const float* g_ac, const float* g_bc, float* dA, float* dB,
                   float* dC) {
  const Shape n{I, J, K, stride, rate, shift};
  const Same same{same_ab, same_ac, same_bc};
  in_parts(parts, I, [&](Index part, Index from, Index to) {
    const Index block = rows_per_block(2 * stride);
    for (Index start = 0; start < J; start += block)
      for (Index i = from; i < to; ++i)
        for (Index j = start; j < std::min(J, start + block); ++j) {
          const bool masked = same.row(n, i, j);
          dA[i * J + j] = (masked ? backward_row<true> : backward_row<false>)(
              n, A[i * J + j], g_ab[i * J + j], B + i * stride, C + j * stride,
              masked ? same.ac + i * stride : nullptr, masked ? same.bc + j * stride : nullptr,
              g_ac + i * stride, g_bc + j * stride, dB + i * stride, dC + (part * J + j) * stride);
        }
  });
}

// nll[row] = ln of the sum over the row's sample of 2^(t rate), less that of its member 0, the positive.
// Member n is cell (row, second[n], third[n]). slopes (rows, 3, stride): derivatives of nll by the members'
// cosines; by_rate (rows): by ln 2 rate.
void sampled_forward(const float* A, const float* B, const float* C, Index rows, Index each, Index stride, Index J,
                     Index K, float rate, const Index* second, const Index* third, const Byte* masked,
                     Index parts, float* nll, float* slopes, float* by_rate) {
  in_parts(parts, rows, [&](Index, Index from, Index to) {
    Members m(stride);
    for (Index row = from; row < to; ++row) {
      for (Index n = 0; n < each; ++n) {
        const Index j = second[row * each + n], k = third[row * each + n];
        m.a[n] = A[row * J + j];
        m.b[n] = B[row * K + k];
        m.c[n] = C[j * K + k];
      }
      nll[row] = m.evaluate(each, rate, masked == nullptr ? nullptr : masked + row * each);
      by_rate[row] = m.differentiate(rate, slopes + row * 3 * stride);
    }
  });
}

// Adds to dA, dB, dC the gradients of sum(nll g). Rows of dC are met by any row of the sample, so that one part
// takes dC and the other one dA and dB.
void sampled_backward(const float* slopes, const float* g, Index rows, Index each, Index stride, Index J, Index K,
                      const Index* second, const Index* third, Index parts, float* dA, float* dB, float* dC) {
  in_parts(parts, 2, [&](Index, Index from, Index to) {
    for (Index row = 0; row < rows; ++row) {
      const float *by_a = slopes + row * 3 * stride, *by_b = by_a + stride, *by_c = by_b + stride;
      const Index *j = second + row * each, *k = third + row * each;
      for (Index n = 0; from == 0 && n < each; ++n) {
        dA[row * J + j[n]] += g[row] * by_a[n];
        dB[row * K + k[n]] += g[row] * by_b[n];
      }
      for (Index n = 0; to == 2 && n < each; ++n) dC[j[n] * K + k[n]] += g[row] * by_c[n];
    }
  });
}

}  // extern "C"
