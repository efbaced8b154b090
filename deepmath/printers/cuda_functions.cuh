// What printed kernels call. It stands behind `typedef float T;` or `typedef double T;` and needs no CUDA header.
// Where no CUDA compiler reads it, one block of one thread runs on the host.
#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
#define DEVICE __device__ __forceinline__
#ifndef SHARED
#define SHARED(type, name, size) __shared__ type name[size]
#endif
DEVICE double infinity() { return __longlong_as_double(0x7ff0000000000000LL); }
DEVICE double not_a_number() { return __longlong_as_double(0x7ff8000000000000LL); }
#else
#include <cmath>
#define DEVICE inline
#define __global__
using std::abs;
using std::cos;
using std::exp;
using std::expm1;
using std::floor;
using std::fmod;
using std::log;
using std::log1p;
using std::pow;
using std::sin;
using std::sqrt;
using std::tanh;
namespace {
struct Place {
  unsigned x, y;
};
const Place threadIdx{0, 0}, blockIdx{0, 0}, blockDim{1, 1}, gridDim{1, 1};
}  // namespace
DEVICE double infinity() { return __builtin_huge_val(); }
DEVICE double not_a_number() { return __builtin_nan(""); }
#endif

template <class V>
DEVICE bool is_nan(V x) {
  return !(x == x);
}

template <class V>
DEVICE bool is_infinite(V x) {
  return x == V(infinity()) || x == V(-infinity());
}
DEVICE bool is_infinite(long long) { return false; }

template <class V>
DEVICE V maximum(V a, V b) {  // NaN if either is NaN
  return a > b || is_nan(a) ? a : b;
}

template <class V>
DEVICE V minimum(V a, V b) {
  return a < b || is_nan(a) ? a : b;
}

template <class V>
DEVICE V sign(V x) {
  return x > V(0) ? V(1) : x < V(0) ? V(-1) : x;
}

// Division that rounds down and its remainder, which has the divisor's sign; n // 0 is 0 in integers.
DEVICE long long modulo(long long a, long long b) {
  if (b == 0 || b == -1) return 0;
  long long rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}
DEVICE long long wrapped_product(long long a, long long b) {
  return (long long)((unsigned long long)a * (unsigned long long)b);
}
DEVICE long long floor_divide(long long a, long long b) { return b == 0 ? 0 : b == -1 ? -a : (a - modulo(a, b)) / b; }
DEVICE T modulo(T a, T b) {
  T rest = fmod(a, b);
  return rest != T(0) && (rest < T(0)) != (b < T(0)) ? rest + b : rest;
}
DEVICE T floor_divide(T a, T b) {
  if (b == T(0)) return a / b;
  T quotient = (a - modulo(a, b)) / b, whole = floor(quotient);
  return quotient - whole > T(0.5) ? whole + T(1) : whole;
}

#if defined(__CUDACC__) || defined(__CUDACC_RTC__)
// Reductions over the block's threads, a multiple of 32 and at most 1024 of them. Every thread calls and gets the
// result. The order is fixed: a butterfly in each warp, in which all lanes add the same pairs, then warp by warp.
template <class V>
DEVICE V block_sum(V x) {
  SHARED(V, of_warps, 32);
  for (int step = 16; step > 0; step /= 2) x += __shfl_xor_sync(0xffffffffu, x, step);
  __syncthreads();  // the last call's values have been read
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = x;
  __syncthreads();
  V total = of_warps[0];
  for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) total += of_warps[warp];
  return total;
}

template <class V>
DEVICE V block_max(V x) {
  SHARED(V, of_warps, 32);
  for (int step = 16; step > 0; step /= 2) x = maximum(x, V(__shfl_xor_sync(0xffffffffu, x, step)));
  __syncthreads();
  if (threadIdx.x % 32 == 0) of_warps[threadIdx.x / 32] = x;
  __syncthreads();
  V largest = of_warps[0];
  for (unsigned warp = 1; warp < blockDim.x / 32; ++warp) largest = maximum(largest, of_warps[warp]);
  return largest;
}
// The same over the threads of one column of a block of 32 x n threads, n at most 32.
template <class V, class Join>
DEVICE V over_lanes(V x, Join join) {
  SHARED(V, of_threads, 1024);
  __syncthreads();
  of_threads[32 * threadIdx.y + threadIdx.x] = x;
  __syncthreads();
  V total = of_threads[threadIdx.x];
  for (unsigned y = 1; y < blockDim.y; ++y) total = join(total, of_threads[32 * y + threadIdx.x]);
  return total;
}

template <class V>
DEVICE V lane_sum(V x) {
  return over_lanes(x, [](V a, V b) { return a + b; });
}

template <class V>
DEVICE V lane_max(V x) {
  return over_lanes(x, [](V a, V b) { return maximum(a, b); });
}
#else
template <class V>
DEVICE V block_sum(V x) {
  return x;
}

template <class V>
DEVICE V lane_sum(V x) {
  return x;
}

template <class V>
DEVICE V lane_max(V x) {
  return x;
}

template <class V>
DEVICE V block_max(V x) {
  return x;
}
#endif
