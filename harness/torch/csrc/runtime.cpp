// The state of the process: generators, determinism, threads, devices.
#include "shim.h"

#include <ATen/Context.h>
#include <ATen/Version.h>
#include <ATen/core/Generator.h>
#include <ATen/ops/empty.h>
#include <torch/headeronly/version.h>

#include <dlfcn.h>
#ifdef __GLIBC__
#include <malloc.h>

#include <climits>
#endif

namespace {
at::Device device_of(int index) { return index < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, index); }
}  // namespace

extern "C" {
const char* ht_last_error() { return harness::last_error.c_str(); }

const char* ht_version() { return TORCH_VERSION; }

// Instruction set that the CPU kernels dispatch to, "AVX2"; owned by the shim.
const char* ht_cpu_capability() {
  static const std::string name = at::get_cpu_capability();
  return name.c_str();
}

// State of the default generator of a device (-1 = CPU, i = CUDA i), as a byte tensor.
at::Tensor* ht_generator_state(int device) {
  at::Tensor* result = nullptr;
  harness::guarded([&] { result = harness::give(at::globalContext().defaultGenerator(device_of(device)).get_state()); });
  return result;
}

bool ht_set_generator_state(int device, const at::Tensor* state) {
  return harness::guarded([&] {
    at::Generator generator = at::globalContext().defaultGenerator(device_of(device));
    generator.set_state(*state);
  });
}

// Uniform numbers in [0, 1), f32, that depend on `seed` alone: drawn from a generator of their own, so that the
// default generator is left where it was.
at::Tensor* ht_uniform(const int64_t* shape, size_t dimensions, uint64_t seed, int device) {
  at::Tensor* result = nullptr;
  harness::guarded([&] {
    auto generator = at::globalContext().defaultGenerator(device_of(device)).clone();
    generator.set_current_seed(seed);
    auto options = at::TensorOptions().dtype(at::kFloat).device(device_of(device));
    result = harness::give(at::empty(at::IntArrayRef(shape, dimensions), options).uniform_(0.0, 1.0, generator));
  });
  return result;
}

bool ht_set_deterministic(bool on) {
  return harness::guarded([&] {
    auto& context = at::globalContext();
    context.setDeterministicAlgorithms(on, /*warn_only=*/false);
    context.setDeterministicCuDNN(on);
    context.setBenchmarkCuDNN(!on);
  });
}

bool ht_deterministic() { return at::globalContext().deterministicAlgorithms(); }

// Keeps freed memory for the next tensor. By default glibc maps every large block afresh and gives it back, and the
// kernel zeroes it page by page each time, which costs more than a pass of arithmetic over it.
void ht_keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

// Loads a library for good, its symbols visible to everything loaded later.
bool ht_load_library(const char* path) {
  return harness::guarded([&] { TORCH_CHECK(dlopen(path, RTLD_NOW | RTLD_GLOBAL), dlerror()); });
}
}
