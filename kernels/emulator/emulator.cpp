// Runs a kernel: blocks one after the other, a block's threads in turns.
#include "emulator.h"

#include <string.h>
#include <ucontext.h>

#include <deque>
#include <random>
#include <string>
#include <utility>
#include <vector>

uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace {

constexpr size_t kSharedBytes = 232448;  // the most that a block may have on compute capability 9.0
constexpr size_t kStack = 64 * 1024;
constexpr int kWarp = 32;

enum class State { runs, at_barrier, at_shuffle, done };

struct Copy {
  float4* to;
  const float4* from;
};

struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  uint3 index;
  State state;
  float shared;
  std::deque<std::vector<Copy>> copies;  // groups on their way; the last one is open
};

std::vector<Fiber> fibers;
ucontext_t scheduler;
Fiber* current;
Invoke kernel;
void** given;
std::string problem;
std::mt19937 chance;

void enter() {
  kernel(given);
  for (const std::vector<Copy>& group : current->copies) {
    if (!group.empty()) problem = "a thread ends while copies of its own are on their way";
  }
  current->state = State::done;
}

void leave(State state) {
  current->state = state;
  Fiber* self = current;
  swapcontext(&self->context, &scheduler);
}

bool all_in(size_t begin, size_t end, State state) {
  for (size_t i = begin; i < end; ++i) {
    if (fibers[i].state != state) return false;
  }
  return true;
}

struct Warp {
  size_t begin, end;
};

// Lets go whoever waits for others that have all arrived. False: nobody can go on.
bool release(const std::vector<Warp>& warps) {
  bool some = false;
  for (const Warp& warp : warps) {
    if (!all_in(warp.begin, warp.end, State::at_shuffle)) continue;
    for (size_t i = warp.begin; i < warp.end; ++i) fibers[i].state = State::runs;
    some = true;
  }
  if (some || !all_in(0, fibers.size(), State::at_barrier)) return some;
  for (Fiber& fiber : fibers) fiber.state = State::runs;
  return true;
}

// The threads of a warp that can run, in an order drawn at random, each until it waits for others.
bool run_warp(const Warp& warp) {
  std::vector<Fiber*> order;
  for (size_t i = warp.begin; i < warp.end; ++i) {
    if (fibers[i].state == State::runs) order.push_back(&fibers[i]);
  }
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[chance() % i]);
  for (Fiber* fiber : order) {
    current = fiber;
    threadIdx = fiber->index;
    swapcontext(&scheduler, &fiber->context);
  }
  if (all_in(warp.begin, warp.end, State::at_shuffle)) {
    for (size_t i = warp.begin; i < warp.end; ++i) fibers[i].state = State::runs;
  }
  return !order.empty();
}

// One warp mostly runs as far ahead of the others as barriers let it, for what lacks a barrier to show.
void run_block() {
  for (Fiber& fiber : fibers) {
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = &scheduler;
    fiber.state = State::runs;
    fiber.copies.assign(1, {});
    makecontext(&fiber.context, enter, 0);
  }
  std::vector<Warp> warps;
  for (size_t begin = 0; begin < fibers.size(); begin += kWarp) {
    warps.push_back({begin, begin + kWarp < fibers.size() ? begin + kWarp : fibers.size()});
  }
  while (!all_in(0, fibers.size(), State::done)) {
    bool ran = false;
    std::vector<Warp> order = warps;
    for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[chance() % i]);
    for (const Warp& warp : order) {
      while (chance() % 16 != 0 && run_warp(warp)) ran = true;
    }
    if (ran || release(warps)) continue;
    bool runnable = false;
    for (const Fiber& fiber : fibers) runnable = runnable || fiber.state == State::runs;
    if (runnable) continue;
    problem = "some threads wait at a barrier or shuffle that others never reach";
    return;
  }
}

}  // namespace

alignas(128) float4 slab[kSharedBytes / sizeof(float4)];

void __syncthreads() {
  leave(State::at_barrier);
  threadIdx = current->index;
}

float __shfl_xor_sync(unsigned mask, float value, int distance) {
  const size_t self = static_cast<size_t>(current - fibers.data());
  const size_t partner = self ^ static_cast<size_t>(distance);
  if (mask != 0xffffffffu || partner >= fibers.size()) problem = "a shuffle with lanes that are not there";
  current->shared = value;
  leave(State::at_shuffle);
  threadIdx = current->index;
  const float taken = fibers[partner].shared;
  leave(State::at_shuffle);  // nobody writes its next value before everybody has read
  threadIdx = current->index;
  return taken;
}

namespace sparse_agents {

// Half of them at once, before anything else, and half as late as may be.
void copy_async(float4* to, const float4* from) {
  if (chance() % 2 == 0) {
    *to = *from;
  } else {
    current->copies.back().push_back({to, from});
  }
}

void close_copies() { current->copies.emplace_back(); }

void await_copies(int pending) {
  while (current->copies.size() > static_cast<size_t>(pending) + 1) {
    for (const Copy& copy : current->copies.front()) *copy.to = *copy.from;
    current->copies.pop_front();
  }
}

}  // namespace sparse_agents

extern "C" const char* emulate(
    const char* name, const unsigned* grid, const unsigned* block, size_t shared, void** arguments, int count,
    unsigned seed) {
  problem.clear();
  kernel = find_kernel(name, count);
  given = arguments;
  if (kernel == nullptr) problem = "no such kernel, or not with so many arguments";
  if (shared > kSharedBytes) problem = "more shared memory than a block may have";
  const size_t threads = static_cast<size_t>(block[0]) * block[1] * block[2];
  if (threads == 0 || threads > 1024) problem = "a block has 1 to 1024 threads";
  chance.seed(seed);
  gridDim = {grid[0], grid[1], grid[2]};
  blockDim = {block[0], block[1], block[2]};
  fibers.resize(threads);
  for (size_t i = 0; i < threads; ++i) {
    fibers[i].stack.resize(kStack);
    const unsigned flat = static_cast<unsigned>(i);
    fibers[i].index = {flat % block[0], flat / block[0] % block[1], flat / block[0] / block[1]};
  }
  const float nothing = nanf("");
  for (unsigned z = 0; z < grid[2]; ++z) {
    for (unsigned y = 0; y < grid[1]; ++y) {
      for (unsigned x = 0; x < grid[0]; ++x) {
        if (!problem.empty()) return problem.c_str();
        blockIdx = {x, y, z};
        for (float4& value : slab) value = {nothing, nothing, nothing, nothing};
        run_block();
        // What was not asked for must not have been written.
        const char* bytes = reinterpret_cast<const char*>(slab);
        float word;
        for (size_t at = shared; at + 4 <= kSharedBytes; at += 4) {
          memcpy(&word, bytes + at, 4);
          if (word == word) problem = "shared memory was written beyond what the launch asked for";
        }
      }
    }
  }
  return problem.empty() ? nullptr : problem.c_str();
}
