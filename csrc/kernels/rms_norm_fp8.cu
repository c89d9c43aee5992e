// RMSNorm with e4m3 quantisation on a GPU.
//
// A row is copied to shared memory, asynchronously, and read there twice: for what must be known of it, and for its
// values. As soon as a thread has read its part for the second time, it has that of the block's next row copied to the
// same place. So memory has always something to do, whatever the length of the rows. Rows of more than 8,192 vectors,
// and those that are not made of aligned fours of elements, are read twice, the second time mostly from a cache.

#include <cuda_pipeline_primitives.h>

#include "device.cuh"

namespace wheelfuse_reference {
namespace {

struct Arguments {
  int64_t rows, length, stride;
  double reciprocal_length, epsilon;
};

// What is found out about a row before it can be quantised.
struct Found {
  double sum = 0;       // of squares
  float magnitude = 0;  // the greatest of x * weight

  // Four neighbours of the row.
  template <typename T>
  __device__ void add(const float* x, const float* weight) {
    sum += squares<T>(x[0], x[1], x[2], x[3]);
#pragma unroll
    for (int i = 0; i < 4; ++i) magnitude = greatest(magnitude, x[i] * weight[i]);
  }

  template <typename T>
  __device__ static float squares(float a, float b, float c, float d) {
    if constexpr (sizeof(T) == 2) {  // squares are exact: one rounding is as good as two
      return fmaf(b, b, a * a) + fmaf(d, d, c * c);
    } else {
      return __fadd_rn(__fadd_rn(__fmul_rn(a, a), __fmul_rn(b, b)), __fadd_rn(__fmul_rn(c, c), __fmul_rn(d, d)));
    }
  }
};

// What the threads of a group have found, together: a warp, or the part of one that has a row.
__device__ Found of_group(Found found, int lanes) {
  if (lanes == warp_size) return {sum_of_warp(found.sum), greatest_of_warp(found.magnitude)};
  const unsigned group = ((1u << lanes) - 1) << (threadIdx.y * lanes) % warp_size;
  for (int mask = lanes / 2; mask; mask /= 2) {
    found.sum += __shfl_xor_sync(group, found.sum, mask);
    found.magnitude = greatest(found.magnitude, __shfl_xor_sync(group, found.magnitude, mask));
  }
  return found;
}

// What all threads of a row have found, together. Two rows take turns, so that one barrier for each is enough: who
// writes for the next but one has passed the barrier of the next, which all reach after they have read.
struct Together {
  double sums[2][warp_size];
  float magnitudes[2][warp_size];

  __device__ Found of(Found found, int turn) {
    const int warps = blockDim.x / warp_size;
    found = of_group(found, warps ? warp_size : blockDim.x);
    if (warps <= 1) return found;
    const int warp = threadIdx.x / warp_size, lane = threadIdx.x % warp_size;
    if (lane == 0) {
      sums[turn][warp] = found.sum;
      magnitudes[turn][warp] = found.magnitude;
    }
    __syncthreads();
    return of_group(lane < warps ? Found{sums[turn][lane], magnitudes[turn][lane]} : Found(), warp_size);
  }
};

struct Scales {
  float scale, factor;

  __device__ Scales(const Found& found, const Arguments& arguments) {
    const float root = 1.0f / sqrtf(static_cast<float>(found.sum * arguments.reciprocal_length + arguments.epsilon));
    scale = found.magnitude * root / 448.0f;
    if (scale < smallest_scale) scale = smallest_scale;  // NaN stays
    factor = root / scale;
  }
};

// A block stays for many rows. Each thread has `vectors` vectors of them, and keeps those of the weight. In shared
// memory it reads nothing but what it has copied there itself, so it waits for no other thread.
template <typename T, int width, int vectors>
__global__ void __launch_bounds__(1024)
    rows_in_shared_memory(const T* input, const T* weight, Arguments arguments, Quantized<float> output) {
  extern __shared__ uint4 memory[];
  __shared__ Together together;
  const int64_t step = static_cast<int64_t>(gridDim.x) * blockDim.y;
  int64_t row = static_cast<int64_t>(blockIdx.x) * blockDim.y + threadIdx.y;
  const int first = threadIdx.x * width, stride = blockDim.x * width, length = arguments.length;
  T* const place = reinterpret_cast<T*>(memory) + threadIdx.y * length + first;
  const auto has = [&](int i) { return first + i * stride < length; };
  const auto copy = [&](const T* from, int i, bool there) {
    if (there && has(i)) __pipeline_memcpy_async(place + i * stride, from + i * stride, width * sizeof(T));
    __pipeline_commit();
  };

  Vector<T, width> kept[vectors];
#pragma unroll
  for (int i = 0; i < vectors; ++i) {
    copy(input + row * arguments.stride + first, i, row < arguments.rows);
    kept[i].load(weight + first + i * stride, has(i));
  }
  const auto read = [&](int i) {
    Vector<T, width> vector;
    vector.load(place + i * stride, true);
    kept[i].forget();
    return vector;
  };
  for (int turn = 0; row < arguments.rows; row += step, turn ^= 1) {
    Found found;
#pragma unroll
    for (int i = 0; i < vectors; ++i) {
      __pipeline_wait_prior(vectors - 1 - i);
      asm volatile("" ::: "memory");  // the compiler must not read before that
      if (!has(i)) continue;
      float x[width], w[width];
      read(i).unpack(x);
      kept[i].unpack(w);
#pragma unroll
      for (int j = 0; j < width; j += 4) found.add<T>(x + j, w + j);
    }
    const Scales scales(together.of(found, turn), arguments);
    if (threadIdx.x == 0) output.scales[row] = scales.scale;
    const T* const next = input + (row + step) * arguments.stride + first;
    const bool has_next = row + step < arguments.rows;
    uint8_t* const values = output.values + row * arguments.length + first;
#pragma unroll
    for (int i = 0; i < vectors; ++i) {
      if (!has(i)) {
        __pipeline_commit();
        continue;
      }
      const Vector<T, width> vector = read(i);
      copy(next, i, has_next);
      float x[width], w[width];
      vector.unpack(x);
      kept[i].unpack(w);
#pragma unroll
      for (int j = 0; j < width; ++j) x[j] = x[j] * w[j] * scales.factor;
      store_e4m3(values + i * stride, x);
    }
  }
}

// One block for each row at a time, which may have any length. `quads`: and is made of aligned fours of elements.
template <typename T, bool quads>
__global__ void __launch_bounds__(1024)
    rows_in_passes(const T* input, const T* weight, Arguments arguments, Quantized<float> output) {
  __shared__ Together together;
  int turn = 0;
  for (int64_t row = blockIdx.x; row < arguments.rows; row += gridDim.x, turn ^= 1) {
    const T* elements = input + row * arguments.stride;
    uint8_t* values = output.values + row * arguments.length;
    const auto read = [&](const T* from, int64_t first, float(&into)[4]) {
      if constexpr (quads) {
        Vector<T, 4> vector;
        vector.load(from + first, true);
        vector.unpack(into);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) into[i] = first + i < arguments.length ? to_float(from[first + i]) : 0;
      }
    };
    float x[4], w[4];
    Found found;
#pragma unroll 4
    for (int64_t first = threadIdx.x * 4; first < arguments.length; first += blockDim.x * 4) {
      read(elements, first, x);
      read(weight, first, w);
      found.add<T>(x, w);
    }
    const Scales scales(together.of(found, turn), arguments);
#pragma unroll 4
    for (int64_t first = threadIdx.x * 4; first < arguments.length; first += blockDim.x * 4) {
      read(elements, first, x);
      read(weight, first, w);
#pragma unroll
      for (int i = 0; i < 4; ++i) x[i] = x[i] * w[i] * scales.factor;
      if constexpr (quads) {
        store_e4m3(values + first, x);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          if (first + i < arguments.length) values[first + i] = e4m3(x[i]);
        }
      }
    }
    if (threadIdx.x == 0) output.scales[row] = scales.scale;
  }
}

// How the vectors of a row are divided: so many for each thread, at the most, and so many threads.
struct Division {
  static constexpr int most_vectors = 8, most_warps = 32;
  int vectors = 4, threads = 1;

  static bool can(int64_t count) { return count > 0 && count <= most_vectors * most_warps * warp_size; }

  explicit Division(int64_t count) {
    if (count <= vectors * warp_size) {  // a part of a warp is enough
      while (threads * vectors < count) threads *= 2;
      return;
    }
    int fewest = 0;
    for (int each = most_vectors; each >= 4; --each) {  // of equals, the most vectors for each thread
      const int warps = static_cast<int>((count + each * warp_size - 1) / (each * warp_size));
      if (warps > most_warps || (fewest && warps * each >= fewest)) continue;
      fewest = warps * each;
      vectors = each;
      threads = warps * warp_size;
    }
  }

  // Short rows have a block together.
  dim3 block() const { return threads > warp_size ? dim3(threads) : dim3(threads, 256 / threads); }
};

template <typename T>
struct Launch {
  void (*kernel)(const T*, const T*, Arguments, Quantized<float>);
  dim3 block{1024};
  size_t shared = 0;  // bytes

  Launch(const Rows& input, const void* weight, const Quantized<float>& output, size_t most_shared) {
    const auto made_of = [&](int width) {
      return input.length % width == 0 && input.stride % width == 0 && is_aligned(input.data, width * sizeof(T)) &&
             is_aligned(weight, width * sizeof(T)) && is_aligned(output.values, width);
    };
    const auto fits = [&](int width) {
      const int64_t count = input.length / width;
      return made_of(width) && Division::can(count) && shared_for(input, Division(count)) <= most_shared;
    };
    if (constexpr int width = 16 / sizeof(T); fits(width)) {
      in_shared_memory<width>(input);
    } else if (fits(4)) {
      in_shared_memory<4>(input);
    } else {
      kernel = made_of(4) ? rows_in_passes<T, true> : rows_in_passes<T, false>;
    }
  }

  static size_t shared_for(const Rows& input, const Division& division) {
    return input.length * sizeof(T) * division.block().y;
  }

  template <int width>
  void in_shared_memory(const Rows& input) {
    const Division division(input.length / width);
    kernel = division.vectors == 4   ? rows_in_shared_memory<T, width, 4>
             : division.vectors == 5 ? rows_in_shared_memory<T, width, 5>
             : division.vectors == 6 ? rows_in_shared_memory<T, width, 6>
             : division.vectors == 7 ? rows_in_shared_memory<T, width, 7>
                                     : rows_in_shared_memory<T, width, 8>;
    block = division.block();
    shared = shared_for(input, division);
  }

  cudaError_t run(const Rows& input, const void* weight, const Arguments& arguments, const Quantized<float>& output,
                  Queue queue) const {
    int processors = 0, resident = 0;
    cudaError_t error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, queue.device);
    if (error == cudaSuccess && shared + sizeof(Together) > 48 * 1024) {  // more must be asked for
      error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(shared));
    }
    if (error == cudaSuccess) {
      error = cudaOccupancyMaxActiveBlocksPerMultiprocessor(&resident, kernel, block.x * block.y, shared);
    }
    if (error != cudaSuccess) return error;
    // As many blocks as run at once, or as there are rows for.
    const int64_t needed = (input.count + block.y - 1) / block.y;
    const dim3 grid(static_cast<unsigned>(std::min<int64_t>(needed, static_cast<int64_t>(processors) * resident)));
    kernel<<<grid, block, shared, static_cast<cudaStream_t>(queue.stream)>>>(
        static_cast<const T*>(input.data), static_cast<const T*>(weight), arguments, output);
    return cudaGetLastError();
  }
};

}  // namespace

const char* rms_norm_fp8_cuda(const Rows& input, const void* weight, double epsilon, const Quantized<float>& output,
                              Queue queue) {
  if (input.count == 0) return nullptr;
  const OnDevice scope(queue.device);
  if (scope.error() != cudaSuccess) return message_of(scope.error());

  const Arguments arguments{input.count, input.length, input.stride, input.length ? 1.0 / input.length : 0, epsilon};
  int shared = 0;  // what a block may have, less what the kernel has by itself
  const cudaError_t error = cudaDeviceGetAttribute(&shared, cudaDevAttrMaxSharedMemoryPerBlockOptin, queue.device);
  if (error != cudaSuccess) return message_of(error);
  return message_of(for_element(input.element, [&](auto* type) {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(type)>>;
    return Launch<T>(input, weight, output, shared - sizeof(Together)).run(input, weight, arguments, output, queue);
  }));
}

}  // namespace wheelfuse_reference
