// A node of the autograd graph whose backward pass is a Rust closure.
#include "shim.h"

#include <torch/csrc/autograd/function.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/csrc/autograd/variable.h>

#include <mutex>

namespace {
// The closure as Rust hands it over: opaque state, how to call it, how to drop it. `call` returns null, or a
// message that it owns until its next call on the same thread.
struct Closure {
  void* state;
  const char* (*call)(void* state, const at::Tensor* gradient, at::Tensor** results, size_t count);
  void (*drop)(void* state);
};

struct ClosureNode : torch::autograd::Node {
  Closure closure;
  size_t inputs;
  std::mutex mutex;

  ClosureNode(Closure closure, size_t inputs) : closure(closure), inputs(inputs) {}
  ~ClosureNode() override { release(); }

  void release() {
    if (closure.state) closure.drop(closure.state);
    closure.state = nullptr;
  }

  void release_variables() override {
    std::lock_guard<std::mutex> lock(mutex);
    release();
  }

  std::string name() const override { return "HarnessClosure"; }

  torch::autograd::variable_list apply(torch::autograd::variable_list&& gradients) override {
    std::lock_guard<std::mutex> lock(mutex);
    torch::autograd::variable_list results(inputs);
    if (!gradients[0].defined()) return results;
    TORCH_CHECK(closure.state, "backward through a graph whose buffers were freed");
    std::vector<at::Tensor*> raw(inputs, nullptr);
    const char* message = closure.call(closure.state, &gradients[0], raw.data(), inputs);
    for (size_t i = 0; i < inputs; ++i) {
      if (!raw[i]) continue;
      results[i] = *raw[i];
      delete raw[i];
    }
    TORCH_CHECK(!message, message);
    return results;
  }
};
}  // namespace

extern "C" {
// A tensor with the value of `value` whose gradient goes to `inputs` as `closure` says. Takes the closure over,
// also when it fails. Null on failure.
at::Tensor* ht_with_gradient(const at::Tensor* value, at::Tensor* const* inputs, size_t count, Closure closure) {
  at::Tensor* result = nullptr;
  auto node = std::shared_ptr<ClosureNode>(new ClosureNode(closure, count), torch::autograd::deleteNode);
  harness::guarded([&] {
    auto variables = harness::list(inputs, count);
    at::Tensor output = value->detach();
    bool wanted = at::GradMode::is_enabled();
    bool any = false;
    for (const auto& variable : variables) any = any || variable.requires_grad();
    if (wanted && any) {
      node->set_next_edges(torch::autograd::collect_next_edges(variables));
      torch::autograd::set_history(output, node);
    }
    result = harness::give(output);
  });
  return result;
}
}
