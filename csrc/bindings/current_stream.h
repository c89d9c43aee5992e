// The stream that torch would launch on now.
#pragma once

#include <cstdint>
#include <stdexcept>

// Part of torch's stable C shim, and only in a torch with CUDA. A weak reference stays null under any other, so that
// one file loads under both; it is resolved through libtorch.so, which needs libtorch_cuda.so where there is one.
extern "C" __attribute__((weak)) int32_t aoti_torch_get_current_cuda_stream(int32_t device_index, void** ret_stream);

namespace wheelfuse_reference {

inline void* current_stream(int32_t device_index) {
  void* stream = nullptr;
  if (!aoti_torch_get_current_cuda_stream || aoti_torch_get_current_cuda_stream(device_index, &stream) != 0) {
    throw std::runtime_error("torch has no current CUDA stream: it was built without CUDA, or CUDA failed before");
  }
  return stream;
}

}  // namespace wheelfuse_reference
