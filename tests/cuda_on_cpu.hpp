// Runs CUDA kernels on the CPU: every CUDA thread is a fiber, blocks run one after another, in shuffled order both.
// Barriers are real: a missing one lets threads read too early, a divergent one stops the program with a message.
// Shared memory is filled with NaN before each block. Kernels without barriers run their threads as plain calls.
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>
#define __global__
#define __device__
#define __forceinline__ inline
#define SHARED(type, name, size)                   \
  static cpu::Arena arena_##name(sizeof(type) * (size)); \
  type* name = (type*)arena_##name.bytes.data()
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

struct Place {
  unsigned x, y;
};
static Place gridDim, blockDim, blockIdx;

namespace cpu {
const size_t STACK = 64 << 10;
struct Arena {  // one array in shared memory
  std::vector<char> bytes;
  static std::vector<Arena*>& all() {
    static std::vector<Arena*> arenas;
    return arenas;
  }
  explicit Arena(size_t size) : bytes(size, (char)0xff) { all().push_back(this); }
};
struct Gate {
  int arrived = 0;
  unsigned generation = 0;
};
struct Fiber {  // goes from thread to thread of all launches, because a new context asks the kernel
  ucontext_t context;
  jmp_buf at;
  bool begun = false;
  std::unique_ptr<char[]> stack;
  Place place;
  int number;
  bool done;
};
static jmp_buf schedule;
static std::deque<Fiber> fibers;
static int threads;
static Gate of_block, of_warp[32];
static double slots[32][32];
static Fiber* me;
struct Body {
  void (*call)(const void*);
  const void* closure;
  void operator()() const { call(closure); }
};
static Body body;
static bool moved;
static unsigned state;

inline unsigned random_below(unsigned n) {
  state = state * 1664525u + 1013904223u;
  return (state >> 8) % n;
}
template <class T>
void shuffle(std::vector<T>& values) {
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random_below((unsigned)i)]);
}
// Contexts begin as ucontext, which the standard library can make, and go on by jumps, which ask nothing of the kernel.
inline void leave() {
  if (!_setjmp(me->at)) _longjmp(schedule, 1);
}
inline void enter(Fiber& f) {
  me = &f;
  if (_setjmp(schedule)) return;
  if (f.begun) _longjmp(f.at, 1);
  f.begun = true;
  setcontext(&f.context);
}
inline void wait(Gate& gate, int expected) {
  unsigned generation = gate.generation;
  moved = true;
  if (++gate.arrived == expected) {
    gate.arrived = 0, ++gate.generation;
    return;
  }
  while (gate.generation == generation) leave();
}
inline void entry() {
  for (;;) {
    body();
    me->done = moved = true;
    leave();
  }
}
inline void run_fibers(const std::vector<int>& order) {
  for (int i : order) {
    Fiber& f = fibers[i];
    f.done = false;
    if (f.stack) continue;
    f.stack.reset(new char[STACK]);
    getcontext(&f.context);
    f.context.uc_stack.ss_sp = f.stack.get(), f.context.uc_stack.ss_size = STACK;
    f.context.uc_link = nullptr;
    makecontext(&f.context, entry, 0);
  }
  // Warps are as far apart as barriers let them be: each runs until it waits for another.
  std::vector<std::vector<int>> crew((order.size() + 31) / 32);
  for (int i : order) crew[i / 32].push_back(i);
  shuffle(crew);
  for (bool alive = true; alive;) {
    bool progress = alive = false;
    for (auto& warp : crew) {
      for (moved = true; moved; progress |= moved) {
        moved = false;
        for (int i : warp)
          if (!fibers[i].done) enter(fibers[i]);
      }
      for (int i : warp) alive |= !fibers[i].done;
    }
    if (alive && !progress) {
      fprintf(stderr, "divergent barrier in block (%u, %u)\n", blockIdx.x, blockIdx.y);
      abort();
    }
  }
}
}  // namespace cpu
#define threadIdx (cpu::me->place)

inline double __longlong_as_double(long long bits) {
  double x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, sizeof x);
  return x;
}
inline void __syncthreads() { cpu::wait(cpu::of_block, cpu::threads); }
template <class V>
V __shfl_xor_sync(unsigned, V x, int step) {
  int warp = cpu::me->number / 32, lane = cpu::me->number % 32;
  cpu::slots[warp][lane] = double(x);
  cpu::wait(cpu::of_warp[warp], 32);
  V other = V(cpu::slots[warp][lane ^ step]);
  cpu::wait(cpu::of_warp[warp], 32);
  return other;
}

inline void launch_body(Place grid, Place block, bool barriers, unsigned seed, cpu::Body body) {
  gridDim = grid, blockDim = block;
  cpu::state = seed, cpu::body = body;
  const int threads = cpu::threads = (int)(block.x * block.y);
  while ((int)cpu::fibers.size() < threads) cpu::fibers.emplace_back();
  std::vector<int> order(threads), blocks(grid.x * grid.y);
  for (int i = 0; i < threads; ++i) {
    order[i] = cpu::fibers[i].number = i;
    cpu::fibers[i].place = {i % block.x, i / block.x};
  }
  for (size_t b = 0; b < blocks.size(); ++b) blocks[b] = (int)b;
  cpu::shuffle(blocks);
  for (int b : blocks) {
    blockIdx = {b % grid.x, b / grid.x};
    for (cpu::Arena* a : cpu::Arena::all()) std::fill(a->bytes.begin(), a->bytes.end(), (char)0xff);
    cpu::shuffle(order);
    if (barriers) {
      cpu::run_fibers(order);
    } else {
      for (int i : order) cpu::me = &cpu::fibers[i], body();
    }
  }
}
template <class F>
inline void launch(Place grid, Place block, bool barriers, unsigned seed, const F& f) {
  launch_body(grid, block, barriers, seed, {[](const void* closure) { (*(const F*)closure)(); }, &f});
}
#define __CUDACC_RTC__
