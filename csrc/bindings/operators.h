// The operators as torch sees them, for any class of tensors: an adapter says what such a tensor is, and the same code
// serves all bindings.
//
// Schemas, which every binding registers once:
//   rms_norm_fp8_out, mxfp8_out   CPU and CUDA: fill outputs that the caller has made
//   rms_norm_fp8, mxfp8           any device (CompositeExplicitAutograd): make the outputs, then the same
#pragma once

#include <cstdint>
#include <tuple>
#include <vector>

#include "current_stream.h"
#include "ops.h"

#define WHEELFUSE_REFERENCE_SCHEMAS(define)                                                                         \
  define("rms_norm_fp8(Tensor input, Tensor weight, float epsilon) -> (Tensor values, Tensor scales)");             \
  define("rms_norm_fp8_out(Tensor input, Tensor weight, float epsilon, Tensor(a!) values, Tensor(b!) scales) -> ()"); \
  define("mxfp8(Tensor input) -> (Tensor values, Tensor scales)");                                                  \
  define("mxfp8_out(Tensor input, Tensor(a!) values, Tensor(b!) scales) -> ()")

namespace wheelfuse_reference {

// Adapter: `Tensor`; `input(tensor)` and `output(tensor)`, views to read and to write; `contiguous(tensor)`;
// `empty(type, sizes, like)`.
template <typename Adapter>
struct Operators {
  using Tensor = typename Adapter::Tensor;

  static void rms_norm_fp8_out(const Tensor& input, const Tensor& weight, double epsilon, const Tensor& values,
                               const Tensor& scales) {
    const Tensor rows = with_rows(input), vector = with_rows(weight);
    wheelfuse_reference::rms_norm_fp8(Adapter::input(rows), Adapter::input(vector), epsilon, Adapter::output(values),
                                      Adapter::output(scales), stream_for(rows));
  }

  static std::tuple<Tensor, Tensor> rms_norm_fp8(const Tensor& input, const Tensor& weight, double epsilon) {
    std::vector<int64_t> sizes = sizes_of(input);
    const Tensor values = Adapter::empty(Type::e4m3, sizes, input);
    if (!sizes.empty()) sizes.pop_back();
    const Tensor scales = Adapter::empty(Type::float32, sizes, input);
    rms_norm_fp8_out(input, weight, epsilon, values, scales);
    return {values, scales};
  }

  static void mxfp8_out(const Tensor& input, const Tensor& values, const Tensor& scales) {
    const Tensor rows = with_rows(input);
    wheelfuse_reference::mxfp8(Adapter::input(rows), Adapter::output(values), Adapter::output(scales),
                               stream_for(rows));
  }

  static std::tuple<Tensor, Tensor> mxfp8(const Tensor& input) {
    std::vector<int64_t> sizes = sizes_of(input);
    const Tensor values = Adapter::empty(Type::e4m3, sizes, input);
    if (!sizes.empty()) sizes.back() = (sizes.back() + block_length - 1) / block_length;
    const Tensor scales = Adapter::empty(Type::byte, sizes, input);
    mxfp8_out(input, values, scales);
    return {values, scales};
  }

 private:
  static std::vector<int64_t> sizes_of(const Tensor& tensor) {
    const View view = Adapter::input(tensor);
    return {view.sizes, view.sizes + view.rank};
  }

  static Tensor with_rows(const Tensor& tensor) {
    return has_rows(Adapter::input(tensor)) ? tensor : Adapter::contiguous(tensor);
  }

  static void* stream_for(const Tensor& tensor) {
    const View view = Adapter::input(tensor);
    return view.device == Device::cuda ? current_stream(view.device_index) : nullptr;
  }
};

}  // namespace wheelfuse_reference
