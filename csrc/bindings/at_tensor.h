// at::Tensor for the operators.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include "operators.h"

namespace wheelfuse_reference {

struct AtTensor {
  using Tensor = at::Tensor;

  static View input(const Tensor& tensor) { return view(tensor, const_cast<void*>(tensor.const_data_ptr())); }
  static View output(const Tensor& tensor) { return view(tensor, tensor.mutable_data_ptr()); }
  static Tensor contiguous(const Tensor& tensor) { return tensor.contiguous(); }

  static Tensor empty(Type type, const std::vector<int64_t>& sizes, const Tensor& like) {
    const at::ScalarType scalar = type == Type::e4m3   ? at::kFloat8_e4m3fn
                                  : type == Type::byte ? at::kByte
                                                       : at::kFloat;
    return at::empty(sizes, like.options().dtype(scalar));
  }

 private:
  static View view(const Tensor& tensor, void* data) {
    return {data,         type(tensor),          device(tensor),          tensor.get_device(),
            tensor.dim(), tensor.sizes().data(), tensor.strides().data()};
  }

  static Type type(const Tensor& tensor) {
    switch (tensor.scalar_type()) {
      case at::kBFloat16:
        return Type::bfloat16;
      case at::kHalf:
        return Type::float16;
      case at::kFloat:
        return Type::float32;
      case at::kFloat8_e4m3fn:
        return Type::e4m3;
      case at::kByte:
        return Type::byte;
      default:
        return Type::other;
    }
  }

  static Device device(const Tensor& tensor) {
    return tensor.is_cpu() ? Device::cpu : tensor.is_cuda() ? Device::cuda : Device::other;
  }
};

}  // namespace wheelfuse_reference
