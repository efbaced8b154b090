// Runs a printed kernel with real threads, one for each CUDA thread, blocks one after another: what one thread alone
// can't show is whether reductions over a block have their barriers and give every thread the same number.
#include <pthread.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>
#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
using std::abs;
using std::exp;
using std::expm1;
using std::floor;
using std::fmod;
using std::log;
using std::log1p;
using std::pow;
using std::sqrt;
using std::tanh;

struct Place {
  unsigned x, y;
};
static thread_local Place threadIdx;
static Place blockIdx, blockDim, gridDim;
static pthread_barrier_t of_block, of_warp[32];
static double slots[32][32];

inline double __longlong_as_double(long long bits) {
  double x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline void __syncthreads() { pthread_barrier_wait(&of_block); }
template <class V>
V __shfl_xor_sync(unsigned, V x, int step) {
  unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  slots[warp][lane] = x;
  pthread_barrier_wait(&of_warp[warp]);
  V other = V(slots[warp][lane ^ step]);
  pthread_barrier_wait(&of_warp[warp]);
  return other;
}
inline void launch(unsigned blocks, unsigned threads, const std::function<void()>& body) {
  gridDim = {blocks, 1}, blockDim = {threads, 1};
  pthread_barrier_init(&of_block, nullptr, threads);
  for (unsigned w = 0; w < threads / 32; ++w) pthread_barrier_init(&of_warp[w], nullptr, 32);
  for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x) {
    std::vector<std::thread> crew;
    for (unsigned t = 0; t < threads; ++t) crew.emplace_back([=, &body] { threadIdx.x = t, body(); });
    for (auto& thread : crew) thread.join();
  }
}
#define __CUDACC_RTC__
