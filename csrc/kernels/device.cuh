// What the kernels share: vectors, conversion to e4m3, reductions, and the scope of a launch.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels.h"

namespace wheelfuse_reference {

constexpr int warp_size = 32;
constexpr unsigned whole_warp = 0xffffffffu;

__device__ inline float to_float(float value) { return value; }
__device__ inline float to_float(__half value) { return __half2float(value); }
__device__ inline float to_float(__nv_bfloat16 value) { return __bfloat162float(value); }

// Two elements, or one, from the 32 bits that hold them.
__device__ inline void unpack(const float*, unsigned word, float* elements) { *elements = __uint_as_float(word); }

__device__ inline void unpack(const __half*, unsigned word, float* elements) {
  const float2 both = __half22float2(*reinterpret_cast<const __half2*>(&word));
  elements[0] = both.x;
  elements[1] = both.y;
}

__device__ inline void unpack(const __nv_bfloat16*, unsigned word, float* elements) {
  elements[0] = __uint_as_float(word << 16);  // bfloat16 is the upper half of float32
  elements[1] = __uint_as_float(word & 0xffff0000u);
}

// `width` elements as they lie in memory: 8 or 16 bytes that are read at once.
template <typename T, int width>
struct Vector {
  static constexpr int words = width * sizeof(T) / 4;
  static_assert(words == 2 || words == 4);
  unsigned word[words];

  // Zeros unless `there`.
  __device__ void load(const T* from, bool there) {
    using Words = std::conditional_t<words == 4, uint4, uint2>;
    const Words read = there ? *reinterpret_cast<const Words*>(from) : Words{};
    word[0] = read.x;
    word[1] = read.y;
    if constexpr (words == 4) {
      word[2] = read.z;
      word[3] = read.w;
    }
  }

  __device__ void unpack(float (&elements)[width]) const {
#pragma unroll
    for (int i = 0; i < words; ++i) {
      wheelfuse_reference::unpack(static_cast<const T*>(nullptr), word[i], elements + i * (width / words));
    }
  }

  // Makes the compiler unpack anew: it would rather keep elements in registers, of which they need twice as many.
  __device__ void forget() {
#pragma unroll
    for (int i = 0; i < words; ++i) asm volatile("" : "+r"(word[i]));
  }
};

__device__ inline unsigned e4m3_pair(float low, float high) {
  return __nv_cvt_float2_to_fp8x2(make_float2(low, high), __NV_SATFINITE, __NV_E4M3);
}

__device__ inline uint8_t e4m3(float value) { return __nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3); }

__device__ inline unsigned e4m3_quad(const float* values) {
  return e4m3_pair(values[0], values[1]) | e4m3_pair(values[2], values[3]) << 16;
}

// Streaming stores: nobody reads them soon, so they need not push out of the cache what is read.
__device__ inline void store_e4m3(uint8_t* output, const float (&values)[4]) {
  __stcs(reinterpret_cast<unsigned*>(output), e4m3_quad(values));
}

__device__ inline void store_e4m3(uint8_t* output, const float (&values)[8]) {
  __stcs(reinterpret_cast<uint2*>(output), make_uint2(e4m3_quad(values), e4m3_quad(values + 4)));
}

// The greatest magnitude, or NaN if there is one.
__device__ inline float greatest(float magnitude, float value) {
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(magnitude) : "f"(magnitude), "f"(fabsf(value)));
  return magnitude;
}

__device__ inline float greatest_of_warp(float magnitude) {
  // Magnitudes compare as integers do, and those of NaN are the greatest.
  return __uint_as_float(__reduce_max_sync(whole_warp, __float_as_uint(magnitude)));
}

__device__ inline double sum_of_warp(double value) {
#pragma unroll
  for (int mask = warp_size / 2; mask; mask /= 2) value += __shfl_xor_sync(whole_warp, value, mask);
  return value;
}

inline bool is_aligned(const void* pointer, size_t bytes) { return reinterpret_cast<uintptr_t>(pointer) % bytes == 0; }

// Makes a device the current one of this thread, as long as the scope lasts.
class OnDevice {
 public:
  explicit OnDevice(int device) {
    error_ = cudaGetDevice(&previous_);
    if (error_ == cudaSuccess) error_ = cudaSetDevice(device);
  }
  ~OnDevice() {
    if (error_ == cudaSuccess) cudaSetDevice(previous_);
  }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

  cudaError_t error() const { return error_; }

 private:
  int previous_ = 0;
  cudaError_t error_;
};

inline const char* message_of(cudaError_t error) {
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

// Runs `launch` with a null pointer of the C++ type of the elements.
template <typename Launch>
cudaError_t for_element(Element element, Launch&& launch) {
  switch (element) {
    case Element::bfloat16:
      return launch(static_cast<const __nv_bfloat16*>(nullptr));
    case Element::float16:
      return launch(static_cast<const __half*>(nullptr));
    case Element::float32:
      return launch(static_cast<const float*>(nullptr));
  }
  return cudaErrorInvalidValue;
}

}  // namespace wheelfuse_reference
