// Binding `torch-stable`: torch's stable ABI alone. One file for every CPython (the module is made with the limited
// API) and for every torch from TORCH_TARGET_VERSION on.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include "operators.h"
#include "wheelfuse_module.h"

namespace wheelfuse_reference {
namespace {

struct StableTensor {
  using Tensor = torch::stable::Tensor;

  static View input(const Tensor& tensor) { return view(tensor, const_cast<void*>(tensor.const_data_ptr())); }
  static View output(const Tensor& tensor) { return view(tensor, tensor.mutable_data_ptr()); }
  static Tensor contiguous(const Tensor& tensor) { return torch::stable::contiguous(tensor); }

  static Tensor empty(Type type, const std::vector<int64_t>& sizes, const Tensor& like) {
    using torch::headeronly::ScalarType;
    const ScalarType scalar = type == Type::e4m3   ? ScalarType::Float8_e4m3fn
                              : type == Type::byte ? ScalarType::Byte
                                                   : ScalarType::Float;
    return torch::stable::new_empty(like, {sizes.data(), sizes.size()}, scalar);
  }

 private:
  static View view(const Tensor& tensor, void* data) {
    return {data,         type(tensor),          device(tensor),          tensor.get_device_index(),
            tensor.dim(), tensor.sizes().data(), tensor.strides().data()};
  }

  // Asked by number: scalar_type() refuses what was added after TORCH_TARGET_VERSION.
  static Type type(const Tensor& tensor) {
    int32_t number = 0;
    STD_TORCH_CHECK(aoti_torch_get_dtype(tensor.get(), &number) == TORCH_SUCCESS, "a tensor has no dtype");
    return number == aoti_torch_dtype_bfloat16()        ? Type::bfloat16
           : number == aoti_torch_dtype_float16()       ? Type::float16
           : number == aoti_torch_dtype_float32()       ? Type::float32
           : number == aoti_torch_dtype_float8_e4m3fn() ? Type::e4m3
           : number == aoti_torch_dtype_uint8()         ? Type::byte
                                                        : Type::other;
  }

  static Device device(const Tensor& tensor) {
    return tensor.is_cpu() ? Device::cpu : tensor.is_cuda() ? Device::cuda : Device::other;
  }
};

using Stable = Operators<StableTensor>;

}  // namespace
}  // namespace wheelfuse_reference

using wheelfuse_reference::Stable;

STABLE_TORCH_LIBRARY_FRAGMENT(wheelfuse_reference, library) { WHEELFUSE_REFERENCE_SCHEMAS(library.def); }

STABLE_TORCH_LIBRARY_IMPL(wheelfuse_reference, CompositeExplicitAutograd, library) {
  library.impl("rms_norm_fp8", TORCH_BOX(&Stable::rms_norm_fp8));
  library.impl("mxfp8", TORCH_BOX(&Stable::mxfp8));
}

STABLE_TORCH_LIBRARY_IMPL(wheelfuse_reference, CPU, library) {
  library.impl("rms_norm_fp8_out", TORCH_BOX(&Stable::rms_norm_fp8_out));
  library.impl("mxfp8_out", TORCH_BOX(&Stable::mxfp8_out));
}

#ifdef WHEELFUSE_REFERENCE_CUDA
STABLE_TORCH_LIBRARY_IMPL(wheelfuse_reference, CUDA, library) {
  library.impl("rms_norm_fp8_out", TORCH_BOX(&Stable::rms_norm_fp8_out));
  library.impl("mxfp8_out", TORCH_BOX(&Stable::mxfp8_out));
}
#endif

WHEELFUSE_MODULE(_C_stable_libtorch)
