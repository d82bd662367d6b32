// Shared by the files of the shim: errors never cross the language border as exceptions.
#pragma once
#include <ATen/core/Tensor.h>
#include <exception>
#include <string>

namespace harness {
// Message of the last call of this thread that failed.
inline thread_local std::string last_error;

// Runs `body` and returns true, or keeps the message of what it threw and returns false.
template <typename Body>
bool guarded(Body body) {
  try {
    body();
    return true;
  } catch (const c10::Error& error) {
    last_error = error.what_without_backtrace();
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "unknown C++ exception";
  }
  return false;
}

inline at::Tensor* give(at::Tensor tensor) { return new at::Tensor(std::move(tensor)); }

inline std::vector<at::Tensor> list(at::Tensor* const* tensors, size_t count) {
  std::vector<at::Tensor> result;
  result.reserve(count);
  for (size_t i = 0; i < count; ++i) result.push_back(*tensors[i]);
  return result;
}
}  // namespace harness
